"""The consumer that reads the log; everything but Faust's own reads with it."""

from __future__ import annotations

import asyncio

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import LeaderNotAvailableError, for_code
from aiokafka.protocol.offset import OffsetRequest

READ_UNCOMMITTED, THE_END = 0, -1


class LogConsumer(AIOKafkaConsumer):  # type: ignore[misc]  # aiokafka publishes no types
    """aiokafka's, except that it can be stopped while Kafka is dead.

    aiokafka 0.14, pinned, cancels its fetches at a stop and awaits each. One that pauses after a failure ends with
    CancelledError, which `stop` raises as if the caller were cancelled, and it leaves its connections open.
    """

    async def know(self, topic: str) -> None:
        """Learn who leads the topic's partitions: the first question would fail, and be asked again after 0.1 s."""
        await self._client.add_topic(topic)

    async def high_watermark(self, tp: TopicPartition) -> int:
        """Where the partition ends, what is not committed yet included; KafkaError.

        A read_committed consumer's `end_offsets` is where the oldest open transaction begins. Behind that one others
        may be committed already; to read up to here is to wait until it has ended (Kafka sees to that) and to see all.
        """
        leader = self._client.cluster.leader_for_partition(tp)
        if leader in (None, -1):
            self._client.force_metadata_update()
            raise LeaderNotAvailableError(f"{tp.topic}[{tp.partition}] has no leader")
        asked = [(tp.topic, [(tp.partition, THE_END)])]
        answer = await self._client.send(leader, OffsetRequest(-1, READ_UNCOMMITTED, asked))
        ((_, ((_, code, *_, offset),)),) = answer.topics
        if code:
            raise for_code(code)(f"{tp.topic}[{tp.partition}]")
        return int(offset)

    @property
    def is_connected(self) -> bool:
        """Whether Kafka has not hung up."""
        return any(connection.connected() for connection in self._client._conns.values())

    async def stop(self) -> None:
        """End the fetches, then disconnect."""
        if self._fetcher is not None and not self._closed:
            fetches = [self._fetcher._fetch_task, *self._fetcher._pending_tasks]
            for fetch in fetches:
                fetch.cancel()
            await asyncio.gather(*fetches, return_exceptions=True)
            self._fetcher._pending_tasks.clear()
        await super().stop()
