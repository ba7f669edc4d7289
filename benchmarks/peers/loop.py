"""(a) A loop by hand on aiokafka: the same work and nothing around it, the limit for Python.

While one round is stored the next is told and the one after that decided, in order: three tasks and two short queues.
"""

import asyncio
import contextlib

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError

from app.messaging.topics import CREATED
from app.processing.batch_processor import Round
from app.settings import settings
from benchmarks.peers import work
from benchmarks.peers.work import Work

GROUP = "peer-loop"
BATCH = settings().batch_size

Rounds = asyncio.Queue[Round]


async def decide(consumer: AIOKafkaConsumer, done: Work, decided: Rounds, told: Rounds) -> None:
    """Fetch and decide."""
    while True:
        records = await consumer.getmany(timeout_ms=1000, max_records=BATCH)
        if not records:
            continue
        round_ = done.round({tp.partition: some for tp, some in records.items()})
        if round_.first_of:  # what was under way before a rebalance must be in the log when the log is asked
            await decided.join()
            await told.join()
        await done.decide(round_)
        await decided.put(round_)


async def tell(done: Work, decided: Rounds, told: Rounds) -> None:
    """Tell what is decided."""
    while True:
        round_ = await decided.get()
        await done.tell(round_)
        await told.put(round_)
        decided.task_done()


async def store(consumer: AIOKafkaConsumer, done: Work, told: Rounds) -> None:
    """Store what is told, and commit."""
    while True:
        round_ = await told.get()
        await done.store(round_)
        offsets = {TopicPartition(b.topic, b.partition): b.next_offset for b in round_.batches}
        with contextlib.suppress(CommitFailedError, IllegalStateError):  # a rebalance: they are read again
            await consumer.commit(offsets)
        told.task_done()


async def main() -> None:
    """Until it is told to end."""
    consumer = AIOKafkaConsumer(
        CREATED,
        bootstrap_servers=settings().kafka_brokers,
        group_id=GROUP,
        enable_auto_commit=False,
        **work.CONSUMER,
    )
    decided, told = Rounds(maxsize=1), Rounds(maxsize=1)
    async with work.opened() as done, consumer, asyncio.TaskGroup() as tasks:
        tasks.create_task(decide(consumer, done, decided, told))
        tasks.create_task(tell(done, decided, told))
        tasks.create_task(store(consumer, done, told))


if __name__ == "__main__":
    work.run(main)
