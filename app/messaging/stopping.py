"""The end of a producer, bounded: aiokafka's own waits for Kafka's answers for as long as Kafka hangs."""

from __future__ import annotations

import asyncio

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, ProducerClosed

STOP_WITHIN = 1.0
CANCELLED_WITHIN = 0.1


async def stop(producer: AIOKafkaProducer) -> None:
    """Disconnect; what Kafka has not taken within a second it does not get."""
    try:
        await asyncio.wait_for(producer.stop(), STOP_WITHIN)
    except (KafkaError, OSError, TimeoutError):
        await _cut(producer)


async def _cut(producer: AIOKafkaProducer) -> None:
    """End what `stop` has not: given up, it leaves its tasks and connection behind."""
    producer._message_accumulator.fail_all(ProducerClosed())
    await producer.client.close()
    sender = producer._sender.sender_task
    while sender is not None and not sender.done():
        sender.cancel()  # more than once: at the first it waits for its requests
        await asyncio.wait([sender], timeout=CANCELLED_WITHIN)
    waiter = producer._txn_manager._transaction_waiter
    if waiter is not None and waiter.done() and not waiter.cancelled():
        waiter.exception()  # nobody else asks, and asyncio would log it with its trace
