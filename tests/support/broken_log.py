"""A partition as a broker holds it, of bytes that may be damaged, read by aiokafka's own fetcher."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Sequence
from typing import Any

from aiokafka.consumer.fetcher import FetchResult, PartitionRecords
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.record.util import calc_crc32c
from aiokafka.structs import TopicPartition

OUT_OF_RANGE = 1
BASE_OFFSET, CRC, CHECKED = 0, 17, 21


def batch(base: int, values: Sequence[bytes], codec: int = 0, header: bytes = b"name") -> bytearray:
    """A batch as a producer builds it and a broker gives it its offset."""
    builder = DefaultRecordBatchBuilder(2, codec, 0, -1, -1, -1, 1_000_000)
    for n, value in enumerate(values):
        builder.append(n, 1000 + n, b"key", value, [("~" * len(header), b"x")])
    raw = bytearray(bytes(builder.build()).replace(b"~" * len(header), header))
    struct.pack_into(">q", raw, BASE_OFFSET, base)
    return checked(raw)


def checked(raw: bytearray) -> bytearray:
    """With the checksum of its present bytes."""
    struct.pack_into(">I", raw, CRC, calc_crc32c(bytes(raw[CHECKED:])))
    return raw


class _State:
    def __init__(self) -> None:
        self.position, self.highwater, self.paused, self.has_valid_position = 0, 0, False, True
        self.timestamp: int | None = None

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        self.paused = False

    def consumed_to(self, offset: int) -> None:
        self.position = offset


class Log:
    """The consumer that app.messaging.fetching needs, over partitions that are lists of batches of ten."""

    def __init__(self, partitions: dict[TopicPartition, list[bytes]], ends: dict[TopicPartition, int]):
        self._partitions = partitions
        self._states = {tp: _State() for tp in partitions}
        for tp, end in ends.items():
            self._states[tp].highwater = end
        self._records: dict[TopicPartition, Any] = {}
        #: What the broker answers for which offsets of which partition, and how often a fetch has asked for them.
        self.refuses: dict[TopicPartition, tuple[range, int]] = {}
        self.refused = 0
        self.asked_once_more = 0
        self._answers = 0
        self._fetcher = self._subscription = self.subscription = self.assignment = self._client = self
        self.reassignment_in_progress, self._closed, self.active, self.cluster = False, False, True, self
        self.fetch()

    def position(self, tp: TopicPartition) -> int:
        return self._states[tp].position

    def is_assigned(self, tp: TopicPartition) -> bool:
        return tp in self._states

    def state_value(self, tp: TopicPartition) -> _State:
        return self._states[tp]

    def seek_to(self, tp: TopicPartition, offset: int) -> None:
        self._states[tp].position = offset
        self._records.pop(tp, None)

    def fetch(self) -> None:
        """As the fetcher's own task does: fetch each partition without records at its position."""
        for tp, state in self._states.items():
            if tp not in self._records and not state.paused:
                if self._code(tp, state.position):
                    self.refused += 1
                    continue
                self._answers += 1
                state.timestamp = self._answers
                fetched = self._at(tp, state.position)
                if MemoryRecords(fetched).has_next():
                    self._records[tp] = self._result(tp, fetched)

    def _code(self, tp: TopicPartition, offset: int) -> int:
        offsets, code = self.refuses.get(tp, (range(0), 0))
        return code if offset in offsets else 0

    def _create_fetch_waiter(self) -> asyncio.Future[None]:
        return asyncio.get_running_loop().create_future()  # a refused fetch wakes up nobody

    def given_anew(self, tp: TopicPartition) -> None:
        """As a rebalance gives it: at the same place, of another assignment."""
        before, self._states[tp] = self._states[tp], _State()
        self._states[tp].position, self._states[tp].highwater = before.position, before.highwater

    def force_metadata_update(self) -> None:
        pass

    def seek(self, tp: TopicPartition, offset: int) -> None:
        self.seek_to(tp, offset)

    def _at(self, tp: TopicPartition, offset: int) -> bytes:
        """A broker finds the batch by its files' index of offsets, damaged or not."""
        return b"".join(self._partitions[tp][max(0, offset) // 10 :])

    def _result(self, tp: TopicPartition, fetched: bytes) -> FetchResult:
        records = PartitionRecords(
            tp, MemoryRecords(fetched), [], self._states[tp].position, None, None, True, 1
        )
        return FetchResult(tp, partition_records=records, assignment=self, backoff=0)

    async def fetched_records(self, partitions: Any, timeout: float, most: int) -> dict[Any, Any]:
        (tp,) = partitions
        if tp not in self._records:
            return {}
        found = self._records[tp].getall(most)
        if not self._records[tp].has_more():
            del self._records[tp]
        return {tp: found} if found else {}

    def leader_for_partition(self, _: Any) -> int:
        return 1

    async def send(self, _: int, request: Any) -> Any:
        ((topic, ((partition, offset, _),)),) = request.topics
        self.asked_once_more += 1
        tp = TopicPartition(topic, partition)
        code = self._code(tp, offset) or OUT_OF_RANGE * (offset > self._states[tp].highwater)
        fetched = b"" if code else self._at(tp, offset)
        return type("Answer", (), {"topics": [(topic, [(partition, code, 0, 0, [], fetched)])]})
