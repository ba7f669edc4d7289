"""When GET trusts Redis: never while something that Cassandra shows may be missing there."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from app.errors import BeingRebuilt, LogUnavailable, NotReadableYet, Overloaded, StoreUnavailable
from app.models.status import TransactionStatus, key_of_row
from app.models.transaction import Transaction, uuid7
from app.read_model.log_reader import Newest, Write
from app.read_model.maintainer import CHECK_EVERY, REFILL_EVERY_MOST, ReadModelMaintainer
from app.read_model.pending_writer import AT_MOST, PendingWriter
from app.read_model.read_model import NOTED_SOON, NOTED_WITHIN, PENDING_AT_MOST, ReadModel
from app.read_model.state import ReadModelState
from app.stores.recent_transactions import (
    BeingRefilled,
    Entry,
    Page,
    Reach,
    entries_of,
    entry_of,
    lacks_fields,
    pending_entry,
)
from tests.unit import virtual_time
from tests.unit.samples import status, transaction


class Recent:
    """A Redis with its sign, that can be dead (its data stay) or emptied."""

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        self.policy: str | None = None
        self.sign: str | None = None
        self.filling: str | None = None
        self.other: str | None = None  # the refill of another bff, under way
        self.filled = ""
        self.trimmed = False
        self.dead = self.replayed = self.overloaded = False
        self.asked = 0
        self.takes = 0.0  # seconds, of a write

    def ask(self) -> None:
        self.asked += 1
        if self.overloaded:
            raise Overloaded("no turn")
        if self.dead:
            raise StoreUnavailable("dead")

    def empty(self) -> None:
        self.entries, self.sign, self.filling, self.trimmed = {}, None, None, False

    async def remember(self, entries: Sequence[Entry], *, again: bool = False) -> None:
        self.ask()
        await asyncio.sleep(self.takes)
        for entry in entries:
            held = self.entries.get(entry[0])
            if held is None or held[1] < entry[1] or (again and held[1] == entry[1]):
                self.entries[entry[0]] = entry

    async def has_lacking(self) -> bool:
        self.ask()
        return any(lacks_fields(entry[2].rpartition("\n")[2]) for entry in self.entries.values())

    async def newest(self, limit: int, before: str | None) -> Page:
        self.ask()
        entries = [e[2].split("\n")[1] for e in self.entries.values()]
        return Page(entries, max(self.entries, default=None), bool(self.sign), self.trimmed)

    async def find(self, key: str) -> str | None:
        self.ask()
        return self.entries[key][2].split("\n")[2] if key in self.entries else None

    async def reach(self, count: int) -> Reach:
        self.ask()
        return Reach(sorted(self.entries)[:count], bool(self.sign), self.trimmed)

    async def eviction_policy(self) -> str | None:
        return self.policy

    async def is_complete(self) -> bool:
        self.ask()
        return bool(self.sign)

    async def begin_filling(self) -> str:
        self.ask()
        if self.replayed:
            raise BeingRebuilt("a replay writes both stores again")
        if self.other:
            raise BeingRefilled(self.other)
        self.filling = "token"
        return self.filling

    async def go_on_filling(self, filling: str) -> None:
        self.ask()

    async def was_filled_by(self, filling: str) -> bool:
        self.ask()
        return self.filled == filling

    async def mark_complete(self, filling: str, *, floor: str | None) -> None:
        self.ask()
        if self.filling == filling:
            self.sign, self.trimmed = "1", floor is not None


class Table:
    """Cassandra with some rows."""

    def __init__(self) -> None:
        self.rows: list[Any] = []
        self.dead = False
        self.has_a_quorum = True

    async def find(self, transaction_id: str) -> Any:
        if self.dead:
            raise StoreUnavailable("dead")
        return next((row for row in self.rows if row["transaction_id"] == transaction_id), None)

    async def newest(self, limit: int, before: Any, reading: Any) -> list[Any]:
        if self.dead:
            raise StoreUnavailable("dead")
        reading.one_replica = not self.has_a_quorum
        return list(self.rows)


class Log:
    """The log with some statuses and what is not decided; `meanwhile` happens while it is read."""

    def __init__(self) -> None:
        self.statuses: list[TransactionStatus] = []
        self.undecided: list[Transaction] = []
        self.floor: str | None = None
        self.dead = False
        self.reads = 0
        self.decided_until = 0.0
        self.takes = 0.0  # seconds, of a read
        self.meanwhile: Callable[[], None] = lambda: None

    async def is_decided(self, until: float) -> bool:
        if self.dead:
            raise LogUnavailable("dead")
        return until <= self.decided_until

    async def write_newest(self, write: Write) -> Newest:
        await self.write_pending(write)
        await write(entries_of(self.statuses))
        self.reads += 1
        await asyncio.sleep(0)
        self.meanwhile()
        return Newest(len(self.statuses), self.floor)

    async def write_pending(self, write: Write) -> None:
        if self.dead:
            raise LogUnavailable("dead")
        await asyncio.sleep(self.takes)
        await write([pending_entry(one) for one in self.undecided])


class World:
    """The read model on both, with its maintainer at work."""

    def __init__(self) -> None:
        self.recent, self.table, self.log = Recent(), Table(), Log()
        self.log_length: int | None = 0
        self.pending, state = PendingWriter(self.recent), ReadModelState()  # type: ignore[arg-type]
        self.state = state
        self.maintainer = ReadModelMaintainer(
            self.recent,  # type: ignore[arg-type]
            self.log,  # type: ignore[arg-type]
            self.pending,
            state,
        )
        self.reads = ReadModel(
            self.recent,  # type: ignore[arg-type]
            self.table,  # type: ignore[arg-type]
            self.pending,
            state,
            lambda: self.log_length,
            self.log.is_decided,
        )

    def stored(self) -> None:
        """One status, in the log and in Cassandra."""
        self.log.statuses, self.table.rows = [status()], [status()]

    async def during(self, situation: Callable[[], Awaitable[None]]) -> None:
        async with asyncio.TaskGroup() as tasks:
            jobs = [tasks.create_task(job()) for job in (self.maintainer.keep_complete, self.pending.run)]
            await asyncio.sleep(1)
            await situation()
            for job in jobs:
                job.cancel()

    async def entries(self) -> tuple[int, str]:
        """How many GET lists, and from where."""
        listing = await self.reads.newest(100, None)
        return len(listing.entries), listing.source


def test_a_redis_that_is_back_is_trusted_once_it_has_what_it_missed() -> None:
    world = World()

    async def situation() -> None:
        world.recent.dead = True
        world.stored()
        await asyncio.sleep(5)
        assert await world.entries() == (1, "cassandra")
        world.recent.dead = False  # with its data and its sign
        for _ in range(50):
            assert (await world.entries())[0] == 1
            await asyncio.sleep(CHECK_EVERY / 10)
        assert await world.entries() == (1, "redis")

    virtual_time.run(world.during(situation))


def test_what_was_seen_decided_is_not_pending_again_in_a_redis_that_is_back_with_its_old_data() -> None:
    world = World()
    id_ = "017a22b2-6ae0-7000-8000-000000000001"  # its time is NOW
    one = status(transaction(transaction_id=id_))

    async def shown() -> str:
        return str(json.loads(await world.reads.find(id_) or "{}").get("status"))

    async def situation() -> None:
        await world.recent.remember([pending_entry(transaction(transaction_id=id_))])
        assert await shown() == "pending"
        world.recent.dead = True
        world.table.rows, world.log.dead = [one], True  # no refill without Kafka
        await asyncio.sleep(5)
        assert await shown() == one["status"]
        world.recent.dead = False
        for _ in range(50):
            assert await shown() == one["status"]
            await asyncio.sleep(CHECK_EVERY / 10)
        world.table.dead = True
        assert await shown() == "pending"  # the only word that there is

    virtual_time.run(world.during(situation))


def test_a_redis_that_did_not_answer_is_not_waited_for_again() -> None:
    world = World()

    async def situation() -> None:
        world.recent.dead = True
        await world.entries()
        before = world.recent.asked
        for _ in range(50):
            await world.entries()
        assert world.recent.asked == before

    virtual_time.run(world.during(situation))


def test_a_redis_that_missed_something_serves_while_cassandra_is_dead() -> None:
    world = World()

    async def situation() -> None:
        await world.recent.remember(entries_of([status()]))
        world.recent.dead = world.table.dead = world.log.dead = True
        await asyncio.sleep(5)
        world.recent.dead = False
        await asyncio.sleep(5)
        listing = await world.reads.newest(100, None)
        assert (len(listing.entries), listing.source, listing.may_lack) == (1, "redis", True)

    virtual_time.run(world.during(situation))


def test_a_redis_that_is_emptied_while_it_is_filled_gets_no_sign() -> None:
    world = World()

    async def situation() -> None:
        world.stored()
        world.log.meanwhile = world.recent.empty
        world.recent.empty()
        await asyncio.sleep(5)
        assert await world.entries() == (1, "cassandra")

    virtual_time.run(world.during(situation))


def test_what_is_pending_is_pending_again_in_a_redis_that_comes_back_empty() -> None:
    world = World()

    async def situation() -> None:
        world.pending.add(transaction())
        world.log.undecided = [transaction()]
        await asyncio.sleep(1)
        assert await world.entries() == (1, "redis")
        world.recent.empty()
        await asyncio.sleep(2)
        assert await world.entries() == (1, "redis")

    virtual_time.run(world.during(situation))


def test_a_note_that_redis_did_not_take_is_written_later() -> None:
    world = World()

    async def situation() -> None:
        world.recent.dead = True
        world.pending.add(transaction())
        await asyncio.sleep(0.1)
        world.recent.dead = False
        await asyncio.sleep(2)
        assert await world.entries() == (1, "redis")

    virtual_time.run(world.during(situation))


def test_a_list_that_lacks_what_could_not_be_noted_yet_says_so() -> None:
    world = World()

    async def situation() -> None:
        await asyncio.sleep(0.05)  # between two looks
        assert not (await world.reads.newest(100, None)).may_lack
        world.recent.dead = True
        world.pending.add(transaction())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        world.recent.dead = False  # a moment only: no look of the read model has noticed
        listing = await world.reads.newest(100, None)
        assert (listing.source, listing.entries, listing.may_lack) == ("redis", [], True)
        await asyncio.sleep(0.2)
        listing = await world.reads.newest(100, None)
        assert (len(listing.entries), listing.may_lack) == (1, False)

    virtual_time.run(world.during(situation))


def test_what_was_published_and_has_no_row_yet_is_in_a_redis_that_comes_back_empty() -> None:
    world = World()

    async def situation() -> None:
        world.log.statuses = [status()]
        world.recent.empty()
        await asyncio.sleep(5)
        assert await world.entries() == (1, "redis")

    virtual_time.run(world.during(situation))


def test_a_redis_that_comes_back_empty_is_filled_while_cassandra_is_dead() -> None:
    world = World()
    world.table.dead = True

    async def situation() -> None:
        world.log.statuses = [status()]
        world.recent.empty()
        await asyncio.sleep(2)
        listing = await world.reads.newest(100, None)
        assert (len(listing.entries), listing.source, listing.may_lack) == (1, "redis", False)

    virtual_time.run(world.during(situation))


def test_a_get_without_an_answer_during_a_refill_does_not_end_the_need_for_it() -> None:
    """Redis has its old sign all the while: believed too early, it hides what was decided while it was away."""
    world = World()

    async def situation() -> None:
        world.recent.dead = True
        world.stored()
        await asyncio.sleep(5)
        world.recent.dead, world.log.dead = False, True
        await asyncio.sleep(2)
        world.recent.dead = True
        assert await world.entries() == (1, "cassandra")
        world.recent.dead = False
        await asyncio.sleep(2)
        assert await world.entries() == (1, "cassandra")
        world.log.dead = False
        await asyncio.sleep(REFILL_EVERY_MOST + 1)
        assert await world.entries() == (1, "redis")

    virtual_time.run(world.during(situation))


def test_who_waits_for_a_note_waits_for_the_write_and_not_for_a_dead_redis() -> None:
    world = World()

    async def situation() -> None:
        loop = asyncio.get_running_loop()
        world.recent.takes = 0.1
        world.pending.add(transaction())
        await world.pending.written(5)
        assert (await world.entries())[0] == 1, "the other bffs see it"
        world.recent.dead, began = True, loop.time()
        world.pending.add(transaction())
        await world.pending.written(5)
        assert loop.time() - began < 1
        world.pending.add(transaction())
        await world.pending.written(0.01)  # the writer pauses: nobody waits longer than asked
        assert loop.time() - began < 1

    virtual_time.run(world.during(situation))


def test_a_list_has_what_was_answered_with_201_before_it_or_says_that_it_may_lack_it() -> None:
    world = World()

    async def situation() -> None:
        for takes, is_listed in ((NOTED_SOON / 3, True), (1.0, False)):
            world.recent.takes = takes
            world.pending.add(transaction(transaction_id=f"first {takes}"))
            await asyncio.sleep(takes / 10)  # it is being written
            world.pending.add(transaction(transaction_id=f"second {takes}"))
            listing = await world.reads.newest(100, None)
            assert any(f"second {takes}" in entry for entry in listing.entries) == is_listed
            assert listing.may_lack != is_listed

    virtual_time.run(world.during(situation))


def test_what_is_found_again_in_the_log_may_be_missing_until_all_of_it_was_read() -> None:
    world = World()
    world.recent.sign = "1"  # by another bff
    world.log.undecided, world.log.takes = [transaction()], 60

    async def situation() -> None:
        await asyncio.sleep(30)
        assert (await world.reads.newest(100, None)).may_lack
        await asyncio.sleep(60)
        listing = await world.reads.newest(100, None)
        assert (len(listing.entries), listing.may_lack) == (1, False)

    virtual_time.run(world.during(situation))


@pytest.mark.parametrize("waits", ["it waits", "it was decided", "nobody knows"])
def test_an_id_older_than_all_that_redis_keeps_is_no_404_while_it_may_wait_for_its_decision(
    waits: str,
) -> None:
    world = World()
    world.log.statuses = world.table.rows = [status(transaction(transaction_id=uuid7(time.time())))]
    world.log.floor = key_of_row(world.table.rows[0])

    async def situation() -> None:
        await asyncio.sleep(2 * NOTED_WITHIN)
        id_ = uuid7(time.time() - 3600)
        world.log.dead = waits == "nobody knows"
        world.log.decided_until = time.time() - (1800 if waits == "it was decided" else 7200)
        if waits == "it was decided":
            assert await world.reads.find(id_) is None
        else:
            with pytest.raises(NotReadableYet):
                await world.reads.find(id_)

    virtual_time.run(world.during(situation))


@pytest.mark.parametrize("filled", ["by the other", "by nobody: the other has died"])
def test_while_another_bff_fills_redis_this_one_waits_and_fills_it_only_if_the_other_did_not(
    filled: str,
) -> None:
    """Redis has its old sign all the while."""
    world = World()

    async def situation() -> None:
        world.recent.dead = True
        world.stored()
        await asyncio.sleep(5)
        world.recent.dead, world.recent.other, reads = False, "theirs", world.log.reads
        await asyncio.sleep(5)
        assert await world.entries() == (1, "cassandra")
        assert world.log.reads == reads
        if filled == "by the other":
            await world.recent.remember(entries_of(world.log.statuses))
            world.recent.filled = "theirs"
        world.recent.other = None
        await asyncio.sleep(REFILL_EVERY_MOST + 1)
        assert await world.entries() == (1, "redis")
        assert world.log.reads == reads + (filled != "by the other")
        world.recent.dead = True
        await asyncio.sleep(5)
        world.recent.dead = False
        await asyncio.sleep(REFILL_EVERY_MOST + 1)
        assert world.log.reads == reads + (filled != "by the other") + 1, "after the next outage"

    virtual_time.run(world.during(situation))


def test_a_redis_that_missed_one_get_is_not_filled_again() -> None:
    world = World()

    async def situation() -> None:
        world.recent.dead = True
        await world.entries()
        world.recent.dead = False
        await asyncio.sleep(2)
        assert await world.entries() == (0, "redis")
        assert world.log.reads == 1

    virtual_time.run(world.during(situation))


def test_a_note_that_was_lost_is_found_in_the_log() -> None:
    world = World()

    async def situation() -> None:
        world.recent.dead = True
        for number in range(AT_MOST + 1):
            world.pending.add(transaction(transaction_id=f"id {number}"))
        world.log.undecided = [transaction(transaction_id="id 0")]
        await asyncio.sleep(5)
        world.recent.dead = False
        await asyncio.sleep(5)
        assert not (await world.reads.newest(100, None)).may_lack
        assert await world.entries() == (AT_MOST + 1, "redis")

    virtual_time.run(world.during(situation))


def test_what_a_bff_that_ended_had_in_its_hands_is_found_in_the_log_at_the_next_start() -> None:
    world = World()
    world.recent.sign = "1"  # by another bff
    world.log.undecided, world.log.dead = [transaction()], True

    async def situation() -> None:
        assert (await world.reads.newest(100, None)).may_lack
        world.log.dead = False
        await asyncio.sleep(2)
        assert not (await world.reads.newest(100, None)).may_lack
        assert await world.entries() == (1, "redis")

    virtual_time.run(world.during(situation))


def test_a_list_by_the_word_of_one_replica_says_that_settled_ones_may_be_missing() -> None:
    world = World()

    async def situation() -> None:
        world.recent.dead, world.table.rows = True, [status()]
        await asyncio.sleep(1)
        assert not (await world.reads.newest(100, None)).one_replica
        world.table.has_a_quorum = False
        assert (await world.reads.newest(100, None)).one_replica

    virtual_time.run(world.during(situation))


def test_while_a_replay_writes_both_stores_a_list_says_so_and_an_unknown_id_may_exist() -> None:
    world = World()

    async def situation() -> None:
        world.recent.empty()
        world.recent.replayed = True
        await asyncio.sleep(2)
        listing = await world.reads.newest(100, None)
        assert (listing.entries, listing.source, listing.being_rebuilt) == ([], "cassandra", True)
        with pytest.raises(BeingRebuilt):
            await world.reads.find(status()["transaction_id"])
        world.stored()
        world.recent.replayed = False
        await asyncio.sleep(2)
        assert await world.entries() == (1, "redis")
        assert await world.reads.find("no such id") is None

    virtual_time.run(world.during(situation))


def test_without_the_log_nobody_knows_what_was_published_lately_and_there_is_no_sign() -> None:
    world = World()

    async def situation() -> None:
        world.stored()
        world.log.dead = True
        world.recent.empty()
        await asyncio.sleep(5)
        assert await world.entries() == (1, "cassandra")
        world.log.dead = False
        await asyncio.sleep(5)
        assert await world.entries() == (1, "redis")

    virtual_time.run(world.during(situation))


@pytest.mark.parametrize(
    ("rows", "log_length", "believed"),
    [(0, 0, True), (0, 1, False), (0, None, True), (1, 8, True), (1, 9, False)],
)
def test_a_table_with_far_fewer_rows_than_the_log_has_statuses_is_not_believed(
    rows: int, log_length: int | None, believed: bool
) -> None:
    world = World()

    async def situation() -> None:
        world.recent.dead = True
        world.table.rows, world.log_length = [status()] * rows, log_length
        await asyncio.sleep(2)
        listing = await world.reads.newest(100, None)
        assert (listing.source, listing.being_rebuilt) == ("cassandra", not believed)

    virtual_time.run(world.during(situation))


@pytest.mark.parametrize("has_older", [True, False])
def test_an_unknown_id_may_exist_where_redis_has_let_some_go_and_cassandra_has_none_of_its_oldest(
    has_older: bool,
) -> None:
    world = World()
    world.log.statuses = [status()]
    world.log.floor = key_of_row(status()) if has_older else None

    async def situation() -> None:
        await asyncio.sleep(2 * NOTED_WITHIN)
        if has_older:
            with pytest.raises(BeingRebuilt):
                await world.reads.find("an older id")
        else:
            assert await world.reads.find("no such id") is None
        world.stored()
        assert await world.reads.find("no such id") is None

    virtual_time.run(world.during(situation))


def test_an_id_is_no_404_in_the_moment_after_redis_has_lost_its_sign() -> None:
    world = World()

    async def situation() -> None:
        await asyncio.sleep(2 * NOTED_WITHIN)
        world.recent.empty()
        with pytest.raises(NotReadableYet):
            await world.reads.find(uuid7(time.time() - NOTED_WITHIN - 1))

    virtual_time.run(world.during(situation))


def test_a_queue_for_redis_that_is_too_long_is_no_dead_redis_and_asks_no_other_store() -> None:
    world = World()

    async def situation() -> None:
        await world.recent.remember(entries_of([status()]))
        filled, world.recent.filling = world.recent.filling, None
        assert filled
        world.recent.overloaded = True
        for ask in (lambda: world.reads.newest(100, None), lambda: world.reads.find("x")):
            with pytest.raises(Overloaded):
                await ask()
        await asyncio.sleep(5)
        world.recent.overloaded = False
        assert await world.entries() == (1, "redis")
        await asyncio.sleep(5)
        assert world.recent.filling is None, "nothing was filled again"

    virtual_time.run(world.during(situation))


@pytest.mark.parametrize("redis", ["up", "down"])
def test_what_a_post_was_answered_with_is_pending_at_once_at_the_bff_that_took_it(redis: str) -> None:
    world = World()

    async def situation() -> None:
        await asyncio.sleep(2 * NOTED_WITHIN)
        world.recent.dead = redis == "down"
        await asyncio.sleep(2)
        id_ = uuid7(time.time())
        world.pending.add(transaction(transaction_id=id_))
        found = json.loads(await world.reads.find(id_) or "null")
        assert (found["transaction_id"], found["status"]) == (id_, "pending")

    virtual_time.run(world.during(situation))


def outage(world: World, of: str) -> None:
    """As a bff meets it that has not taken the POST itself."""
    world.recent.dead = of == "down"
    if of == "being refilled":
        world.recent.empty()
        world.log.dead = True


@pytest.mark.parametrize(
    ("redis", "age", "may_exist"),
    [
        ("up", 0, True),
        ("up", NOTED_WITHIN + 1, False),
        ("up", -3600, False),  # no bff's clock is that far ahead
        ("down", 0, True),
        ("down", PENDING_AT_MOST - 60, True),
        ("down", PENDING_AT_MOST + 60, False),
        ("being refilled", 3600, True),
    ],
)
def test_an_id_that_may_have_been_answered_with_201_by_another_bff_is_no_404(
    redis: str, age: float, may_exist: bool
) -> None:
    world = World()

    async def situation() -> None:
        await asyncio.sleep(2 * NOTED_WITHIN)
        outage(world, redis)
        await asyncio.sleep(2)
        id_ = uuid7(time.time() - age)
        if may_exist:
            with pytest.raises(NotReadableYet):
                await world.reads.find(id_)
        else:
            assert await world.reads.find(id_) is None
        assert await world.reads.find("16f051bb-14e0-4fda-95e5-507d01ea37dc") is None

    virtual_time.run(world.during(situation))


@pytest.mark.parametrize(("policy", "lines"), [("allkeys-lru", 1), ("noeviction", 0), (None, 0)])
def test_an_eviction_policy_that_breaks_the_list_is_named_once(
    policy: str | None, lines: int, caplog: pytest.LogCaptureFixture
) -> None:
    world = World()
    world.recent.policy = policy

    async def situation() -> None:
        await asyncio.sleep(10)

    virtual_time.run(world.during(situation))
    assert sum("maxmemory-policy" in message for message in caplog.messages) == lines


REASONS = '[{"feature":"count_1m","value":9,"words":"9 in a minute"}]'
ID = uuid7(0)


def rejected(**changes: Any) -> TransactionStatus:
    """A verdict with reasons, on a transaction that has its own place in Redis."""
    return status(transaction(transaction_id=ID), **{"status": "rejected", "reasons": REASONS, **changes})


def of_an_earlier_release(one: TransactionStatus) -> Entry:
    """What a bff wrote that knew no reasons."""
    key, number, text = entry_of(one)
    _, listed, detail = text.split("\n")
    known = {name: value for name, value in json.loads(detail).items() if name != "reasons"}
    return key, number, f"{number}\n{listed}\n{json.dumps(known)}"


async def reasons_of(world: World, one: TransactionStatus) -> Any:
    found = await world.reads.find(one["transaction_id"])
    assert found is not None
    return json.loads(found).get("reasons", "none known")


def test_what_a_bff_of_an_earlier_release_wrote_is_shown_with_all_fields_while_both_are_at_work() -> None:
    world, one = World(), rejected()

    async def situation() -> None:
        await world.recent.remember([of_an_earlier_release(one)])  # it has read this one's partition
        assert await reasons_of(world, one) == "none known", "nobody else has it yet, or no more"
        world.table.rows = [one]
        assert await reasons_of(world, one) == json.loads(REASONS)
        assert (await world.entries()) == (1, "redis")
        world.table.dead = True
        assert await reasons_of(world, one) == "none known"

    virtual_time.run(world.during(situation))


def test_a_row_that_is_older_than_what_a_bff_of_an_earlier_release_wrote_is_not_shown() -> None:
    world = World()

    async def situation() -> None:
        await world.recent.remember([of_an_earlier_release(rejected(revision=2))])
        world.table.rows = [rejected(status="accepted")]
        found = await world.reads.find(ID)
        assert json.loads(found or "")["status"] == "rejected"

    virtual_time.run(world.during(situation))


def test_what_bffs_of_an_earlier_release_wrote_is_written_again_at_a_start_and_when_one_has_left() -> None:
    world, one = World(), rejected()
    world.log.statuses = [one]
    before = of_an_earlier_release(one)
    world.recent.entries, world.recent.sign = {before[0]: before}, "1"

    async def situation() -> None:
        assert await reasons_of(world, one) == json.loads(REASONS)
        reads = world.log.reads
        world.recent.entries[before[0]] = before  # the other one is still there, and writes
        await asyncio.sleep(60)
        assert world.log.reads == reads
        world.log.dead = True
        world.state.note_rebalanced()
        await asyncio.sleep(5)
        assert await world.entries() == (1, "redis"), "the list is whole all the while"
        world.log.dead = False
        await asyncio.sleep(5)
        assert await reasons_of(world, one) == json.loads(REASONS)
        await asyncio.sleep(60)
        assert world.log.reads == reads + 1

    virtual_time.run(world.during(situation))


def test_an_entry_that_was_written_by_hand_is_written_again_and_stops_nothing() -> None:
    world, one = World(), rejected()
    world.log.statuses = [one]
    key = key_of_row(one)

    async def situation() -> None:
        for text in ("", "1\nnothing\nno JSON", '1\n{}\n{"revision":1}', "1\n{}\n7"):
            world.recent.entries[key] = (key, 1, text)
            world.state.note_rebalanced()
            await asyncio.sleep(1)
            assert world.recent.entries[key] == entry_of(one), text

    virtual_time.run(world.during(situation))
