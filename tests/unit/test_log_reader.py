"""What a refill reads out of the log: the newest by their own time, in whatever order they were published."""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from app.errors import LogUnavailable, Poison, StoreUnavailable
from app.messaging import consumer_groups, topics
from app.messaging.tail_reader import Back
from app.models.status import key_of_row
from app.models.transaction import AHEAD_AT_MOST, uuid7
from app.read_model import log_reader
from app.read_model.log_reader import LogReader, Newest
from app.stores.recent_transactions import Entry
from tests.unit.samples import Record, status, transaction
from tests.unit.virtual_time import run

KEEP, STEP = 8, 3
HOUR, DAY = 3600.0, 86_400.0


@dataclass
class Log:
    """Both topics, read back in steps of a few records; `begins`: where a status partition that was cut begins."""

    partitions: int = 1
    statuses: dict[int, list[Record]] = field(default_factory=dict)
    created: dict[int, list[Record]] = field(default_factory=dict)
    committed: dict[int, int] = field(default_factory=dict)
    begins: dict[int, int] = field(default_factory=dict)
    read: int = 0
    dead: bool = False

    def publish(self, published: float, partition: int = 0, **changes: Any) -> Any:
        """A status that gets into the log at this time (seconds since 1970)."""
        one = status(transaction(), **changes)
        records = self.statuses.setdefault(partition, [])
        key = one["transaction_id"].encode()
        records.append(Record(len(records), one, timestamp=int(published * 1000), key=key))
        return one

    def create(self, published: float, partition: int = 0, **changes: Any) -> Any:
        """A transaction that gets into the log at this time."""
        one = transaction(**changes)
        records = self.created.setdefault(partition, [])
        records.append(Record(len(records), one, timestamp=int(published * 1000)))
        return one

    async def read_back(self, topic: str, partition: int, take: Any, since: int = 0) -> Back:
        if self.dead:
            raise LogUnavailable("dead")
        is_status = topic == topics.STATUS
        records = (self.statuses if is_status else self.created).get(partition, [])
        stop = max(since, self.begins.get(partition, 0) if is_status else 0)
        start = len(records)
        while start > stop:
            upto, start = start, max(stop, start - STEP)
            self.read += (upto - start) * is_status
            await asyncio.sleep(0)
            if await take(records[start:upto]):
                break
        return Back(start, len(records), whole=start == 0)

    async def decode(self, values: Sequence[Any]) -> list[Any]:
        return list(values)


class Redis:
    """Keeps the newest, as the script does."""

    def __init__(self, keep: int = KEEP) -> None:
        self.keep = keep
        self.entries: dict[str, int] = {}
        self.written = 0

    async def remember(self, entries: Sequence[Entry]) -> None:
        self.written += len(entries)
        for key, revision, _ in entries:
            self.entries[key] = max(revision, self.entries.get(key, -1))
        self.entries = dict(sorted(self.entries.items())[-self.keep :])

    def listed(self, newest: Newest) -> list[tuple[str, int]]:
        """What is left once the sign is set: newest first, with the revision."""
        kept = sorted(self.entries.items(), reverse=True)
        return [(key, revision) for key, revision in kept if key >= (newest.floor or "")]


def refilled(log: Log, monkeypatch: pytest.MonkeyPatch, redis: Redis | None = None) -> tuple[Newest, Any]:
    redis = redis or Redis()

    async def committed(*_: Any) -> dict[int, int]:
        return {number: log.committed.get(number, 0) for number in range(log.partitions)}

    monkeypatch.setattr(consumer_groups, "committed_offsets", committed)
    settings = SimpleNamespace(recent_transactions=redis.keep)
    resources: Any = SimpleNamespace(
        settings=settings, is_open=True, tail=log, status_without_history=log, created=log
    )
    newest = run(LogReader(resources).write_newest(redis.remember))
    return newest, redis.listed(newest)


def keys(statuses: Iterable[Any]) -> list[tuple[str, int]]:
    """As listed: newest first, with the revision that a status has, or that of what is pending."""
    return sorted(((key_of_row(one), one.get("revision", 0)) for one in statuses), reverse=True)


def times(count: int, every: float = 60.0, ago: float = DAY) -> list[float]:
    return [time.time() - ago + every * number for number in range(count)]


def test_a_short_log_is_read_whole_and_nothing_older_exists(monkeypatch: pytest.MonkeyPatch) -> None:
    log = Log()
    published = [log.publish(at, transaction_id=uuid7(at)) for at in times(KEEP)]
    newest, listed = refilled(log, monkeypatch)
    assert listed == keys(published)
    assert newest == Newest(KEEP, None)


def test_of_a_long_log_no_more_is_read_than_an_hour_beyond_the_newest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log = Log()
    published = [log.publish(at, transaction_id=uuid7(at)) for at in times(1000)]
    newest, listed = refilled(log, monkeypatch)
    assert listed == keys(published[-KEEP:])
    assert newest == Newest(KEEP, listed[-1][0])
    assert log.read <= KEEP + (AHEAD_AT_MOST + log_reader.CLOCKS_APART) / 60 + 1 + 2 * STEP


def test_a_late_one_at_the_end_of_the_log_is_not_among_the_newest(monkeypatch: pytest.MonkeyPatch) -> None:
    log = Log()
    published = [log.publish(at, transaction_id=uuid7(at)) for at in times(KEEP)]
    log.publish(time.time(), transaction_id=str(uuid.uuid4()), event_timestamp=int(time.time() - 30 * DAY))
    newest, listed = refilled(log, monkeypatch)
    assert listed == keys(published)
    assert newest.floor == listed[-1][0]


def test_a_reassessment_of_an_old_one_does_not_stand_for_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    log = Log()
    published = [log.publish(at, transaction_id=uuid7(at)) for at in times(3 * KEEP, every=HOUR)]
    for again in published[:KEEP]:
        log.publish(time.time(), transaction_id=again["transaction_id"], revision=2)
    assert refilled(log, monkeypatch)[1] == keys(published[-KEEP:])


def test_one_that_was_published_before_its_time_is_found_an_hour_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log, (begun, *later) = Log(), times(50)
    ahead = log.publish(begun, transaction_id=uuid7(begun + AHEAD_AT_MOST))
    published = [log.publish(at, transaction_id=uuid7(at)) for at in later]
    assert refilled(log, monkeypatch)[1] == keys([ahead, *published[-KEEP + 1 :]])


def test_workers_clocks_may_be_most_of_a_minute_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    log, minute = Log(), int(time.time() - DAY) // 60 * 60
    fast, slow, right = minute + 65.0, minute - 33.0, minute + 18.0  # all within some seconds of minute + 15
    ahead = log.publish(fast, transaction_id=uuid7(fast + AHEAD_AT_MOST))
    for _ in range(2 * STEP):
        log.publish(slow, transaction_id=uuid7(slow))
    published = [log.publish(right, transaction_id=uuid7(right + AHEAD_AT_MOST)) for _ in range(KEEP)]
    assert refilled(log, monkeypatch)[1] == keys([ahead, *published])[:KEEP]


def test_a_record_without_a_time_ends_no_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    log, (begun, *later) = Log(), times(50)
    ahead = log.publish(begun, transaction_id=uuid7(begun + AHEAD_AT_MOST))
    published = []
    for at in later:
        published.append(log.publish(at, transaction_id=uuid7(at)))
        log.statuses[0].append(Record(len(log.statuses[0]), Poison("no status"), timestamp=-1))
    assert refilled(log, monkeypatch)[1] == keys([ahead, *published[-KEEP + 1 :]])


def test_a_quiet_partition_is_read_as_far_back_in_time_as_a_busy_one(monkeypatch: pytest.MonkeyPatch) -> None:
    log, now = Log(partitions=2), time.time()
    busy = [log.publish(at, 0, transaction_id=uuid7(at)) for at in times(200, every=10, ago=2000)]
    quiet = [log.publish(at, 1, transaction_id=uuid7(at)) for at in (now - 100 * DAY, now - 15, now - 5)]
    assert refilled(log, monkeypatch)[1] == keys([*busy, *quiet])[:KEEP]


def test_what_is_pending_is_listed_and_a_status_of_it_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    log, (first, second, third) = Log(committed={0: 1}), times(3)
    for at in (first, second, third):
        log.create(at, transaction_id=uuid7(at))
    done, decided, waits = (record.value for record in log.created[0])
    published = [
        log.publish(at, transaction_id=one["transaction_id"]) for at, one in ((1, done), (2, decided))
    ]
    newest, listed = refilled(log, monkeypatch)
    assert listed == keys([*published, waits])
    assert [revision for _, revision in listed] == [0, 1, 1]
    assert newest.floor is None


def test_what_cannot_be_decided_is_not_pending(monkeypatch: pytest.MonkeyPatch) -> None:
    log = Log()
    log.create(time.time(), value_in_cents=-5)
    log.created[0].append(Record(1, Poison("no Avro")))
    assert refilled(log, monkeypatch)[1] == []


def test_where_the_beginning_is_gone_what_may_have_been_in_it_is_cassandras(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log = Log(begins={0: 2})
    published = [log.publish(at, transaction_id=uuid7(at)) for at in times(6, every=HOUR)]
    old = log.publish(time.time(), transaction_id=published[0]["transaction_id"], revision=2)
    newest, listed = refilled(log, monkeypatch)
    assert key_of_row(old) < (newest.floor or "")
    # What was published after the first that is left, and an hour and a minute later by its own time.
    assert listed == keys(published[4:])
    assert newest.count == len(listed)


def test_where_too_little_is_left_of_the_log_there_is_no_list(monkeypatch: pytest.MonkeyPatch) -> None:
    log = Log(begins={0: 1})
    for at in times(3):
        log.publish(at, transaction_id=uuid7(at))
    with pytest.raises(LogUnavailable, match="too little is left"):
        refilled(log, monkeypatch)


def test_a_redis_that_dies_meanwhile_ends_all_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    log = Log(partitions=2)
    for at in times(400):
        log.publish(at, random.choice((0, 1)), transaction_id=uuid7(at))
    redis = Redis()

    async def dead(_: Any) -> None:
        raise StoreUnavailable("dead")

    monkeypatch.setattr(redis, "remember", dead)
    with pytest.raises(StoreUnavailable):
        refilled(log, monkeypatch, redis)
    assert log.read <= 4 * STEP


def any_log(dice: random.Random) -> tuple[Log, list[Any]]:
    """A log as it may come to be, and the fold of it: of each transaction the highest revision, or that it waits.

    Its transactions are late by days or ahead by up to an hour, their ids are ours or not, some are re-assessed,
    clocks differ by half a minute, and partitions have between nothing and nearly all of the traffic.
    """
    log = Log(partitions=dice.choice((1, 2, 4)))
    traffic = [dice.choice((0, 1, 1, 20)) + 0.01 for _ in range(log.partitions)]
    now = time.time() - 5 * DAY
    pace = dice.choice((1.0, 60.0, 900.0, 2 * HOUR))
    fold: dict[str, Any] = {}
    for _ in range(dice.randrange(60)):
        now += dice.random() * pace
        clock = now + dice.uniform(-30, 30)
        (partition,) = dice.choices(range(log.partitions), traffic)
        own = clock + dice.choice(
            (0, 0, 0, -dice.random() * 2 * HOUR, -dice.random() * 9 * DAY, dice.random() * AHEAD_AT_MOST)
        )
        id_ = uuid7(own) if dice.random() < 0.7 else str(uuid.UUID(int=dice.getrandbits(128), version=4))
        if (decided := [key for key in fold if fold[key].get("revision")]) and dice.random() < 0.2:
            again = fold[dice.choice(decided)]
            partition = again["source_partition"]
            one = log.publish(clock, partition, **{**again, "revision": again["revision"] + 1})
        elif dice.random() < 0.15:
            one = log.create(clock, partition, transaction_id=id_, event_timestamp=int(own))
        else:
            changes = {"transaction_id": id_, "event_timestamp": int(own), "source_partition": partition}
            one = log.publish(clock, partition, **changes)
        fold[one["transaction_id"]] = one
    return log, list(fold.values())


@pytest.mark.parametrize("seed", range(20))
def test_of_any_log_the_list_is_the_newest_of_its_fold(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(50):
        log, fold = any_log(random.Random(f"{seed} {number}"))
        newest, listed = refilled(log, monkeypatch)
        assert listed == keys(fold)[:KEEP], (seed, number)
        assert newest.count == len(listed)
        assert newest.floor is not None or len(fold) <= KEEP, "older ones exist, and it is not said"


@pytest.mark.parametrize("seed", range(20))
def test_of_any_log_without_its_beginning_the_list_has_no_gap(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(50):
        dice = random.Random(f"{seed} {number}")
        log, fold = any_log(dice)
        log.begins = {p: dice.randrange(len(records) + 1) for p, records in log.statuses.items()}
        try:
            newest, listed = refilled(log, monkeypatch)
        except LogUnavailable:
            continue
        assert listed == keys(fold)[: len(listed)], (seed, number)
        assert newest.floor is not None or len(fold) == len(listed)
