"""What a Faust Table counts when its worker is killed: `python -m benchmarks.table_kills`, with Kafka up.

The records of each key are counted by a table (benchmarks/peers/table.py), by a worker that is killed while it works
and started again. At the end the changelog, which is what the next worker would have, is compared with what was sent.
"""

import argparse
import asyncio
import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import GroupCoordinatorNotAvailableError

from benchmarks import progress
from benchmarks.peers.table import PARTITIONS, TOPIC
from infra.native import ports
from infra.native.paths import CODE, LOGS

KEYS, SEED = 100, 6
RATE = 1_000.0  # records a second, while the worker works
BOUND = 180.0  # seconds for what is left after the last kill


async def perform(guarantee: str, count: int, kills: int) -> str:
    """Send, kill, compare; a line of what came out."""
    name, sent, restarts = f"table-probe-{guarantee}", Counter[str](), list[float]()
    await _topic()
    worker = _start(guarantee)
    try:
        async with progress.group(name, TOPIC) as group:
            async with asyncio.timeout(BOUND):
                await _assigned(group)
            sending = asyncio.create_task(_send(count, sent))
            for _ in range(kills):
                await asyncio.sleep(count / RATE / (kills + 1))
                worker.kill()
                worker.wait()
                worker, began = _start(guarantee), time.monotonic()
                restarts.append(await _goes_on(group, began))
            await sending
            left = await _drained(group)
    finally:
        worker.send_signal(signal.SIGTERM)
        worker.wait(30)
    found = await _changelog(f"{name}-counts-changelog")
    over = sum(max(found[key] - sent[key], 0) for key in sent)
    under = sum(max(sent[key] - found[key], 0) for key in sent)
    wrong = sum(found[key] != sent[key] for key in sent)
    return (
        f"{guarantee}: {count:,} records of {KEYS} keys, {kills} kills: {over} counted twice, {under} lost, "
        f"{wrong} keys wrong; {left} records never processed; seconds until it went on: "
        f"{', '.join('never' if took < 0 else f'{took:.0f}' for took in restarts)}"
    )


def _start(guarantee: str) -> subprocess.Popen[bytes]:
    with (LOGS / "table-probe.log").open("ab") as log:
        return subprocess.Popen(
            [str(Path(sys.executable).with_name("faust")), "-A", "benchmarks.peers.table", "worker"],
            cwd=CODE,
            env=os.environ | {"GUARANTEE": guarantee},
            stdout=log,
            stderr=subprocess.STDOUT,
        )


async def _topic() -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=ports.kafka_brokers())
    await admin.start()
    try:
        known = [name for name in await admin.list_topics() if "table" in name]
        if known:
            await admin.delete_topics(known)
            await asyncio.sleep(3)
        await admin.create_topics([NewTopic(TOPIC, PARTITIONS, 1)])
    finally:
        await admin.close()


async def _send(count: int, sent: Counter[str]) -> None:
    rng = random.Random(SEED)
    producer = AIOKafkaProducer(bootstrap_servers=ports.kafka_brokers(), acks="all")
    await producer.start()
    try:
        began = time.monotonic()
        for number in range(count):
            key = f"key-{rng.randrange(KEYS)}"
            await producer.send(TOPIC, b"1", key=key.encode())
            sent[key] += 1
            if number % 100 == 0:
                await asyncio.sleep(max(0.0, began + number / RATE - time.monotonic()))
        await producer.flush()
    finally:
        await producer.stop()


async def _assigned(group: progress.Group) -> None:
    while True:
        with contextlib.suppress(GroupCoordinatorNotAvailableError):  # the first group of a new Kafka
            if await group.workers():
                return
        await asyncio.sleep(0.5)


async def _goes_on(group: progress.Group, began: float) -> float:
    """Seconds until something is committed again; -1: nothing within the bound."""
    before = await group.committed()
    while time.monotonic() < began + BOUND:
        if await group.committed() > before:
            return time.monotonic() - began
        await asyncio.sleep(0.5)
    return -1.0


async def _drained(group: progress.Group) -> int:
    """How many records are left when nothing moves any more."""
    until = time.monotonic() + BOUND
    left = 1
    while left > 0 and time.monotonic() < until:
        await asyncio.sleep(1)
        left = await group.end() - await group.committed()
    return left


async def _changelog(topic: str) -> Counter[str]:
    found = Counter[str]()
    consumer = AIOKafkaConsumer(
        bootstrap_servers=ports.kafka_brokers(), isolation_level="read_committed", enable_auto_commit=False
    )
    await consumer.start()
    try:
        partitions = [TopicPartition(topic, n) for n in range(PARTITIONS)]
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        ends = await consumer.end_offsets(partitions)
        while any([await consumer.position(tp) < end for tp, end in ends.items()]):
            for records in (await consumer.getmany(timeout_ms=500)).values():
                for record in records:
                    found[record.key.decode().strip('"')] = int(record.value or b"0")
    finally:
        await consumer.stop()
    return found


def main() -> None:
    """What the command line says."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.table_kills", description=__doc__)
    parser.add_argument("--count", type=int, default=40_000, help="records (%(default)s)")
    parser.add_argument("--kills", type=int, default=5, help="%(default)s")
    given = parser.parse_args()
    for guarantee in ("at_least_once", "exactly_once"):
        print(asyncio.run(perform(guarantee, given.count, given.kills)), flush=True)


if __name__ == "__main__":
    main()
