"""`make rolling-restart`: every part restarted, one after the other, under load; no POST fails, nothing is lost.

Three brokers, three Cassandra nodes, three workers, two bffs, both antifraud replicas and Envoy; Redis and the
registry, of which there is one, are left alone. A client here does what a load balancer does: before a bff is stopped
no new POST goes to it.
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient

from exercises import rolling_restart_report, soak_report
from exercises.context import say, verified
from exercises.faults import Faults, until_ready
from exercises.load_client import in_background
from exercises.rolling_restart_report import Outcome, Restart
from generator.client import Answer, send
from generator.traffic import Transaction, transactions
from infra.native import beside, brokers, ports, supervisor
from infra.native.wording import Parser, run
from reconciliation import demo

RATE = 300.0
COUNTS = {"transactions": 3, "bff": 2}
#: Of these there is one each: without it something is missing for a moment, and the table of costs says what.
LEFT_ALONE = ("registry", "redis", "generator")
KINDS = ("kafka", "cassandra", "transactions", "bff", "antifraud", "envoy")
READY_WITHIN, CALM = 120.0, 3.0  # seconds for a part to be ready and whole; seconds between two parts
DRAINED_AFTER = 1.0  # seconds until what a bff has in flight is answered
WARM_UP = 30.0  # seconds of load before the first part: what was never called is compiled while it is called
PATIENCE, LAST = 10.0, 5.0  # seconds a client waits for an answer, and for the last statuses
TOPICS = ["transaction_created", "transaction_status", "__consumer_offsets"]


class Client:
    """POSTs to the bffs in turn, and hears of each status as it is written to the log."""

    def __init__(self, rate: float) -> None:
        self.answers: list[Answer] = []
        self.published: dict[str, float] = {}  # when, by id (time.monotonic)
        self.urls = {name: f"http://{ports.endpoints(name)[0]}" for name in ("bff", "bff-2")}
        self._rate = rate
        self._turn = 0

    def _next(self) -> str:
        self._turn += 1
        urls = list(self.urls.values())
        return urls[self._turn % len(urls)]

    @contextmanager
    def at_work(self) -> Iterator[Client]:
        """From `with` to the end of it."""
        with in_background(self._run):
            yield self

    async def _run(self, enough: threading.Event) -> None:
        listening = asyncio.create_task(self._listen())
        await asyncio.sleep(CALM)  # it knows where the log ends before the first POST

        def bodies() -> Iterator[Transaction]:
            for body in transactions():
                if enough.is_set():
                    return
                yield body

        await send(
            bodies(),
            self.answers.append,
            url=self._next,
            rate=self._rate,
            concurrency=1024,
            timeout=PATIENCE,
            back_off=False,
        )
        await asyncio.sleep(LAST)
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)

    async def _listen(self) -> None:
        consumer = AIOKafkaConsumer(
            "transaction_status",
            bootstrap_servers=ports.kafka_brokers(),
            enable_auto_commit=False,
            isolation_level="read_committed",
            auto_offset_reset="latest",
            metadata_max_age_ms=1000,
        )
        await consumer.start()
        try:
            async for record in consumer:
                self.published.setdefault((record.key or b"").decode(errors="replace"), time.monotonic())
        finally:
            await consumer.stop()


def order() -> list[str]:
    """Servers first, as an upgrade goes."""
    left_alone = {*LEFT_ALONE, *beside.COMMANDS}
    names = [name for name in supervisor.names() if name not in left_alone]
    return sorted(names, key=lambda name: KINDS.index(name.partition("-")[0]))


def restart(name: str, client: Client) -> Restart:
    """Out of the client's way, down, up, ready, whole; SystemExit when that takes too long."""
    began = time.monotonic()
    url = client.urls.pop(name, None)
    if url:
        time.sleep(DRAINED_AFTER)
    stopped = time.monotonic()
    supervisor.stop(name)
    supervisor.start(name)
    until_ready([name], READY_WITHIN)
    ready = time.monotonic()
    until_replicated(name)
    if url:
        client.urls[name] = url
    say(f"  {name:<16} down for {ready - stopped:5.1f} s, {len(client.answers):7d} POSTs answered so far")
    return Restart(name, began, time.monotonic(), ready - stopped)


def until_replicated(name: str) -> None:
    """Look five times a second whether Kafka's replicas are in sync; SystemExit after READY_WITHIN seconds."""
    ends = time.monotonic() + READY_WITHIN
    while not asyncio.run(is_replicated()):
        if time.monotonic() > ends:
            raise SystemExit(
                f"{name} is back, and Kafka's replicas are not in sync within {READY_WITHIN:.0f} s"
            )
        time.sleep(0.2)


async def is_replicated() -> bool:
    """Whether each partition has all of its replicas in sync: then the next broker may go."""
    admin = AIOKafkaAdminClient(bootstrap_servers=ports.kafka_brokers(), request_timeout_ms=5000)
    await admin.start()
    try:
        found = await admin.describe_topics(TOPICS)
    finally:
        await admin.close()
    return all(len(one["isr"]) == len(one["replicas"]) for topic in found for one in topic["partitions"])


def perform(rate: float) -> Outcome:
    """Load, restart everything, count."""
    began = time.monotonic()
    with Client(rate).at_work() as client:
        time.sleep(WARM_UP)
        restarts = []
        for name in order():
            restarts.append(restart(name, client))
            time.sleep(CALM)
    ids = [answer.transaction_id for answer in client.answers if answer.transaction_id]
    say(f"counting {len(ids)} transactions that were answered 201")
    counts = asyncio.run(soak_report.counted(ids, random.Random(1)))
    return Outcome(rate, began, restarts, client.answers, client.published, counts, verified(ids))


def main() -> int:
    """What the command line says."""
    parser = Parser(prog="python -m exercises.rolling_restart", description=__doc__)
    parser.add_argument("--rate", type=float, default=RATE, help="POSTs a second (%(default)s)")
    given = parser.parse_args()
    if brokers.count() == 1:
        raise SystemExit("it takes three brokers: make clean, then make up KAFKA=3, then again")
    faults = Faults(say)
    with demo.undisturbed():
        try:
            for name, count in COUNTS.items():
                faults.scale(name, count)
            outcome = perform(given.rate)
        finally:
            faults.restore()
    report = rolling_restart_report.text(outcome)
    say(f"\n{report}")
    rolling_restart_report.PATH.write_text(report)
    return 0 if outcome.good else 1


if __name__ == "__main__":
    run(main)
