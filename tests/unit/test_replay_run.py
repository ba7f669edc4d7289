"""How a replay resumes after a kill: its checkpoint covers only what is written, and when it may resume at all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from app.commands.replay import run
from app.commands.replay.batches import ReplayBatch
from app.commands.replay.checkpoint import Checkpoint
from app.commands.replay.run import Plan
from app.commands.shared.console import Named
from app.commands.shared.read_range import WHOLE, ReadRange
from app.commands.shared.topic_reader import OffsetOutOfRange
from app.errors import StoreUnavailable
from app.models.status import TransactionStatus
from app.settings import Settings
from tests.unit.samples import status

LEFT = Checkpoint({0: 4, 1: 7}, "replay:token")


class CheckpointStore:
    def __init__(self, left: Checkpoint = LEFT):
        self.left = left
        self.moves: list[dict[int, int]] = []

    async def found(self) -> Checkpoint:
        return self.left

    async def move(self, offsets: dict[int, int], metadata: str) -> None:
        self.moves.append(dict(offsets))


class Sink:
    """A store that takes `most` writes, the first `whole` of them on every replica."""

    def __init__(self, most: int = 1000, whole: int = 1000):
        self.most, self.whole = most, whole
        self.written: list[str] = []

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    @property
    def has_all(self) -> bool:
        return len(self.written) <= self.whole

    async def write(self, statuses: Sequence[TransactionStatus]) -> None:
        await asyncio.sleep(0)
        if len(self.written) >= self.most:
            raise StoreUnavailable("dead")
        self.written += [one["transaction_id"] for one in statuses]


class Redis:
    def __init__(self, filled_by: str):
        self.filled_by = filled_by

    async def go_on(self, metadata: str) -> bool:
        return bool(metadata) and metadata == self.filled_by

    async def begin(self, *, with_the_table: bool) -> str:
        return "replay:both:new" if with_the_table else "replay:new"


class Log:
    total = 3


def written(monkeypatch: pytest.MonkeyPatch, sink: Sink) -> tuple[list[str], list[dict[int, int]]]:
    """Three chunks into the store; what it has, and where the bookmark was moved."""

    async def chunks(*_: Any) -> AsyncIterator[ReplayBatch]:
        for number in range(3):
            one: Any = {**status(), "transaction_id": str(number)}
            yield ReplayBatch([one], 1, [], {0: number + 1}, number + 1)

    async def once(call: Any, _: int) -> None:
        await call()

    monkeypatch.setattr(run, "chunks", chunks)
    monkeypatch.setattr(run, "with_retries", once)
    monkeypatch.setattr(run, "CHECKPOINT_EVERY", 0)
    checkpoints, reader = CheckpointStore(), Log()
    plan = Plan("redis", WHOLE, None, resume=False)

    async def write() -> None:
        try:
            await run._write(Settings(), plan, reader, [sink], checkpoints, "")  # type: ignore[arg-type]
        except StoreUnavailable:
            assert len(sink.written) == sink.most

    asyncio.run(write())
    return sink.written, checkpoints.moves


def test_all_chunks_are_written_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    assert written(monkeypatch, Sink()) == (["0", "1", "2"], [{0: 1}, {0: 2}])


@pytest.mark.parametrize("most", [0, 1, 2])
def test_the_checkpoint_never_passes_what_is_not_written(monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    those, moves = written(monkeypatch, Sink(most))
    assert all(offset <= len(those) for move in moves for offset in move.values())


def test_whoever_resumes_begins_before_what_did_not_reach_every_replica(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    those, moves = written(monkeypatch, Sink(whole=1))
    assert len(those) == 3
    assert moves == [{0: 1}]


def test_when_reading_fails_no_write_is_left_in_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    began, ended = asyncio.Event(), asyncio.Event()

    async def chunks(*_: Any) -> AsyncIterator[ReplayBatch]:
        yield ReplayBatch([status()], 1, [], {0: 1}, 1)
        await began.wait()
        raise OffsetOutOfRange("it is gone")

    class Slow(Sink):
        async def write(self, _: Sequence[TransactionStatus]) -> None:
            began.set()
            try:
                await asyncio.sleep(3600)
            finally:
                ended.set()

    monkeypatch.setattr(run, "chunks", chunks)

    async def write() -> None:
        with pytest.raises(OffsetOutOfRange):
            await run._write(Settings(), plan(), Log(), [Slow()], CheckpointStore(), "")  # type: ignore[arg-type]
        assert ended.is_set()

    asyncio.run(write())


def named(names: Sequence[str]) -> Named:
    found = Named()
    for name in names:
        found.add([name])
    return found


@dataclass
class Cassandra:
    short: int = 0
    hidden: Named = field(default_factory=Named)


@pytest.mark.parametrize(
    ("cassandra", "left_out", "nothing", "said"),
    [
        (Cassandra(), [], False, None),
        (None, [], False, None),
        (None, [], True, "the span has no records: nothing was written"),
        (None, ["t[0]@7: no schema"], False, "1 (t[0]@7: no schema) could not be read and is in no store"),
        (Cassandra(short=5), [], False, "5 rows are not on all of their replicas"),
        (Cassandra(hidden=named("abcd")), [], False, "4 (a; b; c ...) are hidden in Cassandra by a deletion"),
    ],
    ids=["all is written", "Redis alone", "an empty span", "unreadable", "a dead replica", "a tombstone"],
)
def test_it_succeeds_only_when_everything_is_in_its_store(
    cassandra: Any, left_out: list[str], nothing: bool, said: str | None
) -> None:
    found = run.wrong(cassandra, named(left_out), nothing=nothing)
    if said is None:
        run._report_end("records 3", found)
        return
    with pytest.raises(SystemExit) as ended:
        run._report_end("records 3", found)
    assert said in str(ended.value.code)


def began(plan: Plan, left: Checkpoint, redis: Redis | None) -> tuple[Checkpoint, str]:
    async def begin() -> tuple[Checkpoint, str]:
        rebuilds: Any = redis if plan.read_range.is_whole else None
        found = await run._left(plan, CheckpointStore(left), rebuilds)  # type: ignore[arg-type]
        return found, await run._metadata(plan, found, rebuilds)

    return asyncio.run(begin())


def plan(into: str = "redis", read_range: ReadRange = WHOLE, *, resume: bool = True) -> Plan:
    return Plan(into, read_range, None, resume)


def test_a_killed_replay_resumes_where_it_was(capsys: pytest.CaptureFixture[str]) -> None:
    assert began(plan(), LEFT, Redis("replay:token")) == (LEFT, "replay:token")
    assert "goes on at 0:4, 1:7" in capsys.readouterr().out


def test_into_a_redis_that_was_emptied_since_it_starts_over() -> None:
    assert began(plan(), LEFT, Redis("")) == (Checkpoint(), "replay:new")


def test_a_range_or_cassandra_alone_removes_no_marker() -> None:
    assert began(plan(read_range=ReadRange(since=1)), LEFT, Redis("other")) == (LEFT, LEFT.metadata)
    assert began(plan("cassandra"), LEFT, None) == (LEFT, LEFT.metadata)
    assert began(plan("cassandra", resume=False), LEFT, None) == (Checkpoint(), "")


def test_without_resume_it_starts_over_and_says_what_was_left(capsys: pytest.CaptureFixture[str]) -> None:
    assert began(plan("both", resume=False), LEFT, Redis("replay:token")) == (Checkpoint(), "replay:both:new")
    assert "killed at 0:4, 1:7; --resume would continue there" in capsys.readouterr().out
    assert began(plan("both"), Checkpoint(), Redis("")) == (Checkpoint(), "replay:both:new")
    assert "nothing to resume" in capsys.readouterr().out
