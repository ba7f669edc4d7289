"""A client that comes back with an id gets what it has missed: from the ring, and what is older from the log."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from app.errors import LogUnavailable, Poison
from app.live.event_stream import BUFFER, STALLED, Client, EventStream, Vector, status_data, text_of
from app.live.feed import LiveFeed, Logged
from app.messaging import topics
from app.resources import Resources
from app.retry import pauses

#: Records that a client gets from the log; who has missed more is told so, and reads the list.
CATCH_UP_MOST = 20_000
#: Clients that read the log at once, and records of one read.
READERS, STEP = 4, 2000
#: Seconds between two looks; how many until an id that is ahead of this bff is of another log, and until a client that
#: takes nothing is cut off.
LOOK_AGAIN = 0.05
AHEAD_LOOKS, STALLED_LOOKS = 40, int(STALLED / LOOK_AGAIN)
#: Seconds after a failure to read the log; doubled up to the second.
PAUSE, PAUSE_MOST = 0.2, 2.0


class Resume:
    """Brings clients from their id to the ring."""

    def __init__(self, resources: Resources, feed: LiveFeed, stream: EventStream):
        self._resources = resources
        self._feed = feed
        self._stream = stream
        self._readers = asyncio.Semaphore(READERS)

    async def join(self, client: Client, seen: Vector | None) -> None:
        """Let it join once the feed is live; `seen`: it has all before these offsets. Waits while Kafka is down."""
        await self._feed.until_live()
        if seen is not None:
            seen = await self._of_this_log(client, seen)
        if seen is None:
            self._stream.join(client)
            return
        waits = pauses(PAUSE, PAUSE_MOST)
        while (missing := self._missing(seen)) and not client.connection.is_closed():
            if sum(end - start for start, end in missing.values()) > CATCH_UP_MOST:
                self._skip(client, seen, "more was missed than is sent again")
                continue
            try:
                async with self._readers:
                    await self._send_some(client, seen, missing)
            except LogUnavailable:
                await asyncio.sleep(next(waits))
            await _until_taken(client)  # without a turn: who takes nothing holds up nobody else
        self._stream.join(client, seen)

    async def _of_this_log(self, client: Client, seen: Vector) -> Vector | None:
        """None, and a gap, for an id whose offsets the log has not reached or has no longer."""
        for _ in range(AHEAD_LOOKS):
            if not self._is_ahead(seen):
                break
            await asyncio.sleep(LOOK_AGAIN)
        else:
            self._stream.gap(client, text_of(seen), text_of(self._stream.now), "the id is of another log")
            return None
        first = self._feed.beginnings
        if any(seen.get(partition, 0) < offset for partition, offset in first.items()):
            kept = {partition: max(offset, seen.get(partition, 0)) for partition, offset in first.items()}
            self._stream.gap(client, text_of(seen), text_of(kept), "the log has the beginning no longer")
            return kept
        return dict(seen)

    def _is_ahead(self, seen: Vector) -> bool:
        now = self._stream.now
        return any(offset > now.get(partition, -1) for partition, offset in seen.items())

    def _missing(self, seen: Vector) -> dict[int, tuple[int, int]]:
        """Per partition, the offsets that neither the client nor the ring has: from, to before."""
        oldest = self._stream.oldest
        return {p: (seen.get(p, 0), end) for p, end in oldest.items() if seen.get(p, 0) < end}

    def _skip(self, client: Client, seen: Vector, reason: str) -> None:
        before = text_of(seen)
        seen |= {partition: end for partition, (_, end) in self._missing(seen).items()}
        self._stream.gap(client, before, text_of(seen), reason)

    async def _send_some(self, client: Client, seen: Vector, missing: Mapping[int, tuple[int, int]]) -> None:
        partition, (start, end) = next(iter(missing.items()))
        last = min(start + STEP, end)
        found = await self._resources.tail.at(topics.STATUS, partition, range(start, last))
        await self._send(client, seen, [found[offset] for offset in sorted(found)])
        seen[partition] = last

    async def _send(self, client: Client, seen: Vector, records: Sequence[Any]) -> None:
        values = await self._resources.status_without_history.decode([record.value for record in records])
        chunks = []
        for record, value in zip(records, values, strict=True):
            seen[record.partition] = record.offset + 1
            wanted = not isinstance(value, Poison) and client.wants.fits(
                value["status"], value["customer_id"]
            )
            if wanted:
                one = Logged(record.partition, record.offset, record.timestamp, value)
                chunks.append(b"id: %s\n%s" % (text_of(seen).encode(), status_data(one)))
        client.connection.write(b"".join(chunks))
        client.vector = text_of(seen)


async def _until_taken(client: Client) -> None:
    for _ in range(STALLED_LOOKS):
        if client.connection.waiting() < BUFFER or client.connection.is_closed():
            return
        await asyncio.sleep(LOOK_AGAIN)
    client.connection.abort()
