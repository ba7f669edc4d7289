"""`faust -A app.main partitions --count N`: more partitions for live topics, and nobody's history is lost."""

from __future__ import annotations

import asyncio
import csv
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import faust
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment
from faust.cli import option

from app.commands.shared.console import friendly_errors
from app.commands.shared.decoded import decoded
from app.commands.shared.read_range import WHOLE
from app.errors import LogUnavailable, Poison
from app.messaging import topics
from app.messaging.consumer_groups import READERS, committed_offsets
from app.messaging.fenced_writer import FencedWriter, Outgoing
from app.messaging.growth import Growth, WrongCount, encoded, growths
from app.messaging.partitioner import partition_of
from app.messaging.switch import LOOK_EVERY
from app.messaging.tail_reader import TailReader, high_watermarks
from app.settings import Settings

#: What gets more partitions, in this order: a record may be written as soon as transaction_created has its partition.
GROW = (topics.STATUS, topics.DEAD_LETTER, topics.CREATED)
#: Seconds until every bff knows that partitions are being added, and from then on looks often.
ANNOUNCED = 2 * LOOK_EVERY + 1
#: Seconds from the last topic's growth until every bff sends to the new partitions.
SWITCHED = 2.0
#: Seconds for workers to take them up, and to decide what was written before.
TAKEN_UP_WITHIN, DECIDED_WITHIN = 60.0, 300.0
EVERY = 0.5
#: As TOPIC_PARTITIONS has it: each partition costs its worker a producer.
MOST = 1000
#: Customers that are named without --list.
NAMED = 10


def register(app: faust.App, settings: Settings) -> None:
    """Put the command on the app."""

    @app.command(
        option("--count", type=int, required=True, help="How many partitions there are to be: a multiple."),
        option("--list", "listed", default="", help="File for all customers that move, as CSV."),
    )
    async def partitions(self: Any, count: int, listed: str) -> None:
        """Add partitions to the live topics: nothing is lost, every history goes on; names the customers that move."""
        with friendly_errors("partitions"):
            try:
                await run(settings, count, listed)
            except WrongCount as exc:
                raise SystemExit(f"partitions: {exc}. Nothing was changed.") from exc


async def run(settings: Settings, count: int, listed: str = "") -> None:
    """All of it, or what a run before has left of it; WrongCount, SystemExit where workers do not follow in time."""
    async with topics.admin_client(settings) as admin, FencedWriter(settings, "partitions") as writer:
        before, known = await _counts(admin), await _on_record(admin, settings)
        growth = chosen(before, known, count)
        if growth is None:
            print(f"partitions: there are {count} already, and none was ever added: nothing to do")
            return
        for topic in GROW[:-1]:
            await _grow(admin, topic, before[topic], count)
        if growth not in known[-1:]:
            await topics.create(admin, topics.PARTITIONS_ADDED, settings)
            await _listed(admin)
            await writer.publish([Outgoing(topics.PARTITIONS_ADDED, 0, None, encoded(growth), [])])
        if before[topics.CREATED] < count:
            print(f"partitions: every bff gets to know of it ({ANNOUNCED:g} s)")
            await asyncio.sleep(ANNOUNCED)
            await _grow(admin, topics.CREATED, before[topics.CREATED], count)
            await asyncio.sleep(SWITCHED)
        await _wait_for_workers(admin, settings, growth)
    await _name_moved(settings, growth, listed)


def chosen(found: dict[str, int], known: list[Growth], count: int) -> Growth | None:
    """What is to be done, or was begun or done by a run before; None: nothing. WrongCount."""
    created, status = found[topics.CREATED], found[topics.STATUS]
    if not created:
        raise WrongCount(
            "there are no topics yet; TOPIC_PARTITIONS says how many partitions they are made with"
        )
    if created < status and count != status:
        raise WrongCount(f"{created} → {status} was begun and not ended: say {status}")
    if count > MOST:
        raise WrongCount(f"{count} are more than {MOST}, and none can be taken away again")
    if created != count:
        return Growth(created, count).checked()
    return known[-1] if known and known[-1].after == count else None


async def _counts(admin: AIOKafkaAdminClient) -> dict[str, int]:
    described = await admin.describe_topics([*GROW, topics.PARTITIONS_ADDED])
    return {one["topic"]: len(one["partitions"]) for one in described}


async def _on_record(admin: AIOKafkaAdminClient, settings: Settings) -> list[Growth]:
    if not (await _counts(admin))[topics.PARTITIONS_ADDED]:
        return []
    tail = TailReader(settings)
    try:
        return await growths(tail)
    finally:
        await tail.close()


async def _grow(admin: AIOKafkaAdminClient, topic: str, before: int, count: int) -> None:
    if before >= count:
        return
    await admin.create_partitions({topic: NewPartitions(count)})
    print(f"partitions: {topic} {before} → {count}", flush=True)


async def _listed(admin: AIOKafkaAdminClient) -> None:
    async def is_so() -> bool:
        return bool((await _counts(admin))[topics.PARTITIONS_ADDED])

    if not await _until(is_so, TAKEN_UP_WITHIN):
        raise LogUnavailable(f"Kafka does not list {topics.PARTITIONS_ADDED}")


async def _wait_for_workers(admin: AIOKafkaAdminClient, settings: Settings, growth: Growth) -> None:
    """Until all partitions have a worker, and the old ones are decided as far as they are written now."""
    wanted = set(range(growth.after))

    async def are_taken_up() -> bool:
        return all([await _assigned(admin, topic) >= wanted for topic in (topics.CREATED, topics.STATUS)])

    if not await _until(are_taken_up, TAKEN_UP_WITHIN):
        raise SystemExit(
            f"partitions: they are there, but no worker has taken all of them up within {TAKEN_UP_WITHIN:g} s. Nothing "
            "is lost: what is in them waits. See: make ps; then start it again"
        )
    print(f"partitions: workers have taken up all {growth.after}", flush=True)
    tps = await topics.partitions(admin, topics.CREATED)
    ends = await high_watermarks(settings, [tp for tp in tps if tp.partition < growth.before])
    tail = TailReader(settings)

    async def are_decided() -> bool:
        done = await committed_offsets(settings, topics.CREATED)
        behind = [(tp.partition, end) for tp, end in ends.items() if done[tp.partition] < end]
        return all([await tail.has_none(topics.CREATED, one, done[one], end) for one, end in behind])

    try:
        is_decided = await _until(are_decided, DECIDED_WITHIN)
    finally:
        await tail.close()
    if not is_decided:
        raise SystemExit(
            f"partitions: the old ones are not decided within {DECIDED_WITHIN:g} s as far as they were written. "
            "Nothing is lost: the new ones wait for them. See: make lag; then start it again"
        )
    print(
        f"partitions: 0 to {growth.before - 1} are decided as far as they were written at the switch",
        flush=True,
    )


async def _assigned(admin: AIOKafkaAdminClient, topic: str) -> set[int]:
    """The partitions of a topic that some worker has."""
    found: set[int] = set()
    for group in READERS[topic]:  # one by one: aiokafka cannot read an answer on two
        (response,) = await admin.describe_consumer_groups([group])
        ((_, _, _, _, _, members, *_),) = response.groups
        for *_, assignment in members:
            if assignment:  # none in the middle of a rebalance
                said = ConsumerProtocolMemberAssignment.decode(assignment).assignment
                found |= {number for name, some in said if name == topic for number in some}
    return found


async def _until(is_so: Callable[[], Awaitable[bool]], within: float) -> bool:
    ends = time.monotonic() + within
    while not await is_so():
        if time.monotonic() > ends:
            return False
        await asyncio.sleep(EVERY)
    return True


async def _name_moved(settings: Settings, growth: Growth, listed: str) -> None:
    """The customers that the log has, and those whose partition is another one now."""
    customers = {one["customer_id"] async for one in _statuses(settings)}
    moved = sorted(filter(growth.moves, customers))
    rows = [(one, *(partition_of(one.encode(), count) for count in growth)) for one in moved]
    share = len(moved) / len(customers) if customers else 0
    first = ", ".join(f"{one} ({old} → {new})" for one, old, new in rows[:NAMED])
    more = " ...; all of them: --list FILE (make: LIST=FILE)" if len(rows) > NAMED and not listed else ""
    print(
        f"partitions: {len(moved):,} of {len(customers):,} customers ({share:.0%}) have moved: {first}{more}"
    )
    if listed:
        _write(Path(listed), rows)
        print(f"partitions: all of them are in {listed}")


def _write(path: Path, rows: Sequence[Sequence[Any]]) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("customer_id", "before", "now"), *rows])


async def _statuses(settings: Settings) -> AsyncIterator[Any]:
    async for records in decoded(settings, topics.STATUS, WHOLE, None):
        for one in records:
            if not isinstance(one, Poison):
                yield one
