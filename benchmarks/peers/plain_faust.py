"""(d) Plain Faust as its user guide teaches: a Record, a codec, an agent that takes one event at a time."""

import tempfile
import time
from io import BytesIO
from typing import Any

import fastavro
import faust
from faust.serializers import codecs

from app.assessment.client import Antifraud
from app.messaging import topics
from app.models.status import decided
from app.models.transaction import Transaction
from app.settings import settings
from app.stores.cassandra import Cassandra
from app.stores.transactions_table import TransactionsTable
from benchmarks.peers import work

GROUP = "peer-plain-faust"
HEADER = 5  # bytes before the Avro: Confluent's frame

values = settings()


class Avro(codecs.Codec):
    """A topic's Avro, as the registry has it."""

    def __init__(self, topic: str):
        super().__init__()
        self._codec = topics.register_now(values, topic)
        self._schema = fastavro.parse_schema(topics.load_schema(topic))

    def _loads(self, s: bytes) -> Any:
        return fastavro.schemaless_reader(BytesIO(s[HEADER:]), self._schema, None)

    def _dumps(self, obj: Any) -> bytes:
        return self._codec.encode(obj)


codecs.register("created", Avro(topics.CREATED))
codecs.register("status", Avro(topics.STATUS))


class Created(faust.Record, serializer="created"):  # type: ignore[call-arg]
    """A record of transaction_created."""

    transaction_id: str
    value_in_cents: int
    description: str
    customer_id: str
    merchant_id: str
    transaction_timestamp: int
    event_timestamp: int
    latitude: float
    longitude: float


app = faust.App(
    GROUP,
    broker=f"kafka://{values.kafka_brokers}",
    store="memory://",
    datadir=tempfile.mkdtemp(prefix="peer-plain-faust-"),
    topic_allow_declare=False,
    topic_disable_leader=True,
    web_enabled=False,
    consumer_auto_offset_reset="earliest",
    broker_session_timeout=work.SESSION_TIMEOUT_MS / 1000,
    broker_heartbeat_interval=work.HEARTBEAT_MS / 1000,
    broker_commit_interval=work.COMMIT_INTERVAL,
)
created = app.topic(topics.CREATED, value_type=Created)
statuses = app.topic(topics.STATUS, value_serializer="status")

antifraud = Antifraud(values)
cassandra = Cassandra(values)
table = TransactionsTable(cassandra, values.cassandra_timeout, values.read_timeout)


@app.agent(created)
async def assess(transactions: faust.Stream[Created]) -> None:
    """Assess, tell, store: the event is acknowledged when the next one is asked for."""
    await antifraud.open()
    await cassandra.open()
    async for transaction in transactions:
        message = transactions.current_event.message
        record: Transaction = transaction.asdict()
        (assessment,) = await antifraud.assess([record])
        now_ms = int(time.time() * 1000)
        status = decided(record, assessment, message.partition, message.offset, now_ms)
        sent = await statuses.send(key=transaction.transaction_id, value=status)
        await sent  # the broker has it
        await table.store([status])


if __name__ == "__main__":
    app.main()
