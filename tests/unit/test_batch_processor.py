"""How batches survive: in order, held and retried in place, finished after the last step only."""

import asyncio
import itertools
import logging
import random
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from app.errors import StoreUnavailable
from app.processing import assignment, back_pressure
from app.processing.assignment import TRIES_BEFORE_ERROR, FirstStep, LastStep, MicroBatch, Step, Steps
from app.processing.back_pressure import Batch
from app.processing.batch_processor import BatchProcessor
from tests.unit.virtual_time import now, run

Happened = list[str]
MOMENT = 1e-6


def batch(partition: int, end: int, records: int = 1) -> Batch:
    """A batch of a partition, up to the offset `end`."""
    return Batch("t", partition, range(end - records, end), end)


def names(micro_batch: MicroBatch) -> str:
    return " ".join(f"{b.partition}:{b.next_offset}" for b in micro_batch.batches)


def step(name: str, happened: Happened, work: Callable[[MicroBatch], Awaitable[None]] | None = None) -> Step:
    """A step that notes what it was given, and then does `work`."""

    async def noted(micro_batch: MicroBatch) -> None:
        happened.append(f"{name} {names(micro_batch)}")
        if work:
            await work(micro_batch)

    noted.__name__ = name
    return noted


def last(name: str, happened: Happened, work: Callable[[Any], Awaitable[None]] | None = None) -> LastStep:
    """A last step that does the same with what came through."""
    one = step(name, happened, work)

    async def together(micro_batches: Sequence[MicroBatch]) -> None:
        await one(MicroBatch([batch for micro_batch in micro_batches for batch in micro_batch.batches]))

    together.__name__ = name
    return together


async def nothing(_: Sequence[MicroBatch]) -> None:
    """A last step that has nothing to do."""


@asynccontextmanager
async def at_work(
    happened: Happened,
    *each: Step,
    first: FirstStep | None = None,
    last: LastStep = nothing,
    every: float = 0.0,
    most: int = 1000,
) -> AsyncIterator[BatchProcessor]:
    """A batch processor that runs, assigned in generation 1; what it finishes is noted in `happened`."""

    def mark_processed(topic: str, partition: int, next_offset: int) -> None:
        happened.append(f"finish {partition}:{next_offset}")

    one = BatchProcessor(lambda _: Steps(each, last, every, first), mark_processed, most=most, pause_most=5)
    one.assign(1, [])
    running = asyncio.create_task(one.run())
    try:
        yield one
    finally:
        running.cancel()
        await asyncio.wait([running])


def sleeping(seconds: float) -> Callable[[MicroBatch], Awaitable[None]]:
    async def sleep(_: MicroBatch) -> None:
        await asyncio.sleep(seconds)

    return sleep


def failing(times: int, exc: Exception) -> Callable[[MicroBatch], Awaitable[None]]:
    """Work that fails so many times and then succeeds."""
    left = [times]

    async def fail(_: MicroBatch) -> None:
        left[0] -= 1
        if left[0] >= 0:
            raise exc

    return fail


DOWN = StoreUnavailable("no node answers")


@pytest.fixture
def whole_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """No jitter."""
    monkeypatch.setattr(random, "uniform", lambda low, high: high)


def test_a_batch_goes_through_every_step_and_is_finished_after_the_last() -> None:
    happened: Happened = []

    async def main() -> None:
        async with at_work(happened, *(step(name, happened, sleeping(1)) for name in "abc")) as one:
            await one.put(batch(3, 10), 1)
            await asyncio.sleep(10)

    run(main())
    assert happened == ["a 3:10", "b 3:10", "c 3:10", "finish 3:10"]


def test_a_step_that_fails_holds_its_place_and_nothing_passes_it() -> None:
    happened: Happened = []

    async def main() -> None:
        steps = [step("a", happened), step("b", happened, failing(3, DOWN)), step("c", happened)]
        async with at_work(happened, *steps, most=1) as one:
            for end in range(1, 6):
                await one.put(batch(0, end), 1)
                await one.put(batch(1, end), 1)
            await asyncio.sleep(60)

    run(main())
    assert [what for what in happened if what[0] == "b"][:5] == [*["b 0:1"] * 4, "b 1:1"]
    assert [what for what in happened if what.startswith("finish 0")] == [
        f"finish 0:{n}" for n in range(1, 6)
    ]
    assert [what for what in happened if what.startswith("finish 1")] == [
        f"finish 1:{n}" for n in range(1, 6)
    ]


def test_nothing_is_finished_while_its_last_step_fails() -> None:
    happened: Happened = []

    async def main() -> None:
        async with at_work(happened, step("a", happened), step("b", happened, failing(10**9, DOWN))) as one:
            await one.put(batch(0, 1), 1)
            await one.put(batch(1, 1), 1)
            await asyncio.sleep(3600)

    run(main())
    assert not [what for what in happened if what.startswith("finish")]
    assert happened.count("b 0:1 1:1") > 700  # without end: an hour at most 5 s apart


def test_order_is_kept_in_every_partition_whatever_is_slow_or_fails() -> None:
    happened: Happened = []
    rng = random.Random(1)

    async def moody(_: MicroBatch) -> None:
        await asyncio.sleep(rng.choice([0, 0.01, 1]))
        if rng.random() < 0.4:
            raise rng.choice([DOWN, RuntimeError("a bug")])

    async def main() -> None:
        async with at_work(happened, *(step(name, happened, moody) for name in "abc"), most=5) as one:
            for end in range(1, 101):
                for partition in range(3):
                    await one.put(batch(partition, end), 1)
                    await asyncio.sleep(rng.choice([0, 0, 0.5]))
            await asyncio.sleep(10_000)

    run(main())
    for partition in range(3):
        finished = [what for what in happened if what.startswith(f"finish {partition}:")]
        assert finished == [f"finish {partition}:{end}" for end in range(1, 101)]
    for name in "abc":
        rounds = dict.fromkeys(what for what in happened if what[0] == name)  # without the repeated tries
        ends = [int(end) for what in rounds for end in re.findall(r"\b0:(\d+)", what)]
        assert ends == list(range(1, 101))


def times_of(tries: int) -> list[float]:
    """When each try of a failing step was made."""
    times: list[float] = []

    async def note(_: MicroBatch) -> None:
        times.append(now())
        if len(times) < tries:
            raise DOWN

    async def main() -> None:
        async with at_work([], step("a", [], note)) as one:
            await one.put(batch(0, 1), 1)
            await asyncio.sleep(120)

    run(main())
    return times


@pytest.mark.usefixtures("whole_pauses")
def test_the_pause_between_tries_doubles_up_to_its_bound() -> None:
    times = times_of(12)
    pauses = [round(after - before, 6) for before, after in itertools.pairwise(times)]
    assert pauses == [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5, 5, 5, 5]


def test_pauses_are_shortened_at_random_by_up_to_a_half_so_that_workers_do_not_march_in_step() -> None:
    times = times_of(20)
    pauses = [after - before for before, after in itertools.pairwise(times)]
    assert all(2.5 <= pause <= 5 for pause in pauses[8:])
    assert len({round(pause, 6) for pause in pauses[8:]}) > 5


def test_a_micro_batch_is_in_its_second_step_while_the_next_is_in_its_first() -> None:
    happened: Happened = []

    async def main() -> None:
        steps = [step("a", happened, sleeping(1)), step("b", happened, sleeping(1.5))]
        async with at_work(happened, *steps, most=1) as one:
            for end in (1, 2, 3):
                await one.put(batch(0, end), 1)
            await asyncio.sleep(10)

    run(main())
    assert [what for what in happened if "finish" not in what] == [
        "a 0:1",
        "a 0:2",
        "b 0:1",
        "a 0:3",
        "b 0:2",
        "b 0:3",
    ]
    assert [what for what in happened if "finish" in what] == ["finish 0:1", "finish 0:2", "finish 0:3"]


def test_few_records_wait_for_the_micro_batch_at_work_and_go_together() -> None:
    happened: Happened = []

    async def main() -> None:
        steps = [step(name, happened, sleeping(0.1)) for name in "ab"]
        async with at_work(happened, *steps, most=1000) as one:
            await one.put(batch(0, 1), 1)
            await asyncio.sleep(0.05)
            await one.put(batch(0, 2), 1)
            await one.put(batch(1, 7), 1)
            await asyncio.sleep(10)

    run(main())
    together = "0:2 1:7"
    assert happened == [
        "a 0:1",
        "b 0:1",
        "finish 0:1",
        f"a {together}",
        f"b {together}",
        "finish 0:2",
        "finish 1:7",
    ]


def test_few_records_do_not_wait_for_a_step_that_is_held_up() -> None:
    happened: Happened = []

    async def main() -> None:
        steps = [step("a", happened), step("b", happened, sleeping(1000))]
        async with at_work(happened, *steps, most=1000) as one:
            await one.put(batch(0, 1), 1)
            await asyncio.sleep(10)
            await one.put(batch(0, 2), 1)
            await asyncio.sleep(2 * assignment.LINGER)

    run(main())
    assert happened == ["a 0:1", "b 0:1", "a 0:2"]


def test_many_records_do_not_wait() -> None:
    happened: Happened = []

    async def main() -> None:
        steps = [step(name, happened, sleeping(1)) for name in "ab"]
        async with at_work(happened, *steps, most=1000) as one:
            await one.put(batch(0, 1), 1)
            await asyncio.sleep(0.5)
            await one.put(batch(0, 1 + assignment.WORTH_A_MICRO_BATCH, assignment.WORTH_A_MICRO_BATCH), 1)
            await asyncio.sleep(10)

    run(main())
    assert sorted(happened[1:3]) == [f"a 0:{1 + assignment.WORTH_A_MICRO_BATCH}", "b 0:1"]


def test_a_blocked_step_lets_only_a_few_micro_batches_come_near() -> None:
    happened: Happened = []

    async def main() -> None:
        steps = [step("a", happened), step("b", happened, sleeping(1000))]
        async with at_work(happened, *steps, most=1) as one:
            for end in range(1, 50):
                await one.put(batch(0, end), 1)
            await asyncio.sleep(100)

    run(main())
    assert happened == ["a 0:1", "a 0:2", "b 0:1", "a 0:3"]


def test_a_micro_batch_takes_all_that_waits_when_the_worker_becomes_free() -> None:
    happened: Happened = []

    async def main() -> None:
        async with at_work(happened, step("a", happened, sleeping(1))) as one:
            for partition in range(4):
                await one.put(batch(partition, 1), 1)
                await asyncio.sleep(MOMENT)
            await asyncio.sleep(10)

    run(main())
    assert [what for what in happened if "finish" not in what] == ["a 0:1", "a 1:1 2:1 3:1"]


def test_a_micro_batch_is_closed_by_the_batch_that_brings_it_to_the_most() -> None:
    happened: Happened = []

    async def main() -> None:
        async with at_work(happened, step("a", happened), most=100) as one:
            for partition, records in enumerate((60, 60, 100, 99, 1, 1)):
                await one.put(batch(partition, records, records), 1)
            await asyncio.sleep(1)

    run(main())
    assert [what for what in happened if what[0] == "a"] == ["a 0:60 1:60", "a 2:100", "a 3:99 4:1", "a 5:1"]


def test_too_many_batches_wait_outside() -> None:
    async def main() -> None:
        async with at_work([], step("a", [], sleeping(10**6)), most=1) as one:
            for end in range(1, 66):
                await asyncio.wait_for(one.put(batch(0, end), 1), 1)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(one.put(batch(0, 66), 1), 1)

    run(main())


def test_batches_of_an_older_generation_are_dropped() -> None:
    happened: Happened = []

    async def main() -> None:
        async with at_work(happened, step("a", happened)) as one:
            one.assign(2, [])
            await one.put(batch(0, 1), 1)
            await one.put(batch(1, 1), 2)
            await one.put(batch(2, 1), 1)
            await asyncio.sleep(1)

    run(main())
    assert happened == ["a 1:1", "finish 1:1"]


def test_while_no_partition_is_ours_an_agent_waits_and_what_it_has_is_dropped_if_it_is_old() -> None:
    happened: Happened = []

    async def main() -> None:
        async with at_work(happened, step("a", happened)) as one:
            await one.revoke(1)
            old, new = (
                asyncio.create_task(one.put(batch(partition, 1), partition + 1)) for partition in (0, 1)
            )
            await asyncio.sleep(1)
            assert not old.done()
            assert not new.done()
            one.assign(2, [])
            await asyncio.sleep(1)
            assert old.done()
            assert new.done()

    run(main())
    assert happened == ["a 1:1", "finish 1:1"]


def test_an_agent_that_waits_for_room_goes_on_when_the_partitions_are_revoked() -> None:
    async def main() -> None:
        async with at_work([], step("a", [], failing(10**9, DOWN)), most=1) as one:
            putting = asyncio.create_task(putting_without_end(one))
            await asyncio.sleep(10)
            assert not putting.done()
            await one.revoke(8)
            one.assign(2, [])
            await asyncio.sleep(1)
            assert putting.done()

    async def putting_without_end(one: BatchProcessor) -> None:
        for end in range(1, 1000):
            await one.put(batch(0, end), 1)

    run(main())


def test_a_partition_that_goes_ends_a_retry_at_once_and_for_good() -> None:
    happened: Happened = []

    async def main() -> None:
        async with at_work(happened, step("a", happened, failing(100, DOWN)), step("b", happened)) as one:
            await one.put(batch(0, 1), 1)
            await asyncio.sleep(30)
            before = now(), len(happened)
            await one.revoke(8)
            assert now() == pytest.approx(before[0])
            await asyncio.sleep(30)
            one.assign(2, [])
            await asyncio.sleep(30)
            assert len(happened) == before[1]

    run(main())


def test_a_step_at_work_is_waited_for_and_the_next_is_not_begun() -> None:
    happened: Happened = []

    async def main() -> None:
        async with at_work(happened, step("a", happened, sleeping(3)), step("b", happened)) as one:
            await one.put(batch(0, 1), 1)
            await asyncio.sleep(1)
            await one.revoke(8)
            assert now() == pytest.approx(3)

    run(main())
    assert happened == ["a 0:1"]


def test_a_last_step_at_work_still_finishes_its_batch() -> None:
    happened: Happened = []

    async def main() -> None:
        async with at_work(happened, step("a", happened, sleeping(3))) as one:
            await one.put(batch(0, 1), 1)
            await asyncio.sleep(1)
            await one.revoke(8)
            assert happened == ["a 0:1", "finish 0:1"]

    run(main())


def test_a_step_that_does_not_end_is_waited_for_no_longer_than_allowed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        async with at_work([], step("a", [], sleeping(100))) as one:
            await one.put(batch(0, 1), 1)
            await asyncio.sleep(1)
            await one.revoke(8)
            assert now() == pytest.approx(9)

    run(main())
    assert [record.getMessage() for record in caplog.records] == [
        "A step was still at work after 8 s; its batch will be taken up again"
    ]


def test_after_a_rebalance_work_goes_on_in_the_new_generation() -> None:
    happened: Happened = []

    async def main() -> None:
        async with at_work(happened, step("a", happened)) as one:
            await one.put(batch(0, 1), 1)
            await asyncio.sleep(1)
            await one.revoke(8)
            one.assign(2, [])
            await one.put(batch(0, 2), 2)
            await asyncio.sleep(1)

    run(main())
    assert happened == ["a 0:1", "finish 0:1", "a 0:2", "finish 0:2"]


def test_nothing_of_an_assignment_is_at_work_in_the_next() -> None:
    """Else the log is asked what was published of the records while that step is still publishing it."""
    happened: Happened = []

    async def main() -> None:
        publish = step("publish", happened, sleeping(20))
        async with at_work(happened, step("decide", happened), publish) as one:
            await one.put(batch(0, 1), 1)
            await asyncio.sleep(1)
            await one.revoke(8)
            assert now() == pytest.approx(9)
            one.assign(2, [])
            await one.put(batch(0, 1), 2)
            await asyncio.sleep(100)

    run(main())
    assert happened == ["decide 0:1", "publish 0:1"] * 2 + ["finish 0:1"]


def claiming(happened: Happened, *outcomes: float | Exception) -> FirstStep:
    """A first step that takes so long, or fails at once."""
    left = iter(outcomes)

    async def claim() -> None:
        happened.append("claim")
        outcome = next(left)
        if isinstance(outcome, Exception):
            raise outcome
        await asyncio.sleep(outcome)
        happened.append("claimed")

    return claim


def test_partitions_are_claimed_as_soon_as_they_are_assigned() -> None:
    happened: Happened = []

    async def main() -> None:
        async with at_work(happened, step("a", happened), first=claiming(happened, 2)) as one:
            await asyncio.sleep(3)
            assert happened == ["claim", "claimed"]
            await one.put(batch(0, 1), 1)
            await asyncio.sleep(MOMENT)
            assert happened[2:] == ["a 0:1", "finish 0:1"]

    run(main())


def test_a_held_partition_waits_however_much_comes_and_the_others_go_on() -> None:
    happened: Happened = []
    held = {1}

    async def look() -> None:
        happened.append("look")
        if happened.count("look") == 3:
            held.clear()

    async def main() -> None:
        steps = Steps([step("a", happened)], nothing, held=held, look=look)
        one = BatchProcessor(lambda _: steps, lambda *_: None, most=1000, pause_most=5)
        one.assign(1, [0, 1])
        running = asyncio.create_task(one.run())
        for n in range(back_pressure.WAITING_MOST + 1):
            await one.put(batch(1, n + 1), 1)
        assert not one.has_work
        await one.put(batch(0, 1), 1)
        await asyncio.sleep(10)
        running.cancel()

    run(main())
    of_the_held = " ".join(f"1:{n + 1}" for n in range(back_pressure.WAITING_MOST + 1))
    assert [one for one in happened if one != "look"] == ["a 0:1", f"a {of_the_held}"]
    assert happened.count("look") == 3


def test_what_comes_while_they_are_claimed_waits_and_goes_together() -> None:
    happened: Happened = []

    async def main() -> None:
        async with at_work(happened, step("a", happened), first=claiming(happened, 2)) as one:
            for partition in range(3):
                await one.put(batch(partition, 1), 1)
                await asyncio.sleep(0.5)
            await asyncio.sleep(10)

    run(main())
    assert happened[:3] == ["claim", "claimed", "a 0:1 1:1 2:1"]


def test_a_claim_that_fails_is_retried_without_end_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    happened: Happened = []
    caplog.set_level(logging.INFO)

    async def main() -> None:
        async with at_work(
            happened, step("a", happened), first=claiming(happened, DOWN, DOWN, DOWN, 0)
        ) as one:
            await one.put(batch(0, 1), 1)
            await asyncio.sleep(30)

    run(main())
    assert happened == ["claim"] * 4 + ["claimed", "a 0:1", "finish 0:1"]
    failed, works = (record.getMessage() for record in caplog.records)
    assert failed == "claim failed, nothing is lost, retrying until it works: no node answers"
    assert works.startswith("claim works again after ")


def test_a_claim_at_work_is_ended_at_a_revocation_and_begun_anew_by_the_next_assignment(
    caplog: pytest.LogCaptureFixture,
) -> None:
    happened: Happened = []

    async def main() -> None:
        async with at_work(happened, step("a", happened), first=claiming(happened, 60, DOWN, 1)) as one:
            await one.put(batch(0, 1), 1)
            await asyncio.sleep(1)
            await one.revoke(8)
            assert now() == pytest.approx(1)
            one.assign(2, [])
            await asyncio.sleep(MOMENT)  # the claim has failed and pauses
            await one.revoke(8)
            assert now() == pytest.approx(1)
            one.assign(3, [])
            await one.put(batch(0, 1), 3)
            await asyncio.sleep(30)

    run(main())
    assert happened == ["claim"] * 3 + ["claimed", "a 0:1", "finish 0:1"]
    assert not [record for record in caplog.records if "still at work" in record.getMessage()]


def test_a_claim_at_work_does_not_hold_up_a_stop() -> None:
    happened: Happened = []

    async def main() -> None:
        async with at_work(happened, step("a", happened), first=claiming(happened, 60)) as one:
            await one.put(batch(0, 1), 1)
            await asyncio.sleep(1)
            await one.drain(8)
            assert now() == pytest.approx(1)

    run(main())
    assert happened == ["claim"]


def test_each_assignment_has_steps_of_its_own_for_its_partitions() -> None:
    made: list[tuple[int, ...]] = []

    def steps_of(partitions: Collection[int]) -> Steps:
        made.append(tuple(partitions))
        return Steps([], nothing)

    async def main() -> None:
        one = BatchProcessor(steps_of, lambda *_: None, most=1000, pause_most=5)
        one.assign(1, [0, 1])
        await one.revoke(1)
        one.assign(2, [1])

    run(main())
    assert made == [(0, 1), (1,)]


def test_what_came_through_while_the_last_step_was_at_work_is_finished_together() -> None:
    happened: Happened = []

    async def main() -> None:
        store = last("store", happened, sleeping(1))
        async with at_work(happened, step("publish", happened), last=store) as one:
            for end in (1, 2, 3):
                await one.put(batch(0, end), 1)
                await asyncio.sleep(0.3)
            await asyncio.sleep(10)

    run(main())
    assert [what for what in happened if "publish" not in what] == [
        "store 0:1",
        "finish 0:1",
        "store 0:2 0:3",
        "finish 0:2",
        "finish 0:3",
    ]


def test_the_last_step_begins_at_most_once_per_interval_and_at_once_after_a_quiet_time() -> None:
    began: list[float] = []

    async def note(_: Sequence[MicroBatch]) -> None:
        began.append(round(now(), 3))

    async def main() -> None:
        async with at_work([], step("publish", []), last=note, every=0.25) as one:
            for end in range(1, 11):
                await one.put(batch(0, end), 1)
                await asyncio.sleep(0.05)
            await asyncio.sleep(9.5)
            await one.put(batch(0, 11), 1)
            await asyncio.sleep(1)

    run(main())
    assert began == [0, 0.25, 0.5, 10]


def test_while_the_last_step_fails_the_others_go_on_up_to_a_bound_and_nothing_is_finished() -> None:
    happened: Happened = []

    async def main() -> None:
        store = last("store", happened, failing(10**9, DOWN))
        async with at_work(happened, step("publish", happened), last=store, most=10) as one:
            for end in range(10, 1000, 10):
                putting = asyncio.create_task(one.put(batch(0, end, 10), 1))
            await asyncio.sleep(100)
            assert not putting.done()

    run(main())
    published = [what for what in happened if what.startswith("publish")]
    assert len(published) == back_pressure.UNDER_WAY_MOST
    assert not [what for what in happened if what.startswith("finish")]


def test_after_an_outage_the_last_step_gets_as_much_at_a_time_as_a_micro_batch_has_and_does_not_wait() -> (
    None
):
    happened: Happened = []
    began: list[float] = []

    async def note(_: MicroBatch) -> None:
        began.append(now())
        if now() < 60:
            raise DOWN

    async def main() -> None:
        async with at_work(
            happened, step("a", []), last=last("store", happened, note), every=0.25, most=10
        ) as one:
            for end in range(5, 45, 5):
                await one.put(batch(0, end, 5), 1)
                await asyncio.sleep(0.3)
            await asyncio.sleep(100)

    run(main())
    stored = list(dict.fromkeys(what for what in happened if what.startswith("store")))
    assert stored[1:] == ["store 0:10 0:15", "store 0:20 0:25", "store 0:30 0:35", "store 0:40"]
    assert began[-2] == pytest.approx(began[-4])


def test_when_partitions_are_revoked_what_came_through_is_finished_without_waiting_for_the_interval() -> None:
    happened: Happened = []

    async def main() -> None:
        steps = [step("decide", happened), step("publish", happened, sleeping(1))]
        async with at_work(happened, *steps, last=last("store", happened), every=60) as one:
            await one.put(batch(0, 1), 1)
            await asyncio.sleep(2)
            await one.put(batch(0, 2), 1)
            await asyncio.sleep(2)
            await one.put(batch(0, 3), 1)
            await asyncio.sleep(0.5)
            await one.revoke(8)
            assert now() == pytest.approx(5)

    run(main())
    assert [what for what in happened if what.startswith("finish")] == [
        "finish 0:1",
        "finish 0:2",
        "finish 0:3",
    ]


def test_when_partitions_are_revoked_a_last_step_that_fails_is_not_tried_again() -> None:
    happened: Happened = []

    async def main() -> None:
        store = last("store", happened, failing(10**9, DOWN))
        async with at_work(happened, step("publish", happened), last=store) as one:
            await one.put(batch(0, 1), 1)
            await asyncio.sleep(30)
            tries = len(happened)
            before = now()
            await one.revoke(8)
            assert now() == pytest.approx(before)
            assert len(happened) == tries

    run(main())


def test_a_stop_finishes_what_is_in_flight_and_takes_nothing_more() -> None:
    happened: Happened = []

    async def main() -> None:
        steps = [step("a", happened, sleeping(1)), step("b", happened, sleeping(1))]
        async with at_work(happened, *steps, most=1) as one:
            await one.put(batch(0, 1), 1)
            await one.put(batch(0, 2), 1)
            await asyncio.sleep(0.5)
            await one.drain(8)
            assert now() == pytest.approx(2)
            await asyncio.sleep(100)

    run(main())
    assert happened == ["a 0:1", "b 0:1", "finish 0:1"]


def test_a_stop_does_not_wait_for_a_part_that_is_down() -> None:
    happened: Happened = []

    async def main() -> None:
        async with at_work(happened, step("a", happened, failing(10**9, DOWN))) as one:
            await one.put(batch(0, 1), 1)
            await asyncio.sleep(30)
            before = now()
            await one.drain(8)
            assert now() - before < 8.2
            tries = len(happened)
            await asyncio.sleep(100)
            assert len(happened) == tries

    run(main())


def log_of(tries: int, exc: Exception, caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    """What is logged of a step that fails so many times before it works."""
    happened: Happened = []
    caplog.set_level(logging.INFO, assignment.__name__)

    async def main() -> None:
        async with at_work(happened, step("store", happened, failing(tries, exc))) as one:
            await one.put(batch(0, 1), 1)
            await asyncio.sleep(1000)

    run(main())
    assert happened == ["store 0:1"] * (tries + 1) + ["finish 0:1"]
    return caplog.records


def test_a_step_that_works_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    assert log_of(0, DOWN, caplog) == []


@pytest.mark.usefixtures("whole_pauses")
def test_an_outage_is_one_warning_and_one_line_when_it_is_over(caplog: pytest.LogCaptureFixture) -> None:
    down, back = log_of(TRIES_BEFORE_ERROR, DOWN, caplog)
    assert (down.levelno, back.levelno) == (logging.WARNING, logging.INFO)
    assert "store failed" in down.getMessage()
    assert "no node answers" in down.getMessage()
    assert back.getMessage() == "store works again after 21.4 s and 10 tries"


def test_ten_more_tries_that_fail_are_one_error_however_long_it_lasts(
    caplog: pytest.LogCaptureFixture,
) -> None:
    records = log_of(100, DOWN, caplog)
    assert [record.levelname for record in records] == ["WARNING", "ERROR", "INFO"]
    assert "failed 10 times more" in records[1].getMessage()
    assert not any(record.exc_info for record in records)


def test_the_error_comes_with_the_eleventh_try_and_not_before(caplog: pytest.LogCaptureFixture) -> None:
    assert len(log_of(10, DOWN, caplog)) == 2
    caplog.clear()
    assert len(log_of(11, DOWN, caplog)) == 3


def test_a_bug_is_held_too_and_logged_once_with_its_trace(caplog: pytest.LogCaptureFixture) -> None:
    fault, back = log_of(30, ZeroDivisionError("a bug"), caplog)
    assert (fault.levelno, back.levelno) == (logging.ERROR, logging.INFO)
    assert fault.exc_info
    assert fault.exc_info[0] is ZeroDivisionError
    assert "batch held" in fault.getMessage()
