"""What a replay does: the statuses of a span, chunk after chunk, into the stores; then what is still pending."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial

from app.commands.replay.batches import BATCH_SIZE, chunks
from app.commands.replay.checkpoint import Checkpoint, CheckpointStore
from app.commands.replay.sinks import CassandraSink, RedisSink, Sink, open_all, write_all
from app.commands.shared.console import Named, Progress, with_retries
from app.commands.shared.read_range import ReadRange
from app.commands.shared.topic_reader import TopicReader
from app.errors import Poison
from app.messaging import consumer_groups, topics
from app.messaging.dead_letters import place_of
from app.models.label import TransactionLabel, newest_labels, unstorable_label
from app.models.transaction import unstorable
from app.settings import Settings

#: Tries of a chunk after the first: a store that is only slow under the replay's own load is waited for.
TRIES = 30
#: Seconds between two moves of the bookmark: so much is written again after a kill, at most.
CHECKPOINT_EVERY = 0.5


@dataclass(frozen=True, slots=True)
class Plan:
    """What is asked for."""

    into: str
    read_range: ReadRange
    rate: float | None
    resume: bool


async def run(settings: Settings, plan: Plan) -> None:
    """Write all of the span; SystemExit when some replica has not taken every row."""
    cassandra = CassandraSink(settings) if plan.into != "redis" else None
    redis = RedisSink(settings) if plan.into != "cassandra" else None
    sinks: list[Sink] = [sink for sink in (cassandra, redis) if sink]
    async with AsyncExitStack() as ends:
        for sink in sinks:
            ends.push_async_callback(sink.close)
        await open_all(sinks)
        checkpoints = await ends.enter_async_context(
            CheckpointStore(settings, f"replay-{plan.into}", topics.STATUS)
        )
        # Before the statuses: what is decided from here on, the bff's own agent writes.
        undecided = await consumer_groups.committed_offsets(settings, topics.CREATED)
        rebuilds = redis if plan.read_range.is_whole else None
        left = await _left(plan, checkpoints, rebuilds)
        reader = await ends.enter_async_context(TopicReader(settings, topics.STATUS))
        await reader.seek(plan.read_range, past=left.offsets)
        metadata = await _metadata(plan, left, rebuilds)
        await checkpoints.move(reader.starts, metadata)
        words, unreadable = await _write(settings, plan, reader, sinks, checkpoints, metadata)
        if rebuilds:
            pending = await _write_pending(settings, rebuilds, undecided)
            await rebuilds.finish()
            words += f"; {pending:,} pending"
        if cassandra and plan.read_range.partitions is None:
            words += f"; {await _write_labels(settings, cassandra, plan.read_range, unreadable):,} labels"
        elif cassandra:  # offsets that are named are those of the statuses
            words += "; no labels, which a run without offsets writes"
        await checkpoints.finish()
    if cassandra and not cassandra.short:
        words += "; all rows are on all their replicas"
    unreadable.add([place_of(source) for source in reader.left_out])
    nothing = reader.total == 0 and not plan.read_range.is_whole
    _report_end(words, wrong(cassandra, unreadable, nothing=nothing))


async def _left(plan: Plan, checkpoints: CheckpointStore, rebuilds: RedisSink | None) -> Checkpoint:
    """What is left of a killed run, if that is wanted and possible."""
    left = await checkpoints.found()
    if plan.resume and rebuilds and not await rebuilds.go_on(left.metadata):
        left = Checkpoint()
    print(f"replay: {_beginning(plan, left)}")
    return left if plan.resume else Checkpoint()


async def _metadata(plan: Plan, left: Checkpoint, rebuilds: RedisSink | None) -> str:
    """For the bookmarks; once the log is known to have all, Redis is no longer complete."""
    if left.offsets or not rebuilds:
        return left.metadata
    return await rebuilds.begin(with_the_table=plan.into == "both")


def _beginning(plan: Plan, left: Checkpoint) -> str:
    """In words."""
    if plan.resume and left.offsets:
        return f"goes on at {_listed(left)}; all before is written"
    if plan.resume:
        return "nothing to resume, starting from the beginning"
    if left.offsets:
        return (
            f"one was killed at {_listed(left)}; --resume would continue there; starting from the beginning"
        )
    return "starting from the beginning"


def _listed(left: Checkpoint) -> str:
    return ", ".join(f"{partition}:{offset}" for partition, offset in sorted(left.offsets.items()))


async def _write(
    settings: Settings,
    plan: Plan,
    reader: TopicReader,
    sinks: Sequence[Sink],
    checkpoints: CheckpointStore,
    metadata: str,
) -> tuple[str, Named]:
    """Each chunk is read and decoded while the one before it is written; what was done, and what cannot be read."""
    progress, unreadable = Progress("replay", reader.total), Named()
    writing: asyncio.Task[None] | None = None
    moved = time.monotonic()
    offsets: dict[int, int] = {}
    try:
        async for chunk in chunks(settings, reader, plan.rate):
            if writing:
                await writing
                # Whoever resumes a killed run must come by what is not right yet.
                is_right = not unreadable.count and all(sink.has_all for sink in sinks)
                if is_right and time.monotonic() - moved > CHECKPOINT_EVERY:
                    await checkpoints.move(offsets, metadata)
                    moved = time.monotonic()
            writing = asyncio.create_task(with_retries(partial(write_all, sinks, chunk.rows), TRIES))
            offsets |= chunk.next_offsets
            unreadable.add(chunk.unreadable)
            progress.add(chunk.records, chunk.passed)
        if writing:
            await writing
    finally:
        if writing and not writing.done():
            writing.cancel()
            await asyncio.wait([writing])
    return f"records {progress.ended()}", unreadable


async def _write_pending(settings: Settings, redis: RedisSink, undecided: dict[int, int]) -> int:
    """What no worker has finished yet is pending, unless its verdict is there already; gives how many."""
    codec, count = await topics.reader(settings, topics.CREATED), 0
    async with TopicReader(settings, topics.CREATED) as reader:
        await reader.seek(past=undecided)
        async for records in reader.chunks(BATCH_SIZE):
            decoded = await codec.decode([record.value for record in records])
            pending = [one for one in decoded if not isinstance(one, Poison) and not unstorable(one)]
            await with_retries(partial(redis.write_pending, pending))
            count += len(pending)
    return count


async def _write_labels(
    settings: Settings, cassandra: CassandraSink, read_range: ReadRange, unreadable: Named
) -> int:
    """The labels of the span; what is older covers nothing. Gives how many transactions have one."""
    codec, ids = await topics.reader(settings, topics.LABEL), set[str]()
    async with TopicReader(settings, topics.LABEL) as reader:
        await reader.seek(read_range)
        async for records in reader.chunks(BATCH_SIZE):
            decoded = await codec.decode([record.value for record in records])
            newest = newest_labels(label for label in decoded if not _why_no_label(label))
            await with_retries(partial(cassandra.write_labels, list(newest.values())), TRIES)
            ids |= newest.keys()
            unreadable.add(
                [
                    f"{place_of((record.topic, record.partition, record.offset))}: {why}"
                    for record, label in zip(records, decoded, strict=True)
                    if (why := _why_no_label(label))
                ]
            )
        unreadable.add([place_of(source) for source in reader.left_out])
    return len(ids)


def _why_no_label(label: TransactionLabel | Poison) -> str | None:
    return str(label) if isinstance(label, Poison) else unstorable_label(label, time.time())


async def counted(settings: Settings, plan: Plan) -> None:
    """Read and decode as a replay would, and say what it would write."""
    count = 0
    async with AsyncExitStack() as ends:
        checkpoints = await ends.enter_async_context(
            CheckpointStore(settings, f"replay-{plan.into}", topics.STATUS)
        )
        left = await checkpoints.found()
        print(f"replay, dry run: {_beginning(plan, left)}")
        reader = await ends.enter_async_context(TopicReader(settings, topics.STATUS))
        await reader.seek(plan.read_range, past=left.offsets if plan.resume else {})
        progress = Progress("replay, dry run", reader.total)
        async for chunk in chunks(settings, reader, plan.rate):
            count += len(chunk.rows)
            progress.add(chunk.records, chunk.passed)
    where = {"cassandra": "Cassandra", "redis": "Redis", "both": "Cassandra and Redis"}[plan.into]
    kept = "" if plan.into == "cassandra" else f" (Redis keeps the newest {settings.recent_transactions:,})"
    print(f"replay, dry run: records {progress.ended()}; {count:,} rows would be written into {where}{kept}")


def wrong(cassandra: CassandraSink | None, left_out: Named, *, nothing: bool) -> list[str]:
    """What is not as it was asked for, a sentence each."""
    found: list[str] = []
    if nothing:
        found.append("the span has no records: nothing was written")
    if left_out.count:
        found.append(f"{left_out} could not be read and {left_out.are} in no store")
    if cassandra and cassandra.short:
        found.append(
            f"{cassandra.short:,} rows are not on all of their replicas: start the nodes (make ps), then run it again"
        )
    if cassandra and (hidden := cassandra.hidden).count:
        found.append(
            f"{hidden} {hidden.are} hidden in Cassandra by a deletion that is later than "
            "what was written: TRUNCATE transactions.transactions, then run it again"
        )
    return found


def _report_end(words: str, found: Sequence[str]) -> None:
    """What was done; SystemExit when that is not all that was asked for."""
    print(f"replay: {words}")
    if found:
        raise SystemExit("\n".join(found))
