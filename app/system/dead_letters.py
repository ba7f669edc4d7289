"""The newest dead letters, and sending them back: what `faust dead-letters` does, within bounds."""

from __future__ import annotations

import asyncio
import base64
import codecs
import time
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from app.errors import LogUnavailable, PipelineError
from app.messaging import topics
from app.messaging.dead_letter_topic import (
    DeadLetterSources,
    Listed,
    StoredDeadLetter,
    sent_back,
    until_forgotten,
)
from app.messaging.dead_letters import BYTES, FORM, GZIP, PREFIX, headers_of
from app.messaging.fenced_writer import FencedWriter
from app.messaging.kafka_errors import log_unavailable
from app.messaging.producer import Headers
from app.resources import Resources

#: Offsets of each partition that are looked at; what is older is the command's.
TAIL = 500
#: Records in memory at once: each may have a megabyte.
AT_ONCE = 20
#: Dead letters of one answer, and of one call that sends all back.
MOST = 100
#: Bytes of a dead letter that are shown; the command shows all.
SHOWN_BYTES, KEY_BYTES = 4096, 256
#: Seconds for a look, and for a call that sends back.
LOOK_WITHIN, SEND_WITHIN = 10.0, 25.0

ALL = "all"


class NoSuchDeadLetter(PipelineError):
    """None of the newest has that id."""


class CannotBeSentBack(PipelineError):
    """What it holds is not the record that it was."""


class NotAllSent(LogUnavailable):
    """The time was over; the text is written for clients."""


class AtWork(PipelineError):
    """Another call sends back just now."""


@dataclass(frozen=True, slots=True)
class ShortRecord:
    """A record of the topic with no more of it than is shown: its value is the beginning of the original's."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    value_bytes: int  # of the whole original


@dataclass(frozen=True, slots=True)
class Tail:
    """The newest dead letters, newest first, those that were sent back too."""

    dead_letters: Sequence[StoredDeadLetter]

    @property
    def waiting(self) -> list[StoredDeadLetter]:
        """Those that were not sent back."""
        return [one for one in self.dead_letters if not one.sent_back]


class DeadLetters:
    """What the bff knows of the dead-letter topic."""

    def __init__(self, resources: Resources):
        self._resources = resources
        self._tail: Tail | None = None
        self._ends: int | None = None  # of the topic, when its tail was read
        self._look: asyncio.Task[Tail] | None = None
        self._sending = asyncio.Lock()

    def count(self, ends: int | None) -> int | None:
        """How many wait, as of the last look; where the topic has grown since (`ends`), the next one begins."""
        if ends is not None and ends != self._ends and (self._look is None or self._look.done()):
            self._ends = ends
            self._look = asyncio.create_task(self._read())
            self._look.add_done_callback(self._note)
        return None if self._tail is None else len(self._tail.waiting)

    def _note(self, look: asyncio.Task[Tail]) -> None:
        if look.cancelled() or look.exception() is not None:
            self._ends = None  # the next question begins anew
        else:
            self._tail = look.result()

    async def newest(self) -> dict[str, Any]:
        """As GET /api/v1/dead-letters has it; LogUnavailable."""
        tail = await self._read()
        return {
            "dead_letters": [shown(one) for one in tail.waiting[:MOST]],
            "total": len(tail.waiting),
        }

    async def send_back(self, place: str) -> int:
        """One, or all, once more into transaction_created; how many. LogUnavailable, AtWork, what `chosen` raises."""
        if self._sending.locked():
            raise AtWork("another call sends dead letters back; try again")
        async with self._sending:
            sent: list[str] = []
            try:
                async with asyncio.timeout(SEND_WITHIN):
                    await self._send(place, sent)
            except TimeoutError as exc:
                said = f"Kafka did not take all within {SEND_WITHIN:g} s; {len(sent)} are sent back, the others wait"
                raise NotAllSent(said) from exc
            return len(sent)

    async def _send(self, place: str, sent: list[str]) -> None:
        with log_unavailable("dead letters could not be sent back"):
            # Read once nobody else can send: whoever claims the writer's id last is the only one that writes.
            async with FencedWriter(self._resources.settings, "dead-letters") as writer:
                wanted = {one.place: one for one in chosen(await self._read(), place)}
                for partition, offsets in near(one.record for one in wanted.values()):
                    records = await self._resources.tail.at(topics.DEAD_LETTER, partition, offsets)
                    for offset, record in sorted(records.items()):
                        whole = _with(wanted[f"{partition}:{offset}"], record)
                        await asyncio.sleep(until_forgotten(whole, time.time()))
                        await writer.write(sent_back(whole))
                        sent.append(whole.place)

    async def _read(self) -> Tail:
        """LogUnavailable."""
        sources, records = DeadLetterSources(), list[ShortRecord]()

        def take(some: Sequence[Any]) -> None:
            for record in some:
                sources.add(headers_of(record))
                records.append(short(record))

        with log_unavailable("the dead letters could not be read"):
            async with asyncio.timeout(LOOK_WITHIN):
                (count,) = await self._resources.producer.partition_counts((topics.DEAD_LETTER,))
                for partition in range(count):
                    await self._resources.tail.newest(topics.DEAD_LETTER, partition, TAIL, AT_ONCE, take)
        listed = Listed(sources)
        found = [one for record in records if (one := listed.dead_letter(record))]
        return Tail(sorted(found, key=_when, reverse=True))

    async def close(self) -> None:
        """End the look."""
        if self._look is not None:
            self._look.cancel()
            await asyncio.gather(self._look, return_exceptions=True)


def chosen(tail: Tail, place: str) -> list[StoredDeadLetter]:
    """What is to be sent back, oldest first; NoSuchDeadLetter, CannotBeSentBack. None where it was sent before."""
    if place == ALL:
        return [one for one in reversed(tail.waiting) if can_be_sent(one)][:MOST]
    found = [one for one in tail.dead_letters if one.place == place]
    if not found:
        raise NoSuchDeadLetter(f"none of the newest dead letters has the id {place}")
    if not can_be_sent(found[0]):
        raise CannotBeSentBack(f"{place} holds only a part of its record, or a batch that nobody can read")
    return [one for one in found if not one.sent_back]


def can_be_sent(dead_letter: StoredDeadLetter) -> bool:
    """Whether it holds the whole record that it was."""
    return not (dead_letter.is_cut or dead_letter.is_batch)


def near(records: Iterable[Any]) -> Iterator[tuple[int, list[int]]]:
    """Offsets of a partition that are read at once: no more than AT_ONCE apart, for all between are read too."""
    partition, offsets = -1, list[int]()
    for place in sorted((record.partition, record.offset) for record in records):
        if offsets and (place[0] != partition or place[1] - offsets[0] >= AT_ONCE):
            yield partition, offsets
            offsets = []
        partition = place[0]
        offsets.append(place[1])
    if offsets:
        yield partition, offsets


def short(record: Any) -> ShortRecord:
    """What is kept of a record."""
    ours = [(name, value) for name, value in record.headers if name.startswith(PREFIX)]
    value, given = record.value, dict(ours).get(BYTES, b"")
    size = int(given) if given.isdigit() else len(value or b"")
    if value and dict(ours).get(FORM) == GZIP:
        try:
            value = zlib.decompressobj(wbits=31).decompress(value, SHOWN_BYTES)
        except zlib.error:
            value = b""
    beginning, key = value and value[:SHOWN_BYTES], record.key and record.key[:KEY_BYTES]
    return ShortRecord(record.partition, record.offset, key, beginning, ours, size)


def shown(dead_letter: StoredDeadLetter) -> dict[str, Any]:
    """One of the list."""
    record: ShortRecord = dead_letter.record
    topic, partition, offset = dead_letter.source
    value = record.value or b""
    body = {
        "at": dead_letter.failed_at / 1000,
        "id": dead_letter.place,
        "reason": dead_letter.reason,
        "origin": {"topic": topic, "partition": partition, "offset": offset},
        "key": None if record.key is None else record.key.decode(errors="replace"),
        "bytes": record.value_bytes,
        "base64": base64.b64encode(value).decode(),
        "can_be_sent_back": can_be_sent(dead_letter),
    }
    text = text_of(value, is_whole=len(value) >= record.value_bytes)
    return body if text is None else {**body, "text": text}


def text_of(value: bytes, *, is_whole: bool) -> str | None:
    """The bytes as text, if they are text; where they were cut off, the last character may lack some of its own."""
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(value, final=is_whole)
    except UnicodeDecodeError:
        return None
    return text if text and all(char.isprintable() or char in "\r\n\t" for char in text) else None


def _with(dead_letter: StoredDeadLetter, record: Any) -> StoredDeadLetter:
    return StoredDeadLetter(
        record, dead_letter.source, dead_letter.reason, dead_letter.failed_at, dead_letter.sent_back
    )


def _when(dead_letter: StoredDeadLetter) -> tuple[int, int, int]:
    return dead_letter.failed_at, dead_letter.record.partition, dead_letter.record.offset
