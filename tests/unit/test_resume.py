"""A client that comes back to a bff gets what it has missed from the log, or is told what it does not get."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import pytest

from app.errors import LogUnavailable
from app.live import resume
from app.live.event_stream import Client, EventStream, vector_of
from app.live.feed import Written
from app.live.resume import Resume
from app.models.status import Filter
from tests.unit import virtual_time
from tests.unit.test_event_stream import Wire, places, status


class Log:
    """transaction_status of one partition, read as app.messaging.tail_reader does."""

    def __init__(self, length: int, failures: int = 0):
        self.records = {offset: SimpleNamespace(**_fields(offset)) for offset in range(length)}
        self.failures = failures

    async def at(self, _topic: str, _partition: int, offsets: Iterable[int]) -> dict[int, Any]:
        if self.failures:
            self.failures -= 1
            raise LogUnavailable("down")
        return {offset: self.records[offset] for offset in offsets if offset in self.records}

    async def decode(self, values: Iterable[Any]) -> list[Any]:
        return list(values)


def _fields(offset: int) -> dict[str, Any]:
    return {"partition": 0, "offset": offset, "timestamp": 1000, "value": status(0, offset).value}


async def _live() -> None:
    """It is."""


def joined(
    seen: str | None, log: Log, *, ring_from: int, first: int = 0, wants: Filter | None = None
) -> Wire:
    """What a client hears that comes with an id to a bff whose ring begins there."""
    stream, wire = EventStream(10), Wire()
    stream.begin({0: ring_from})
    for offset in range(ring_from, len(log.records)):
        stream.take(Written(statuses=[status(0, offset)]))
    resources: Any = SimpleNamespace(tail=log, status_without_history=log)
    feed: Any = SimpleNamespace(until_live=_live, beginnings={0: first})
    client = Client(wire, wants or Filter())
    stream._clients.add(client)
    asyncio.run(Resume(resources, feed, stream).join(client, None if seen is None else vector_of(seen)))
    stream._serve()
    return wire


@pytest.fixture(autouse=True)
def quickly(monkeypatch: Any) -> None:
    monkeypatch.setattr(resume, "LOOK_AGAIN", 0.0)
    monkeypatch.setattr(resume, "PAUSE", 0.0)


@pytest.mark.parametrize("seen", [0, 3, 7, 8, 12])
def test_it_gets_what_is_in_the_log_and_what_is_in_the_ring_each_once(seen: int) -> None:
    wire = joined(f"0:{seen}", Log(12), ring_from=8)
    assert places(wire) == [(0, offset) for offset in range(seen, 12)]
    assert wire.last_id() == "0:12"


def test_it_gets_all_of_it_when_kafka_fails_meanwhile() -> None:
    assert places(joined("0:2", Log(12, failures=3), ring_from=8)) == [(0, n) for n in range(2, 12)]


def test_who_has_no_id_begins_with_what_comes() -> None:
    assert places(joined(None, Log(12), ring_from=8)) == []


def test_who_was_away_for_too_long_is_told_what_it_does_not_get(monkeypatch: Any) -> None:
    monkeypatch.setattr(resume, "CATCH_UP_MOST", 5)
    wire = joined("0:0", Log(12), ring_from=8)
    gap, *_ = wire.events()
    assert (gap["event"], gap["from"], gap["to"]) == ("gap", "0:0", "0:8")
    assert places(wire) == [(0, n) for n in range(8, 12)]


def test_an_id_that_the_log_has_not_reached_is_told_so() -> None:
    wire = joined("0:99", Log(12), ring_from=8)
    (gap,) = wire.events()
    assert (gap["from"], gap["to"], gap["reason"]) == ("0:99", "0:12", "the id is of another log")


def test_who_wants_what_the_log_has_deleted_is_told_so() -> None:
    wire = joined("0:1", Log(12), ring_from=8, first=5)
    gap, *_ = wire.events()
    assert (gap["event"], gap["from"], gap["to"]) == ("gap", "0:1", "0:5")
    assert places(wire) == [(0, n) for n in range(5, 12)]


def test_a_filter_holds_for_what_is_read_from_the_log() -> None:
    wire = joined("0:0", Log(12), ring_from=8, wants=Filter(customer_id="nobody"))
    assert wire.events() == []
    assert vector_of(wire.last_id()) == {0: 8}  # the heartbeat brings it on


def test_a_client_that_takes_nothing_is_cut_off_while_it_catches_up(monkeypatch: Any) -> None:
    monkeypatch.setattr(resume, "BUFFER", 0)
    monkeypatch.setattr(resume, "STALLED_LOOKS", 2)
    assert joined("0:0", Log(12), ring_from=8).closed


def test_clients_that_take_nothing_hold_up_no_other_one(monkeypatch: Any) -> None:
    """They catch up in turns: who waits for a client does it without one."""
    monkeypatch.setattr(resume, "BUFFER", 1)
    monkeypatch.setattr(resume, "STEP", 3)
    monkeypatch.setattr(resume, "LOOK_AGAIN", 0.05)
    stream, log = EventStream(100), Log(12)
    stream.begin({0: 12})
    resources: Any = SimpleNamespace(tail=log, status_without_history=log)
    resuming = Resume(resources, SimpleNamespace(until_live=_live, beginnings={0: 0}), stream)  # type: ignore[arg-type]

    async def situation() -> None:
        stuck = [Wire(takes=False) for _ in range(3 * resume.READERS)]
        others = [asyncio.create_task(join(wire)) for wire in stuck]
        await asyncio.sleep(1)
        began = virtual_time.now()
        await join(Wire())
        assert virtual_time.now() - began < 1
        await asyncio.gather(*others)
        assert all(wire.closed for wire in stuck)
        assert all(len(places(wire)) == 3 for wire in stuck), "nothing more is read for who was cut off"

    async def join(wire: Wire) -> None:
        client = Client(wire, Filter())
        stream._clients.add(client)
        await resuming.join(client, {0: 0})

    virtual_time.run(situation())
