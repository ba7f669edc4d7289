"""(a) A loop by hand on aiokafka: the same work and nothing around it, the limit for Python.

While one round is stored the next is told and the one after that decided, in order: three tasks and two short queues.
"""

import asyncio
import contextlib

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError

from app.messaging.topics import CREATED
from app.processing.assignment import MicroBatch
from app.settings import settings
from benchmarks.peers import work
from benchmarks.peers.work import Work

GROUP = "peer-loop"
BATCH = settings().batch_size

Rounds = asyncio.Queue[MicroBatch]


async def decide(consumer: AIOKafkaConsumer, done: Work, decided: Rounds, published: Rounds) -> None:
    """Fetch and decide."""
    while True:
        found = await consumer.getmany(timeout_ms=1000, max_records=BATCH)
        if not found:
            continue
        records = {tp.partition: some for tp, some in found.items()}
        if done.has_gap(
            records
        ):  # what was under way before a rebalance must be in the log when the log is asked
            await decided.join()
            await published.join()
        micro_batch = done.round(records)
        await done.decide(micro_batch)
        await decided.put(micro_batch)


async def publish(done: Work, decided: Rounds, published: Rounds) -> None:
    """Publish what is decided."""
    while True:
        micro_batch = await decided.get()
        await done.publish(micro_batch)
        await published.put(micro_batch)
        decided.task_done()


async def store(consumer: AIOKafkaConsumer, done: Work, published: Rounds) -> None:
    """Store what is published, and commit."""
    while True:
        micro_batch = await published.get()
        await done.store(micro_batch)
        offsets = {TopicPartition(b.topic, b.partition): b.next_offset for b in micro_batch.batches}
        with contextlib.suppress(CommitFailedError, IllegalStateError):  # a rebalance: they are read again
            await consumer.commit(offsets)
        published.task_done()


async def main() -> None:
    """Until it is told to end."""
    consumer = AIOKafkaConsumer(
        CREATED,
        bootstrap_servers=settings().kafka_brokers,
        group_id=GROUP,
        enable_auto_commit=False,
        **work.CONSUMER,
    )
    decided, published = Rounds(maxsize=1), Rounds(maxsize=1)
    async with work.opened() as done, consumer, asyncio.TaskGroup() as tasks:
        tasks.create_task(decide(consumer, done, decided, published))
        tasks.create_task(publish(done, decided, published))
        tasks.create_task(store(consumer, done, published))


if __name__ == "__main__":
    work.run(main)
