"""Partitions are added to live topics, three for one, and no customer's history is lost.

With another number of partitions most customers' transactions go to another partition. There another worker decides
them, whose history of them is empty, while their last ones may still wait in the old partition. `make partitions` adds
partitions under load, and a worker is killed in the middle of it. At the end everything is counted, and each customer's
transactions must have known of all those before them.
"""

from __future__ import annotations

import asyncio
import csv
import subprocess
import sys
from collections import defaultdict
from collections.abc import Collection, Container, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from aiokafka.admin import AIOKafkaAdminClient, NewPartitions
from aiokafka.partitioner import DefaultPartitioner

from exercises import checks
from exercises.bursts import bursts
from exercises.context import AGREE, DIFFER, FAULTS_SHOWN, Context, said_in_json, say
from exercises.load_client import LoadClient
from infra.native import ports
from infra.native.paths import ROOT
from reconciliation import readers

WORKER = "transactions"
CREATED, STATUS = "transaction_created", "transaction_status"
TOPICS = (STATUS, "transaction_created.dead_letter", CREATED)
RATE, TIMES, MOST = 40.0, 3, 12
WITHIN = 400.0
CONTROL = "the partitions are added by Kafka's own admin call, and nobody is told where histories go on."
OLD = "had no history, and its four partitions for ever"


def run(context: Context) -> None:
    """Add them while clients POST and a worker dies; count, and look at what was known of each customer."""
    before = asyncio.run(_partitions(CREATED))
    if before > MOST:
        raise SystemExit(
            f"the topics have {before} partitions, enough for this machine; make clean begins with 4"
        )
    with TemporaryDirectory() as folder, context.clients(RATE, bursts()) as clients:
        listed = Path(folder) / "moved.csv"
        context.faults.scale("transactions", 2)
        context.watch(context.seconds(10, 5))
        began = context.now()
        _grow(context, before, before * TIMES, listed)
        context.watch(context.seconds(20, 12))
        checks.caught_up(context, clients, "with all partitions", within=120)
        checks.served(context, clients, began, "while partitions are added")
        moved = _named(listed)
    context.count(clients.ids)
    _each_knew_those_before_it(context, clients, before, before * TIMES, moved)
    _features_are_those_of_the_log(context, clients.ids)


def _grow(context: Context, before: int, after: int, listed: Path) -> None:
    context.step(f"Partitions are added while clients POST: {before} → {after}; a worker dies meanwhile")
    if context.control:
        asyncio.run(_add(after))
        say(f"  kafka-topics --alter --partitions {after}: {', '.join(TOPICS)}")
        _one_dies(context)
        return
    words = ["partitions", "--count", str(after), "--list", str(listed)]
    say(f"  faust -A app.main {' '.join(words[:3])} --list moved.csv")
    command = subprocess.Popen(
        [sys.executable, "-m", "faust", "-A", "app.main", *words],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        if not context.until(
            lambda: asyncio.run(_partitions(CREATED)) == after or command.poll() is not None, 60
        ):
            raise SystemExit("the partitions are not added")
        _one_dies(context)
        said, _ = command.communicate(timeout=WITHIN)
    finally:
        command.kill()
    for line in said.splitlines():
        say(f"  {line.replace(str(listed), 'moved.csv')}")
    context.promise(
        "the command gets to its end", command.returncode == 0, f"exit status {command.returncode}"
    )


def _one_dies(context: Context) -> None:
    context.faults.die(WORKER)
    context.watch(context.seconds(3, 1))
    context.faults.back(WORKER)


async def _partitions(topic: str) -> int:
    admin = AIOKafkaAdminClient(bootstrap_servers=ports.kafka_brokers())
    await admin.start()
    try:
        (found,) = await admin.describe_topics([topic])
        return len(found["partitions"])
    finally:
        await admin.close()


async def _add(count: int) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=ports.kafka_brokers())
    await admin.start()
    try:
        for topic in TOPICS:
            await admin.create_partitions({topic: NewPartitions(count)})
    finally:
        await admin.close()


def _named(listed: Path) -> set[str]:
    """The customers that the command has named."""
    if not listed.exists():
        return set()
    with listed.open(newline="") as file:
        return {row["customer_id"] for row in csv.DictReader(file)}


def _moves(customer_id: str, before: int, after: int) -> bool:
    key, default = customer_id.encode(), DefaultPartitioner()
    return bool(default(key, [*range(before)], []) != default(key, [*range(after)], []))


class Since(Container[str]):
    """The ids (UUIDv7) made at the first of these or later: those that got no 201 count too."""

    def __init__(self, ids: Collection[str]) -> None:
        self._first = min(ids)

    def __contains__(self, id_: object) -> bool:
        return isinstance(id_, str) and len(id_) == len(self._first) and id_ >= self._first


async def _known(clients: LoadClient, customers: Collection[str]) -> dict[str, list[int]]:
    """By customer: how many transactions were known at each verdict, in the order of their ids."""
    first: dict[str, tuple[str, int]] = {}
    async for record in readers.records(STATUS, Since(clients.ids)):
        if record["revision"] == 1 and record["customer_id"] in customers:
            first.setdefault(record["transaction_id"], (record["customer_id"], record["history"]["known"]))
    found = defaultdict(list)
    for _, (customer_id, known) in sorted(first.items()):
        found[customer_id].append(known)
    return found


async def _customers(ids: Sequence[str]) -> set[str]:
    return {record["customer_id"] async for record in readers.records(CREATED, frozenset(ids))}


def _each_knew_those_before_it(
    context: Context, clients: LoadClient, before: int, after: int, named: Collection[str]
) -> None:
    context.step("What was known of each customer: 0 at the first transaction, 1 at the second, and so on")
    customers = asyncio.run(_customers(clients.ids))
    known = asyncio.run(_known(clients, customers))
    # Who has sent one transaction only, as the single calls do, may be new and has not moved.
    moved = {one for one, some in known.items() if len(some) > 1 and _moves(one, before, after)}
    missing = moved - set(named)
    context.promise(
        "the customers that moved are named",
        bool(moved) and not missing,
        f"{len(moved) - len(missing)} of {len(moved)}, of {len(customers)} customers",
    )
    wrong = {one: some for one, some in known.items() if sorted(some) != [*range(len(some))]}
    for one, some in list(wrong.items())[:FAULTS_SHOWN]:
        say(f"  ! {one} ({'moved' if one in moved else 'not moved'}): {', '.join(map(str, some))}")
    context.promise(
        "each customer's transactions knew of all those before them",
        bool(known) and not wrong,
        f"{len(wrong)} of {len(known)} customers have gaps, {len(wrong.keys() & moved)} of them have moved",
    )


def _features_are_those_of_the_log(context: Context, ids: Collection[str]) -> None:
    context.step("Every feature on record is computed again, from the log alone")
    say("  faust -A app.main verify --features")
    said, wanted = said_in_json("verify", "--features", agree=(AGREE, DIFFER)), frozenset(ids)
    ours = [finding for finding in said["findings"] if finding["transaction_id"] in wanted]
    say(
        f"  of everything in the log: {', '.join(f'{name} {count}' for name, count in said['counts'].items())}"
    )
    context.promise(
        "every verdict's features are those of the log before it",
        not ours and said["counts"]["same"] >= len(wanted),
        f"{len(ours)} of {len(wanted)} verdicts have wrong ones",
    )
