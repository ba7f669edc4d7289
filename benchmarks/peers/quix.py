"""(c) Quix Streams with a sink of its own: what came since the last checkpoint is done at the next, then committed."""

import asyncio
import tempfile
from collections import defaultdict
from threading import Thread
from typing import Any, NamedTuple

from quixstreams import Application
from quixstreams.sinks import BaseSink

from app.messaging.topics import CREATED
from app.settings import settings
from benchmarks.peers import work

GROUP = "peer-quix"


class Record(NamedTuple):
    """A record as the work wants it."""

    topic: str
    partition: int
    offset: int
    key: Any
    value: Any
    headers: Any


class TransactionsSink(BaseSink):
    """Collects records; a checkpoint flushes it before it commits. BatchingSink would write partition by partition."""

    def __init__(self) -> None:
        super().__init__()
        self._records: dict[int, list[Record]] = defaultdict(list)
        self._loop = asyncio.new_event_loop()  # the doors are asyncio's; Quix Streams is not

    def setup(self) -> None:
        """Open the work, in a thread for its event loop."""
        Thread(target=self._loop.run_forever, daemon=True).start()
        self._opened = work.opened()
        self._work = self._wait_for(self._opened.__aenter__())

    def add(
        self, value: Any, key: Any, timestamp: int, headers: Any, topic: str, partition: int, offset: int
    ) -> None:
        """One record."""
        self._records[partition].append(Record(topic, partition, offset, key, value, headers or ()))

    def flush(self) -> None:
        """All of them; what raises here is not committed."""
        records, self._records = self._records, defaultdict(list)
        if records:
            self._wait_for(self._work.all_of(records))

    def on_paused(self) -> None:
        """What is read again after a pause is not kept."""
        self._records.clear()

    def _wait_for(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()


def main() -> None:
    """Until it is told to end."""
    app = Application(
        settings().kafka_brokers,
        consumer_group=GROUP,
        auto_offset_reset="earliest",
        commit_every=settings().batch_size,
        commit_interval=work.COMMIT_INTERVAL,
        consumer_extra_config={
            "max.partition.fetch.bytes": work.FETCH_BYTES,
            "session.timeout.ms": work.SESSION_TIMEOUT_MS,
            "heartbeat.interval.ms": work.HEARTBEAT_MS,
        },
        auto_create_topics=False,
        state_dir=tempfile.mkdtemp(prefix="peer-quix-"),
    )
    topic = app.topic(CREATED, key_deserializer="bytes", value_deserializer="bytes")
    app.dataframe(topic).sink(TransactionsSink())
    app.run()


if __name__ == "__main__":
    main()
