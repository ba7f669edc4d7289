"""The transactions worker is killed, stopped, rebalanced, fed poison and given records again: one verdict each.

Publishing the same again after a kill is allowed, and printed;
two different verdicts for one transaction_id and revision never are.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager

import pytest

from infra.native import procfile, stack, supervisor
from infra.native.paths import LOGS
from reconciliation import readers
from reconciliation.readers import Verdict
from reconciliation.reconcile import is_flipped
from tests.support import http, log
from tests.support.feed import Feed, lowest, new_id, spread
from tests.support.meanwhile import again_and_again

WORKER, GROUP = "transactions", "transactions"
BACKLOG = 10_000  # several seconds of work, so that a kill can hit its middle
MARKS = 100  # more than claims leave in the log of statuses
DECIDED_WITHIN = 90.0  # seconds; for a small, busy machine

Published = Mapping[str, list[Verdict]]


@pytest.fixture(autouse=True)
def _one_worker_at_the_end() -> Iterator[None]:
    """Each test begins and ends with the worker alone and running."""
    if stack.current_mode() != "split":
        pytest.fail("these tests need split mode: make down, make up")
    yield
    if stack.current_scale("transactions") > 1:
        stack.scale("transactions", 1)
    if stack.pid(WORKER) is None:
        stack.start(WORKER)


def decided(ids: Mapping[str, log.Place]) -> Published:
    """The verdicts of all of these, once nothing is in flight; each has exactly one."""
    log.wait_until(lambda: log.lag(GROUP) == 0, DECIDED_WITHIN, f"group {GROUP} has caught up")
    published = asyncio.run(readers.published(ids))
    assert [id_ for id_ in ids if id_ not in published] == [], "lost"
    assert [id_ for id_ in ids if is_flipped(published[id_])] == [], "published with two verdicts"
    stored = asyncio.run(readers.stored(ids))
    assert stored == {id_: published[id_][0].status for id_ in ids}
    return published


def reasons(published: Published) -> set[str | None]:
    return {verdict.reason for verdicts in published.values() for verdict in verdicts}


def repeats(published: Published) -> int:
    """Records that repeat a verdict; printed, since they have a cost."""
    count = sum(len(verdicts) - 1 for verdicts in published.values())
    print(f"{count} of {len(published)} verdicts were published again, the same")  # noqa: T201
    return count


class Backlog:
    """A backlog fed while the worker is at work; `caught` waits for the middle of it."""

    def __init__(self, count: int = BACKLOG) -> None:
        self.before = log.ends(log.STATUS)
        self.ids = Feed().send(count)

    def published(self) -> int:
        """How many status records were published since."""
        return len(log.read(log.STATUS, self.before))

    def caught_in_the_middle(self) -> None:
        # By offsets alone: while the records are read, quick workers come to the end. A claim leaves marks, a few.
        begun = sum(self.before.values()) + MARKS
        log.wait_until(lambda: log.total(log.STATUS) > begun, 30, "the worker has begun")

    def was_in_the_middle(self) -> None:
        published = self.published()
        assert 0 < published < len(self.ids), (
            f"{published} of {len(self.ids)} were published: not the middle of the work"
        )


@pytest.mark.parametrize("pause", [0.4], ids=["a moment after it publishes"])
def test_killed_in_the_middle_of_a_backlog(pause: float) -> None:
    backlog = Backlog(
        2 * BACKLOG
    )  # of less, a worker was at the end before it was killed, on a machine that stalls
    backlog.caught_in_the_middle()
    time.sleep(pause)
    stack.kill(WORKER)
    backlog.was_in_the_middle()
    behind = log.lag(GROUP)
    stack.start(WORKER)
    again = repeats(decided(backlog.ids))
    assert again <= behind


@pytest.mark.long
def test_stopped_in_the_middle_of_a_backlog() -> None:
    backlog = Backlog()
    backlog.caught_in_the_middle()
    began = time.monotonic()
    stack.stop(WORKER)
    assert time.monotonic() - began < 10
    backlog.was_in_the_middle()
    in_flight = backlog.published() - (len(backlog.ids) - log.lag(GROUP))
    assert in_flight == 0, f"{in_flight} were published and not committed"
    stack.start(WORKER)
    assert repeats(decided(backlog.ids)) == 0


def fed_all_the_time(ids: dict[str, log.Place]) -> AbstractContextManager[None]:
    """Some hundred transactions per second, so that anything that happens hits the middle of a batch."""
    feed = Feed()
    return again_and_again(lambda: ids.update(feed.send(200)), 0.3)


def partitions_read() -> int:
    """How often the first worker has read the histories of a partition's customers."""
    return (LOGS / f"{WORKER}.log").read_text().count("customers are known after")


def test_rebalanced_in_the_middle_of_a_batch() -> None:
    ids: dict[str, log.Place] = {}
    before = partitions_read()
    with fed_all_the_time(ids):
        stack.scale("transactions", 2)
        log.wait_until(lambda: sorted(map(len, log.members(GROUP))) == [2, 2], 30, "each has two partitions")
        time.sleep(1.5)  # both at work
        stack.scale("transactions", 1)
        log.wait_until(lambda: list(map(len, log.members(GROUP))) == [4], 30, "one has all again")
    assert set(spread(ids)) == {0, 1, 2, 3}
    repeats(decided(ids))
    assert partitions_read() - before == 2, "the two that came back, and not what it had all the time"


def test_killed_as_one_of_two() -> None:
    stack.scale("transactions", 2)
    log.wait_until(lambda: sorted(map(len, log.members(GROUP))) == [2, 2], 30, "each has two partitions")
    ids: dict[str, log.Place] = {}
    with fed_all_the_time(ids):
        time.sleep(1)
        stack.kill(f"{WORKER}-2")
        log.wait_until(lambda: list(map(len, log.members(GROUP))) == [4], 30, "the other has all")
    repeats(decided(ids))


def test_shown_as_pending_until_decided() -> None:
    stack.stop(WORKER)
    id_ = http.taken()
    log.wait_until(lambda: (http.shown(id_) or {}).get("status") == "pending", 5, "shown as pending")
    assert id_ in [entry["transaction_id"] for entry in http.page()["transactions"]]
    stack.start(WORKER)
    assert http.final(id_, within=20)["revision"] == 1


# Poison


def poison_of(feed: Feed) -> list[tuple[bytes | None, str]]:
    """Values that cannot be processed, and a word of the reason."""
    whole = feed.value(new_id())
    return [
        (b"garbage", "first byte"),
        (b"\0" + (2**31 - 1).to_bytes(4, "big") + whole[5:], "schema 2147483647 is not in the registry"),
        (feed.value(new_id(), {"latitude": float("nan")}), "latitude"),
        (feed.value(new_id(), {"longitude": float("inf")}), "longitude"),
        (feed.value(new_id(), {"description": "x" * 1001}), "description must have at most 1000"),
        (None, "too short"),
        (whole + b"more", "left over"),
        (whole[:20], "not a record"),
    ]


def test_poison_between_good_records() -> None:
    feed, before = Feed(), log.ends(log.DEAD_LETTER)
    poison = poison_of(feed)
    good = [new_id() for _ in poison]
    mixed: list[tuple[int, bytes | None, bytes | None]] = []
    for id_, (value, _) in zip(good, poison, strict=True):
        mixed += [(0, id_.encode(), feed.value(id_)), (0, b"poison", value)]
    found = log.produce(mixed)  # good ones at the even places, poison at the odd
    decided(dict(zip(good, found[0::2], strict=True)))
    dead_letters = log.read(log.DEAD_LETTER, before)
    assert len(dead_letters) == len(poison)
    for dead_letter, place, (value, reason) in zip(dead_letters, found[1::2], poison, strict=True):
        headers = {name: text.decode() for name, text in dead_letter.headers}
        assert (dead_letter.key, dead_letter.value) == (b"poison", value)
        assert headers["dead_letter.topic"] == log.CREATED
        assert (int(headers["dead_letter.partition"]), int(headers["dead_letter.offset"])) == place
        assert reason in headers["dead_letter.reason"]


# Redelivery


REPLICAS = ("antifraud-1", "antifraud-2")
NODES = ("cassandra-1", "cassandra-2", "cassandra-3")


@contextmanager
def deciding_otherwise() -> Iterator[None]:
    """Both replicas run a newer model with another threshold for a while."""
    for replica in REPLICAS:
        stack.kill(replica)
        command = procfile.command(replica).replace("antifraud.server", "tests.integration.newer_model")
        supervisor.start(replica, {"APPROVED_THRESHOLD": "0.9"}, command)
    stack.up(only=REPLICAS)
    try:
        yield
    finally:
        for replica in REPLICAS:
            stack.kill(replica)
        stack.up(only=REPLICAS)


def test_stored_and_not_committed_a_redelivery_repeats_the_recorded_verdict() -> None:
    ids = Feed().send(300)
    before = decided(ids)
    assert {verdicts[0].status for verdicts in before.values()} == {"accepted", "rejected"}
    stack.stop(WORKER)
    log.rewind(GROUP, lowest(ids))
    assert log.lag(GROUP) >= len(ids)
    ends = log.ends(log.STATUS)
    with deciding_otherwise():
        stack.start(WORKER)
        assert decided(ids) == before
        assert log.read(log.STATUS, ends) == [], "published again"
        # new transactions are decided differently: a second assessment would have differed
        fresh = Feed().send(50)
        assert [v[0].status for v in decided(fresh).values()].count("rejected") > 40
    assert {id_: http.final(id_)["status"] for id_ in list(ids)[:20]} == {
        id_: before[id_][0].status for id_ in list(ids)[:20]
    }


@pytest.mark.long
def test_published_and_not_stored_without_antifraud_a_redelivery_repeats_the_recorded_verdict() -> None:
    decided(Feed().send(40))  # the first batch of a partition waits for what is under way
    for node in NODES:
        stack.pause(node)
    stack.kill("envoy")
    try:
        ids = Feed().send(100)
        log.wait_until(lambda: asyncio.run(readers.published(ids)).keys() == ids.keys(), 40, "all published")
        stack.kill(WORKER)
    finally:
        for node in NODES:
            stack.resume(node)
        stack.up(only=["envoy", WORKER])
    published = decided(ids)
    assert reasons(published) == {"antifraud_unavailable"}
    assert repeats(published) == 0
    log.wait_until(lambda: reasons(decided(Feed().send(5))) == {None}, 30, "antifraud answers again")
