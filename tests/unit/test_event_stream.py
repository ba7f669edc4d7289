"""The events: each status once, to every client, however slow it is and whichever bff it comes back to."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.live import event_stream
from app.live.event_stream import Client, EventStream, text_of, vector_of
from app.live.feed import Logged, Written
from app.models.status import Filter
from tests.unit import samples

PARTITIONS = 3
ALL = Filter()


class Wire:
    """A client's connection, and what has come through it."""

    def __init__(self, takes: bool = True) -> None:
        self.data, self.takes, self.closed = b"", takes, False

    def write(self, data: bytes) -> None:
        self.data += data

    def waiting(self) -> int:
        return 0 if self.takes else len(self.data)

    def is_closed(self) -> bool:
        return self.closed

    def abort(self) -> None:
        self.closed = True

    def events(self) -> list[dict[str, Any]]:
        """As a browser has them: name, data, and the last id it knows of."""
        found, last = [], None
        for block in self.data.decode().split("\n\n"):
            lines = dict(line.split(": ", 1) for line in block.split("\n") if re.match(r"\w+: ", line))
            last = lines.get("id", last)
            if "data" in lines:
                found.append({"event": lines["event"], "id": last, **json.loads(lines["data"])})
        return found

    def last_id(self) -> str:
        ids: list[str] = re.findall(r"^id: (.+)$", self.data.decode(), re.MULTILINE)
        return ids[-1]


def status(partition: int, offset: int, **other: Any) -> Logged[Any]:
    value = samples.status(transaction_id=f"{partition}-{offset}", **other)
    return Logged(partition, offset, 1000, value)


def joined(stream: EventStream, wire: Wire, wants: Filter = ALL, seen: str | None = None) -> Client:
    client = Client(wire, wants)
    stream._clients.add(client)
    stream.join(client, None if seen is None else vector_of(seen))
    return client


def begun(offsets: dict[int, int] | None = None) -> EventStream:
    stream = EventStream(10)
    stream.begin(offsets or dict.fromkeys(range(PARTITIONS), 0))
    return stream


def places(wire: Wire) -> list[tuple[int, int]]:
    return [(e["status_partition"], e["status_offset"]) for e in wire.events() if e["event"] == "status"]


def test_a_client_gets_what_is_published_after_it_has_come_with_its_place_in_the_log() -> None:
    stream, wire = begun(), Wire()
    stream.take(Written(statuses=[status(0, 0)]))
    joined(stream, wire)
    stream.take(Written(statuses=[status(0, 1), status(2, 5)]))
    stream._serve()
    first, second = wire.events()
    assert (first["transaction_id"], first["id"]) == ("0-1", "0:2,1:0,2:0")
    assert (second["status_offset"], second["id"], second["published_ms"]) == (5, "0:2,1:0,2:6", 1000)


def test_a_transaction_is_seen_pending_first_without_an_id() -> None:
    stream, wire = begun(), Wire()
    joined(stream, wire)
    before = wire.last_id()
    stream.take(Written(created=[Logged(0, 7, 1000, samples.transaction())]))
    stream._serve()
    (event,) = wire.events()
    assert (event["event"], event["status"], event["revision"]) == ("pending", "pending", 0)
    assert wire.last_id() == before


def test_a_client_that_gets_nothing_knows_from_the_start_where_it_stands() -> None:
    stream, wire = begun({0: 3, 1: 0, 2: 9}), Wire()
    joined(stream, wire)
    assert wire.last_id() == "0:3,1:0,2:9"
    assert wire.events() == []


@given(st.data())
@settings(max_examples=100, deadline=None)
def test_a_client_of_bffs_that_die_again_and_again_gets_each_status_exactly_once(data: st.DataObject) -> None:
    """Each bff reads the partitions in an order of its own, and begins where it likes before the client's place."""
    lengths = [data.draw(st.integers(0, 12), label="length") for _ in range(PARTITIONS)]
    got: list[tuple[int, int]] = []
    last = text_of(dict.fromkeys(range(PARTITIONS), 0))
    for is_last in [*[False] * data.draw(st.integers(0, 4), label="deaths"), True]:
        start = {p: data.draw(st.integers(0, o), label="start") for p, o in vector_of(last).items()}
        stream, wire = begun(start), Wire()
        upcoming = [p for p in range(PARTITIONS) for _ in range(lengths[p] - start[p])]
        order = data.draw(st.permutations(upcoming), label="order")
        join_at = data.draw(st.integers(0, len(order)), label="joins")
        end = len(order) if is_last else data.draw(st.integers(join_at, len(order)), label="dies")
        offsets = dict(start)
        for n, partition in enumerate([*order[:end], None]):
            if n == join_at:
                joined(stream, wire, seen=last)
            if partition is not None:
                stream.take(Written(statuses=[status(partition, offsets[partition])]))
                offsets[partition] += 1
            if data.draw(st.booleans(), label="served") or (is_last and partition is None):
                stream._serve()
        # What reached the client before the bff died ends anywhere, also inside an event.
        if not is_last:
            wire.data = wire.data[: data.draw(st.integers(0, len(wire.data)), label="cut")]
            wire.data = wire.data[: wire.data.rfind(b"\n\n") + 2] if b"\n\n" in wire.data else b""
        got += places(wire)
        last = wire.last_id() if b"id: " in wire.data else last
    assert sorted(got) == [(p, offset) for p in range(PARTITIONS) for offset in range(lengths[p])]


def test_who_comes_back_to_a_bff_that_has_read_much_at_its_start_has_time_to_take_it(
    monkeypatch: Any,
) -> None:
    """A start reads one partition after the other: what the client lacks may be the oldest in the ring."""
    monkeypatch.setattr(event_stream, "RING", 4)
    stream, wire = begun(), Wire()
    stream.take(Written(statuses=[status(p, offset) for p in (0, 1) for offset in range(4)]))
    stream.went_live()
    lacks = {0: 3, 1: 4, 2: 0}
    from_the_log = [(p, n) for p, end in stream.oldest.items() for n in range(lacks[p], end)]
    joined(stream, wire, seen=text_of({p: max(lacks[p], end) for p, end in stream.oldest.items()}))
    for offset in range(4, 8):
        stream.take(Written(statuses=[status(1, offset)]))
    stream._serve()
    assert [event["event"] for event in wire.events()] == ["status"] * len(places(wire))
    assert from_the_log + places(wire) == [(0, 3), (1, 4), (1, 5), (1, 6), (1, 7)]


def test_a_client_that_was_too_slow_is_told_which_statuses_it_has_missed(monkeypatch: Any) -> None:
    monkeypatch.setattr(event_stream, "RING", 4)
    monkeypatch.setattr(event_stream, "BUFFER", 100)
    stream, wire = begun(), Wire()
    joined(stream, wire)
    stream.take(Written(statuses=[status(0, 0)]))
    stream._serve()
    wire.takes = False
    for offset in range(1, 10):
        stream.take(Written(statuses=[status(0, offset)]))
        stream._serve()
    wire.takes = True
    for _ in range(10):  # each time as much as may wait
        stream._serve()
    gap = next(event for event in wire.events() if event["event"] == "gap")
    assert gap["from"] == "0:1,1:0,2:0"
    there = [offset for _, offset in places(wire)]
    assert there == [0, *range(vector_of(gap["to"])[0], 10)]


def test_who_comes_back_is_told_of_no_gap_when_what_leaves_the_ring_is_what_it_has_got(
    monkeypatch: Any,
) -> None:
    """A bff that was killed begins with a long backlog, and drops most of it while its clients come back."""
    monkeypatch.setattr(event_stream, "RING", 4)
    stream, wire = begun(), Wire()
    stream.take(Written(created=[Logged(0, n, 1000, samples.transaction()) for n in range(3)]))
    stream.take(Written(statuses=[status(0, offset) for offset in range(5)]))
    joined(stream, wire, seen="0:4,1:0,2:0")
    for offset in range(5, 8):
        stream.take(Written(statuses=[status(0, offset)]))
    stream._serve()
    assert places(wire) == [(0, 4), (0, 5), (0, 6), (0, 7)]
    assert [event["event"] for event in wire.events()] == ["status"] * 4


def test_a_client_that_is_slow_for_a_while_misses_nothing(monkeypatch: Any) -> None:
    monkeypatch.setattr(event_stream, "BUFFER", 100)
    stream, wire = begun(), Wire()
    joined(stream, wire)
    for offset in range(50):
        wire.takes = offset % 7 == 0
        stream.take(Written(statuses=[status(1, offset)]))
        stream._serve()
    wire.takes = True
    for _ in range(50):  # each time as much as may wait
        stream._serve()
    assert places(wire) == [(1, offset) for offset in range(50)]


def test_of_large_events_no_more_is_written_at_once_than_may_wait(monkeypatch: Any) -> None:
    monkeypatch.setattr(event_stream, "BUFFER", 50_000)
    stream, wire = begun(), Wire()
    joined(stream, wire, seen="1:0")
    stream.take(Written(statuses=[status(1, offset, description="x" * 1000) for offset in range(200)]))
    sizes = []
    for _ in range(50):
        before = len(wire.data)
        stream._serve()
        sizes.append(len(wire.data) - before)
    assert max(sizes) < 55_000
    assert len([size for size in sizes if size]) > 3
    assert places(wire) == [(1, offset) for offset in range(200)]


def test_what_is_kept_is_bounded_in_bytes_and_who_misses_something_is_told(monkeypatch: Any) -> None:
    monkeypatch.setattr(event_stream, "RING_BYTES", 20_000)
    stream, wire = begun({1: 0}), Wire(takes=False)
    joined(stream, wire)
    monkeypatch.setattr(event_stream, "BUFFER", 1)
    for offset in range(100):
        stream.take(Written(statuses=[status(1, offset, description="x" * 1000)]))
        assert sum(len(event.data) for event in stream._ring) == stream._bytes <= 40_000
    wire.takes = True
    for _ in range(100):
        stream._serve()
    (gap,) = [event for event in wire.events() if event["event"] == "gap"]
    first, last = places(wire)[0], places(wire)[-1]
    assert gap["to"] == f"1:{first[1]}"
    assert last == (1, 99)


def test_a_client_that_reads_nothing_is_cut_off(monkeypatch: Any) -> None:
    monkeypatch.setattr(event_stream, "BUFFER", 1)
    monkeypatch.setattr(event_stream, "STALLED", -1.0)
    stream, wire = begun(), Wire(takes=False)
    client = joined(stream, wire)
    stream._serve()
    assert wire.closed
    assert client.gone.is_set()


def test_a_filter_lets_through_what_was_asked_for_alone() -> None:
    stream, rejected, of_a_customer = begun(), Wire(), Wire()
    joined(stream, rejected, Filter(status="rejected"))
    joined(stream, of_a_customer, Filter(customer_id="c2"))
    stream.take(
        Written(
            created=[Logged(0, 0, 1000, samples.transaction())],
            statuses=[status(0, 0, status="rejected"), status(0, 1, customer_id="c2")],
        )
    )
    stream._serve()
    assert places(rejected) == [(0, 0)]
    assert places(of_a_customer) == [(0, 1)]
    assert len(rejected.events()) == 1


def test_a_filter_that_lets_nothing_through_moves_on_with_the_heartbeat() -> None:
    stream, wire = begun(), Wire()
    joined(stream, wire, Filter(customer_id="nobody"))
    stream.take(Written(statuses=[status(0, 0)]))
    stream._serve()
    stream._heartbeat()
    assert wire.last_id() == "0:1,1:0,2:0"
    assert wire.events() == []


def test_a_text_of_a_client_cannot_end_an_event() -> None:
    stream, wire = begun(), Wire()
    joined(stream, wire)
    text = "a\n\nevent: status\ndata: {}\r\r\u2028<script>"
    stream.take(Written(statuses=[status(0, 0, description=text)]))
    stream._serve()
    (event,) = wire.events()
    assert event["description"] == text


def test_clients_at_the_same_place_share_the_same_bytes() -> None:
    stream, wires = begun(), [Wire() for _ in range(3)]
    for wire in wires:
        joined(stream, wire)
        wire.write = lambda data, wire=wire: setattr(wire, "data", data)  # type: ignore[method-assign,misc]
    stream.take(Written(statuses=[status(0, 0)]))
    stream._serve()
    assert wires[0].data is wires[1].data is wires[2].data


@pytest.mark.parametrize(
    "text", ["", "x", "0", "0:", "0:1,", "0:-1", "10000:1", "1:1,0:1", "0:1,0:2", "0:01", "\u0660:1", "0:1\n"]
)
def test_what_is_no_id_of_ours_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not an id of ours"):
        vector_of(text)


def test_an_id_of_ours_is_read_as_it_was_written() -> None:
    assert vector_of(text_of({1: 5, 0: 12, 10: 0, 2: 7})) == {0: 12, 1: 5, 2: 7, 10: 0}
