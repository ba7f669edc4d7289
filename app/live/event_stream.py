"""Statuses as server-sent events: encoded once, shared by all clients, resumed from the log.

The newest events are kept in a ring. A client is a position in it, so one that is slow, one that has come back and one
that has just come are served alike: by what is between their position and the end. Who wants more than the ring has
gets it from the log (resume.py); who falls out of the ring is told what it missed, in a `gap`.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from app.live.feed import Logged, Written
from app.models.status import Filter, TransactionStatus
from app.models.transaction import Transaction
from app.observability import metrics
from app.stores.recent_transactions import detail_of, entry_of, pending_entry

#: Events kept: some 7 MB. Fewer, where they are so large that they would be more bytes.
RING, RING_BYTES = 10_000, 16_000_000
#: Events written to a client at a time, of no more bytes than may wait.
CHUNK = 1000
#: Bytes that may wait in a client's connection; beyond, it is served again when it has taken them.
BUFFER = 256 * 1024
#: Seconds after which a client that takes nothing is cut off.
STALLED = 30.0
HEARTBEAT = 10.0
#: Seconds between two writes to a client, per client there is, and at most: each write costs 15 microseconds.
PACE, PACE_MOST = 0.0001, 0.05

Vector = dict[int, int]
_VECTOR = re.compile(r"[0-9]{1,4}:[0-9]{1,19}(,[0-9]{1,4}:[0-9]{1,19})*")


class Connection(Protocol):
    """Where a client's bytes go."""

    def write(self, data: bytes) -> None:
        """Without waiting."""

    def waiting(self) -> int:
        """Bytes that were written and are not sent."""

    def is_closed(self) -> bool:
        """Whether the client has gone."""

    def abort(self) -> None:
        """Drop the client."""


class Event(NamedTuple):
    """One in the ring. `vector`, for a status alone, is where a client stands that has got it."""

    data: bytes  # its lines but for the id
    status: str
    customer_id: str
    place: tuple[int, int] | None  # partition and offset in transaction_status
    vector: str

    def encoded(self) -> bytes:
        """As it is sent to a client that has all before it."""
        return b"id: %s\n%s" % (self.vector.encode(), self.data) if self.place else self.data


@dataclass(eq=False, slots=True)
class Client:
    """One listener: its position, and what it has got of the ring already, if it came back with an id."""

    connection: Connection
    wants: Filter
    position: int | None = None  # the number of the next event; None until it has joined
    vector: str = ""  # where it stands
    seen: Vector = field(default_factory=dict)
    stalled_since: float | None = None
    gone: asyncio.Event = field(default_factory=asyncio.Event)


class EventStream:
    """The ring and its clients."""

    def __init__(self, most: int):
        """`most`: clients at once."""
        self._most = most
        self._ring: list[Event] = []
        self._bytes = 0
        self._first = 0  # number of the first event in the ring
        self._oldest: Vector = {}  # where the ring begins
        self._now: Vector = {}  # where it ends
        self._clients: set[Client] = set()
        self._news = asyncio.Event()

    @property
    def is_full(self) -> bool:
        """Whether there is no room for another client."""
        return len(self._clients) >= self._most

    @property
    def oldest(self) -> Vector:
        """Where the ring begins: what is before is in the log alone."""
        return dict(self._oldest)

    @property
    def now(self) -> Vector:
        """Where it ends."""
        return dict(self._now)

    @contextlib.contextmanager
    def client(self, connection: Connection, wants: Filter) -> Iterator[Client]:
        """A client, as long as its connection lasts; it gets heartbeats alone until it has joined."""
        one = Client(connection, wants)
        self._clients.add(one)
        metrics.EVENT_CLIENTS.set(len(self._clients))
        try:
            yield one
        finally:
            self._clients.discard(one)
            metrics.EVENT_CLIENTS.set(len(self._clients))

    def begin(self, offsets: Mapping[int, int]) -> None:
        """The feed begins here: what is in the ring is not followed by what comes."""
        self._first += len(self._ring)
        self._ring, self._bytes, self._oldest, self._now = [], 0, dict(offsets), dict(offsets)
        self._news.set()

    def take(self, written: Written) -> None:
        """More was written."""
        had = len(self._ring)
        self._ring += [_pending(one) for one in written.created]
        for one in written.statuses:
            self._now[one.partition] = one.offset + 1
            self._ring.append(_status(one, text_of(self._now)))
        self._bytes += _size(self._ring[had:])
        self._trim(2 * RING, 2 * RING_BYTES)
        if self._clients:
            self._news.set()

    def went_live(self) -> None:
        """Clients join now. What was read at a start is in no order of time: what they lack may be anywhere in it."""
        self._trim(RING, RING_BYTES)  # so nothing is cut off before RING more have come

    def _trim(self, most: int, most_bytes: int) -> None:
        """Not one by one: to cut the front of a list costs its length."""
        if len(self._ring) <= most and self._bytes <= most_bytes:
            return
        count = max(0, len(self._ring) - RING)
        left = self._bytes - _size(self._ring[:count])
        while left > RING_BYTES:
            left -= len(self._ring[count].data)
            count += 1
        gone, self._ring, self._bytes = self._ring[:count], self._ring[count:], left
        self._first += len(gone)
        self._oldest |= {e.place[0]: e.place[1] + 1 for e in gone if e.place}

    def join(self, client: Client, seen: Vector | None = None) -> None:
        """From now on it gets what comes; if it has `seen` all before these offsets, also what the ring has since."""
        client.position = self._first + (len(self._ring) if seen is None else self._first_unseen(seen))
        client.seen = dict(seen or {})
        client.vector = text_of(self._now if seen is None else seen)
        client.connection.write(_position(client.vector))
        self._news.set()

    def _first_unseen(self, seen: Vector) -> int:
        """Where in the ring the first status is that a client which has seen this has not got."""
        unseen = (i for i, e in enumerate(self._ring) if e.place and e.place[1] >= seen.get(e.place[0], 0))
        return next(unseen, len(self._ring))

    def gap(self, client: Client, start: str, end: str, reason: str) -> None:
        """Tell it that it has not got what is between the two."""
        metrics.EVENT_GAPS.inc()
        text = f'{{"reason":"{reason}","from":"{start}","to":"{end}"}}'
        client.connection.write(f"id: {end}\nevent: gap\ndata: {text}\n\n".encode())
        client.vector = end

    async def run(self) -> None:
        """Serve the clients until cancelled."""
        loop = asyncio.get_running_loop()
        beat = loop.time()
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(beat + HEARTBEAT):
                    await self._news.wait()
            self._news.clear()
            self._serve()
            if loop.time() - beat >= HEARTBEAT:
                beat = loop.time()
                self._heartbeat()
            await asyncio.sleep(min(PACE * len(self._clients), PACE_MOST))

    def close(self) -> None:
        """Let all clients go, at a stop: they come back elsewhere, or later."""
        for client in self._clients:
            client.gone.set()

    def _serve(self) -> None:
        shared: dict[tuple[int, Filter], bytes] = {}
        ends: dict[int, int] = {}
        for client in self._clients:
            if self._is_able(client):
                self._serve_one(client, shared, ends)

    def _is_able(self, client: Client) -> bool:
        """Whether more may be written to it; one that takes nothing for too long is cut off."""
        if client.connection.is_closed():
            client.gone.set()
            return False
        if client.connection.waiting() < BUFFER:
            client.stalled_since = None
            return client.position is not None
        client.stalled_since = client.stalled_since or time.monotonic()
        if time.monotonic() - client.stalled_since > STALLED:
            client.connection.abort()
            client.gone.set()
        return False

    def _serve_one(
        self, client: Client, shared: dict[tuple[int, Filter], bytes], ends: dict[int, int]
    ) -> None:
        assert client.position is not None
        if client.position < self._first:
            client.position = self._first
            if self._has_missed(client):
                self.gap(client, client.vector, text_of(self._oldest), "this client was too slow")
        start = client.position - self._first
        events = self._chunk(start, ends)
        if not events:
            return
        if client.seen:
            chunk = _unseen(client, events)
        else:
            key = (client.position, client.wants)
            chunk = shared.get(key) or _joined(events, client.wants)
            shared[key] = chunk
            client.vector = next((e.vector for e in reversed(events) if e.place), client.vector)
        client.position += len(events)
        if chunk:
            client.connection.write(chunk)
        if start + len(events) < len(self._ring):
            self._news.set()
        elif all(self._now.get(partition, 0) >= offset for partition, offset in client.seen.items()):
            client.seen = {}  # it has what all have

    def _chunk(self, start: int, ends: dict[int, int]) -> list[Event]:
        if start not in ends:
            ends[start] = self._end_of_chunk(start)
        return self._ring[start : ends[start]]

    def _end_of_chunk(self, start: int) -> int:
        """One event at least; the next ones as long as they are not too many, or too large together."""
        size = 0
        for end in range(start, min(start + CHUNK, len(self._ring))):
            size += len(self._ring[end].data)
            if size > BUFFER and end > start:
                return end
        return min(start + CHUNK, len(self._ring))

    def _has_missed(self, client: Client) -> bool:
        """Whether a status that has left the ring is not among those that it has got."""
        got = client.seen or (vector_of(client.vector) if client.vector else {})
        return any(got.get(partition, 0) < offset for partition, offset in self._oldest.items())

    def _heartbeat(self) -> None:
        """So that proxies keep the connection, and a client whose filter lets nothing through moves on all the same."""
        for client in self._clients:
            if client.connection.is_closed():
                client.gone.set()
            elif client.connection.waiting() < BUFFER:
                client.connection.write(b": heartbeat\n" + _position(client.vector))


def _size(events: Iterable[Event]) -> int:
    return sum(len(event.data) for event in events)


def _unseen(client: Client, events: Sequence[Event]) -> bytes:
    """What a client that came back has not got, with ids of its own: it may have got more of one partition."""
    chunks = []
    for event in events:
        if event.place is None or event.place[1] < client.seen.get(event.place[0], 0):
            continue
        client.seen[event.place[0]] = event.place[1] + 1
        if client.wants.fits(event.status, event.customer_id):
            chunks.append(b"id: %s\n%s" % (text_of(client.seen).encode(), event.data))
    client.vector = text_of(client.seen)
    return b"".join(chunks)


def text_of(offsets: Mapping[int, int]) -> str:
    """A vector as an event's id: the next offset of each partition."""
    return ",".join(f"{partition}:{offset}" for partition, offset in sorted(offsets.items()))


def vector_of(text: str) -> Vector:
    """The offsets in an id of ours; ValueError."""
    if not _VECTOR.fullmatch(text):
        raise ValueError("not an id of ours")
    found = {int(p): int(offset) for p, _, offset in (part.partition(":") for part in text.split(","))}
    if text_of(found) != text:
        raise ValueError("not an id of ours")
    return found


def status_data(one: Logged[TransactionStatus]) -> bytes:
    """The lines of a status, but for its id."""
    detail = detail_of(entry_of(one.value)[2])
    place = (
        f'"status_partition":{one.partition},"status_offset":{one.offset},"published_ms":{one.timestamp_ms}'
    )
    return f"event: status\ndata: {detail[:-1]},{place}}}\n\n".encode()


def _status(one: Logged[TransactionStatus], vector: str) -> Event:
    value = one.value
    return Event(status_data(one), value["status"], value["customer_id"], (one.partition, one.offset), vector)


def _pending(one: Logged[Transaction]) -> Event:
    detail = detail_of(pending_entry(one.value)[2])
    data = f"event: pending\ndata: {detail}\n\n".encode()
    return Event(data, "pending", one.value["customer_id"], None, "")


def _joined(events: Sequence[Event], wants: Filter) -> bytes:
    if wants == Filter():
        return b"".join(event.encoded() for event in events)
    return b"".join(event.encoded() for event in events if wants.fits(event.status, event.customer_id))


def _position(vector: str) -> bytes:
    """Moves the client's last event id, and is no event to it."""
    return f"id: {vector}\n\n".encode() if vector else b"\n"
