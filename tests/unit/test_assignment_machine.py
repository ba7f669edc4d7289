"""Whatever fails, is slow or is revoked, and when: a record is committed once it is stored, and none is missed."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Coroutine, Sequence
from typing import Any, TypeVar
from unittest import mock

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from app.errors import StoreUnavailable
from app.processing.assignment import MicroBatch, Steps
from app.processing.back_pressure import UNDER_WAY_MOST, Batch
from app.processing.batch_processor import BatchProcessor
from tests.unit.virtual_time import VirtualTimeLoop

T = TypeVar("T")

PARTITIONS = (0, 1, 2)
FIRST = "claim"
STEPS = ("decide", "publish", "store")
MOST = 2
WITHIN = 8.0
EVERY = 0.25


class Machine(RuleBasedStateMachine):
    """A worker in a group: partitions come and go; what is fetched begins at the committed offset."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = VirtualTimeLoop()
        self.clock = mock.patch("time.monotonic", self.loop.time)
        self.clock.start()
        self.failing: dict[str, int] = dict.fromkeys((FIRST, *STEPS), 0)
        self.slow: dict[str, float] = dict.fromkeys((FIRST, *STEPS), 0.0)
        self.wrong: list[str] = []
        self.generation = 0
        self.is_assigned = False
        self.claimed: list[int] = []  # the generations
        self.at_work: list[int] = []  # the generations of the steps that run
        self.committed = dict.fromkeys(PARTITIONS, 0)
        self.fetched: dict[int, int] = {}
        self.through: dict[str, dict[int, int]] = {}  # of each step, up to where it has seen each partition
        self.putting: list[asyncio.Task[None]] = []
        self.processor = BatchProcessor(self.steps_of, self.mark_processed, most=MOST, pause_most=5)
        self.running = self.loop.create_task(self.processor.run())

    def expect(self, is_so: bool, otherwise: str) -> None:
        """An assertion inside a step would be one more failure that is retried."""
        if not is_so:
            self.wrong.append(otherwise)

    def do(self, what: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(what)

    def steps_of(self, _: Collection[int]) -> Steps:
        generation = self.generation

        def step(name: str) -> Any:
            async def work(what: MicroBatch | Sequence[MicroBatch]) -> None:
                await self.worked(name, [what] if isinstance(what, MicroBatch) else what, generation)

            work.__name__ = name
            return work

        async def claim() -> None:
            self.expect(self.at_work == [], "something is at work before the claim")
            await self.tried(FIRST, generation)
            self.expect(generation not in self.claimed, "claimed again")
            self.claimed.append(generation)

        decide, publish, store = map(step, STEPS)
        return Steps([decide, publish], store, EVERY, claim)

    async def worked(self, name: str, micro_batches: Sequence[MicroBatch], generation: int) -> None:
        self.expect(generation in self.claimed, f"{name} before the claim")
        await self.tried(name, generation)
        for batch in (batch for micro_batch in micro_batches for batch in micro_batch.batches):
            self.saw(name, batch)

    async def tried(self, name: str, generation: int) -> None:
        self.expect(
            generation == self.generation and self.is_assigned, "a step of an assignment that has ended"
        )
        self.expect(set(self.at_work) <= {generation}, "two assignments at work")
        self.at_work.append(generation)
        try:
            await asyncio.sleep(self.slow[name])
            if self.failing[name]:
                self.failing[name] -= 1
                raise StoreUnavailable("down")
        finally:
            self.at_work.remove(generation)

    def saw(self, name: str, batch: Batch) -> None:
        """In order, and without a gap."""
        self.expect(
            batch.records[0] == self.through[name][batch.partition], f"{name}: a gap, or out of order"
        )
        before = STEPS[STEPS.index(name) - 1] if name != STEPS[0] else None
        if before:
            self.expect(self.through[before][batch.partition] >= batch.next_offset, f"{name} before {before}")
        self.through[name][batch.partition] = batch.next_offset

    def mark_processed(self, _: str, partition: int, next_offset: int) -> None:
        self.expect(self.is_assigned, "committed after the revocation")
        is_next = self.committed[partition] < next_offset <= self.through["store"][partition]
        self.expect(is_next, "committed before it was stored, or again")
        self.committed[partition] = next_offset

    @precondition(lambda self: self.is_assigned)
    @rule(partition=st.sampled_from(PARTITIONS), count=st.integers(1, 6))
    def fetch(self, partition: int, count: int) -> None:
        if partition in self.fetched:
            start = self.fetched[partition]
            self.fetched[partition] = end = start + count
            batch = Batch("created", partition, range(start, end), end)
            self.putting.append(self.loop.create_task(self.processor.put(batch, self.generation)))

    @rule(partition=st.sampled_from(PARTITIONS))
    def late(self, partition: int) -> None:
        """A batch that was fetched before the rebalance."""
        batch = Batch("created", partition, range(10**6, 10**6 + 3), 10**6 + 3)
        self.putting.append(self.loop.create_task(self.processor.put(batch, self.generation - 1)))

    @rule(name=st.sampled_from((FIRST, *STEPS)), times=st.sampled_from([0, 2, 20]))
    def fail(self, name: str, times: int) -> None:
        self.failing[name] = times

    @rule(name=st.sampled_from((FIRST, *STEPS)), seconds=st.sampled_from([0.0, 0.4, 20.0]))
    def slow_down(self, name: str, seconds: float) -> None:
        self.slow[name] = seconds

    @rule(seconds=st.sampled_from([0.001, 0.3, 30.0]))
    def wait(self, seconds: float) -> None:
        self.do(asyncio.sleep(seconds))

    @precondition(lambda self: not self.is_assigned)
    @rule(partitions=st.sets(st.sampled_from(PARTITIONS)))
    def assign(self, partitions: set[int]) -> None:
        self.generation += 1
        self.is_assigned = True
        self.fetched = {partition: self.committed[partition] for partition in partitions}
        self.through = {name: dict(self.committed) for name in STEPS}
        self.processor.assign(self.generation, partitions)

    @precondition(lambda self: self.is_assigned)
    @rule()
    def revoke(self) -> None:
        began = self.loop.time()
        within = WITHIN if self.generation in self.claimed else 0
        self.do(asyncio.wait_for(self.processor.revoke(WITHIN), 100))
        assert self.loop.time() - began < within + 0.01
        assert self.at_work == []
        self.is_assigned = False

    @invariant()
    def little_is_under_way(self) -> None:
        if self.is_assigned:
            under_way = sum(self.through["decide"][p] - self.committed[p] for p in PARTITIONS)
            assert under_way < UNDER_WAY_MOST * MOST + MOST + 6

    @invariant()
    def all_is_well(self) -> None:
        assert self.wrong == []
        assert not self.running.done()

    def teardown(self) -> None:
        try:
            self.failing, self.slow = dict.fromkeys(self.failing, 0), dict.fromkeys(self.slow, 0.0)
            if not self.is_assigned:
                self.assign(set(PARTITIONS))
            self.do(asyncio.sleep(1_000))
            assert all(task.done() for task in self.putting), "an agent waits for ever"
            assert {p: self.committed[p] for p in self.fetched} == self.fetched, "not all is committed"
            assert self.claimed[-1] == self.generation, "a claim waits for a batch"
            assert self.wrong == []
        finally:
            self.running.cancel()
            self.do(asyncio.wait([self.running, *self.putting]))
            self.clock.stop()
            self.loop.close()


TestAssignment = Machine.TestCase
TestAssignment.settings = settings(
    max_examples=200,
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
