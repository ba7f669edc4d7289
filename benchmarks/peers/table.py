"""A Faust Table as its user guide teaches: how many records of each key there were."""

import os
import tempfile

import faust

from infra.native import ports

TOPIC, PARTITIONS = "table_probe", 4
GROUP = f"table-probe-{os.environ.get('GUARANTEE', 'at_least_once')}"

app = faust.App(
    GROUP,
    broker=f"kafka://{ports.kafka_brokers()}",
    datadir=tempfile.mkdtemp(),
    processing_guarantee=os.environ.get("GUARANTEE", "at_least_once"),
    topic_partitions=PARTITIONS,
    broker_session_timeout=8,
    broker_heartbeat_interval=2,
    web_enabled=False,
)
records = app.topic(TOPIC, key_type=str, value_type=int)
counts = app.Table("counts", default=int, partitions=PARTITIONS)


@app.agent(records)
async def count(stream: faust.StreamT) -> None:
    """One more of its key."""
    async for key, _ in stream.items():  # noqa: PERF102  # a stream is no dict
        counts[key] += 1
