"""(e) The old system's way: a transaction at a time, each with its own channel and call, insert and notification.

The old system itself, with its own packages, was slower than this: 5.6 to 6.2 a second.
"""

import time

import grpc
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from cassandra.cluster import Cluster
from cassandra.io.libevreactor import LibevConnection

from app.messaging import topics
from app.models.assessment import Assessment, Verdict
from app.models.status import decided
from app.models.transaction import Transaction
from app.settings import settings
from app.stores.consistency import STRONGEST, bound_at
from app.stores.transactions_table import INSERT, by_partition, row_of
from benchmarks.peers import work
from schemas.proto import antifraud_pb2, antifraud_pb2_grpc

GROUP = "peer-one-by-one"

values = settings()


def assess(transaction: Transaction) -> Assessment:
    """Antifraud's word on one transaction, over a new channel."""
    fields = ("value_in_cents", "transaction_timestamp", "latitude", "longitude")
    request = antifraud_pb2.AntifraudAssesmentRequest(**{field: transaction[field] for field in fields})  # type: ignore[literal-required]
    with grpc.insecure_channel(values.antifraud_address, options=[("grpc.enable_http_proxy", 0)]) as channel:
        answer = antifraud_pb2_grpc.AntifraudAPIStub(channel).AntifraudAssesment(request)
    verdict: Verdict = "accepted" if answer.status == antifraud_pb2.ACCEPTED else "rejected"
    return Assessment(verdict, answer.score, answer.threshold, answer.model_version, answer.replica)


async def main() -> None:
    """Until it is told to end."""
    created = await topics.register(values, topics.CREATED)
    status = await topics.register(values, topics.STATUS)
    contact_points = values.cassandra_hosts.split(",")
    session = Cluster(contact_points, port=values.cassandra_port, connection_class=LibevConnection).connect()
    insert = session.prepare(INSERT)
    producer = AIOKafkaProducer(bootstrap_servers=values.kafka_brokers, acks="all")
    consumer = AIOKafkaConsumer(
        topics.CREATED,
        bootstrap_servers=values.kafka_brokers,
        group_id=GROUP,
        enable_auto_commit=False,
        **work.CONSUMER,
    )
    async with producer, consumer:
        async for record in consumer:
            (transaction,) = await created.decode([record.value])
            assessment = assess(transaction)
            now_ms = int(time.time() * 1000)
            one = decided(transaction, assessment, record.partition, record.offset, now_ms)
            ((partition, _),) = by_partition([one]).items()
            session.execute(bound_at(insert, row_of(partition, one), STRONGEST))
            await producer.send_and_wait(topics.STATUS, status.encode(one), record.key)
            await consumer.commit()


if __name__ == "__main__":
    work.run(main)
