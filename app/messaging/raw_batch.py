"""A batch as its bytes are in the log: for what aiokafka's own reader refuses. It leans on aiokafka 0.14, pinned."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import (
    CorruptRecordException,
    KafkaError,
    KafkaStorageError,
    LeaderNotAvailableError,
    OffsetOutOfRangeError,
    UnknownError,
    for_code,
)
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.util import decode_varint
from aiokafka.structs import ConsumerRecord, TopicPartition

#: Bytes to ask for; the broker gives a whole batch even where it is larger.
FETCH_BYTES = 1024 * 1024
WAIT_MS = 500
READ_COMMITTED = 1
#: What a broker answers that cannot read its own files: a damaged header of a batch, or a disk that fails.
REFUSALS = (CorruptRecordException, KafkaStorageError, UnknownError)
#: Doublings of a step that find any offset.
DOUBLINGS = 62
_LENGTH = struct.Struct(">qi")  # base offset, bytes that follow
_LATEST_MAGIC = 2


async def fetch_batch(consumer: AIOKafkaConsumer, tp: TopicPartition, offset: int) -> bytes:
    """The bytes of the batch that has `offset`, empty at the partition's end; KafkaError."""
    client = consumer._client
    leader = client.cluster.leader_for_partition(tp)
    if leader in (None, -1):
        client.force_metadata_update()
        raise LeaderNotAvailableError(f"{tp.topic}[{tp.partition}] has no leader")
    asked = [(tp.topic, [(tp.partition, offset, FETCH_BYTES)])]
    answer = await client.send(leader, FetchRequest(WAIT_MS, 1, FETCH_BYTES, READ_COMMITTED, asked))
    ((_, ((_, code, *_, fetched),)),) = answer.topics
    error = for_code(code)
    if code:
        raise error(f"{tp.topic}[{tp.partition}] at {offset}")
    return _first(bytes(fetched or b""))


async def unread(consumer: AIOKafkaConsumer, tp: TopicPartition, offset: int) -> tuple[bytes, int]:
    """Of a batch that cannot be read its bytes, and the offset behind it; KafkaError.

    Where the broker itself cannot read it there are no bytes, and it is the next offset that can be fetched. A broker
    finds an offset from one that its index has: so that may be some batches, intact ones too.
    """
    try:
        batch = await fetch_batch(consumer, tp, offset)
    except REFUSALS as exc:
        return b"", await _next_served(consumer, tp, offset, exc)
    return batch, offset_after(batch, offset)


async def _next_served(
    consumer: AIOKafkaConsumer, tp: TopicPartition, offset: int, refusal: KafkaError
) -> int:
    refused, step = offset, 1
    for _ in range(DOUBLINGS):
        if await _is_served(consumer, tp, offset + step):
            break
        refused, step = offset + step, 2 * step
    else:
        raise refusal  # the partition as a whole
    served = offset + step
    while served - refused > 1:
        middle = (refused + served) // 2
        if await _is_served(consumer, tp, middle):
            served = middle
        else:
            refused = middle
    return served


async def _is_served(consumer: AIOKafkaConsumer, tp: TopicPartition, offset: int) -> bool:
    """Whether the broker finds the offset, or it is behind the end."""
    try:
        await fetch_batch(consumer, tp, offset)
    except REFUSALS:
        return False
    except OffsetOutOfRangeError:
        pass
    return True


def _first(fetched: bytes) -> bytes:
    if len(fetched) < _LENGTH.size:
        return fetched
    _, length = _LENGTH.unpack_from(fetched)
    return fetched[: _LENGTH.size + length] if length > 0 else fetched


def offset_after(batch: bytes, offset: int) -> int:
    """The first offset behind the batch, as its header says; where that cannot be, the one after `offset`."""
    try:
        header = _DefaultRecordBatchPy(batch)
    except struct.error:
        return offset + 1
    is_plausible = header.base_offset <= offset < header.next_offset
    return header.next_offset if is_plausible else offset + 1


def lenient_records(batch: bytes, tp: TopicPartition, since: int) -> tuple[list[ConsumerRecord], int]:
    """Its records from offset `since` on, and the offset behind it; header names may be any bytes (surrogates).

    ValueError, IndexError or what decompressing raises when the batch is broken in any other way.
    """
    found = _DefaultRecordBatchPy(batch)
    if found.magic != _LATEST_MAGIC or not found.validate_crc():
        raise ValueError("the batch is damaged")
    found._maybe_uncompress()
    records = list(_records(found, tp))
    offsets = [found.base_offset - 1, *(record.offset for record in records), found.next_offset]
    if any(left >= right for left, right in pairwise(offsets)):
        raise ValueError("its offsets are out of order")
    return [record for record in records if record.offset >= since], found.next_offset


def _records(batch: Any, tp: TopicPartition) -> Iterator[ConsumerRecord]:
    buffer, at = bytes(batch._buffer), batch._pos
    for _ in range(batch._num_records):
        length, at = decode_varint(buffer, at)
        end = at + length
        _attributes, at = decode_varint(buffer, at)
        timestamp_delta, at = decode_varint(buffer, at)
        offset_delta, at = decode_varint(buffer, at)
        key, at = _bytes(buffer, at)
        value, at = _bytes(buffer, at)
        count, at = decode_varint(buffer, at)
        headers = []
        for _ in range(count):
            name, at = _bytes(buffer, at)
            content, at = _bytes(buffer, at)
            headers.append(((name or b"").decode(errors="surrogateescape"), content))
        if at != end:
            raise ValueError("a record does not end where it says")
        appended = batch.timestamp_type == batch.LOG_APPEND_TIME
        yield ConsumerRecord(
            tp.topic,
            tp.partition,
            batch.base_offset + offset_delta,
            batch.max_timestamp if appended else batch.first_timestamp + timestamp_delta,
            batch.timestamp_type,
            key,
            value,
            None,
            -1 if key is None else len(key),
            -1 if value is None else len(value),
            tuple(headers),
        )


def _bytes(buffer: bytes, at: int) -> tuple[bytes | None, int]:
    length, at = decode_varint(buffer, at)
    if length < 0:
        return None, at
    if at + length > len(buffer):
        raise ValueError("a field ends behind its batch")
    return buffer[at : at + length], at + length
