"""(b) FastStream with a batch subscriber and the ack by hand, as its documentation has it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from faststream import AckPolicy, ContextRepo, FastStream
from faststream.kafka import KafkaBroker, KafkaMessage

from app.messaging.topics import CREATED
from app.settings import settings
from benchmarks.peers import work

GROUP = "peer-faststream"


@asynccontextmanager
async def lifespan(context: ContextRepo) -> AsyncIterator[None]:
    """The work is opened before the broker starts, and closed after it has stopped."""
    async with work.opened() as opened:
        context.set_global("work", opened)
        yield


broker = KafkaBroker(settings().kafka_brokers)
app = FastStream(broker, lifespan=lifespan)


async def undecoded(message: KafkaMessage) -> object:
    """The bodies as they are: decoded by our codec, a batch at a time."""
    return message.body


@broker.subscriber(
    CREATED,
    group_id=GROUP,
    batch=True,
    max_records=settings().batch_size,
    ack_policy=AckPolicy.MANUAL,
    decoder=undecoded,
    **work.CONSUMER,
)
async def handle(bodies: list[bytes], message: KafkaMessage) -> None:
    """One batch: done, then acknowledged."""
    await app.context.get("work").all_of(work.by_partition(message.raw_message))
    await message.ack()


if __name__ == "__main__":
    asyncio.run(app.run())
