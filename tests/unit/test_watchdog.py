"""The watchdog: a worker with work but without progress fails its liveness; one that retries or idles does not."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from app.bootstrap import create_app
from app.errors import StoreUnavailable
from app.health.dependency_monitor import DependencyMonitor
from app.health.watchdog import OUT_AFTER, Watchdog
from app.processing.assignment import MicroBatch, Step, Steps
from app.processing.back_pressure import Batch
from app.processing.batch_processor import BatchProcessor
from tests.unit.test_batch_processor import nothing
from tests.unit.virtual_time import run

AFTER = 60.0


class Lag:
    """Whether the topic has records that no fetch has brought."""

    def __init__(self) -> None:
        self.behind = False

    def __call__(self, topic: str) -> bool:
        return self.behind


@asynccontextmanager
async def watched(
    step: Step,
    lag: Callable[[str], bool] = lambda _: False,
    is_out: Callable[[], bool] = lambda: False,
) -> AsyncIterator[tuple[BatchProcessor, Watchdog]]:
    """A batch processor with one step, and its watchdog, both at work."""
    processor = BatchProcessor(lambda _: Steps([step], nothing), lambda *_: None, most=1000, pause_most=5)
    processor.assign(1, [])
    watchdog = Watchdog({"created": processor}, lag, is_out, AFTER)
    tasks = [asyncio.create_task(processor.run()), asyncio.create_task(watchdog.run())]
    try:
        yield processor, watchdog
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


def batch(end: int) -> Batch:
    return Batch("created", 0, [end - 1], end)


async def hang(_: MicroBatch) -> None:
    await asyncio.Event().wait()


async def work(_: MicroBatch) -> None:
    await asyncio.sleep(1)


async def fail(_: MicroBatch) -> None:
    raise StoreUnavailable("no node answers")


def after(seconds: float, step: Step, lag: Lag | None = None, batches: int = 1) -> str | None:
    """What the watchdog says so long after some batches came."""

    async def situation() -> str | None:
        async with watched(step, lag or Lag()) as (processor, watchdog):
            await asyncio.sleep(1000)  # having been idle for long means nothing
            for number in range(batches):
                await processor.put(batch(number + 1), 1)
            await asyncio.sleep(seconds)
            return watchdog.stuck

    return run(situation())


def test_a_step_that_never_ends_is_reported_after_its_time_and_not_before() -> None:
    assert after(AFTER - 2, hang) is None
    reason = after(AFTER + 2, hang)
    assert reason is not None
    assert "created" in reason


def test_a_step_that_fails_and_is_retried_is_not_stuck() -> None:
    assert after(3600, fail) is None


def test_work_that_takes_long_in_all_is_not_stuck() -> None:
    async def slowly(_: MicroBatch) -> None:
        await asyncio.sleep(AFTER / 2)

    assert after(20 * AFTER, slowly, batches=40) is None


def test_an_idle_worker_is_not_stuck() -> None:
    assert after(3600, work) is None


def test_records_that_no_fetch_brings_are_reported() -> None:
    lag = Lag()
    lag.behind = True
    assert after(AFTER + 2, work, lag, batches=0) is not None


def test_a_worker_that_does_not_come_back_into_its_group_is_reported_and_one_that_does_is_not() -> None:
    """Rebalances take a while; a hung one, or a consumer that has given up, for ever."""

    async def situation() -> list[str | None]:
        out = [True]
        async with watched(work, is_out=lambda: out[0]) as (_, watchdog):
            await asyncio.sleep(OUT_AFTER - 2)
            said = [watchdog.stuck]
            await asyncio.sleep(4)
            said.append(watchdog.stuck)
            out[0] = False
            await asyncio.sleep(2)
            return [*said, watchdog.stuck]

    soon, late, back = run(situation())
    assert (soon, back) == (None, None)
    assert late is not None
    assert "group" in late


def test_a_worker_that_waits_for_something_at_its_start_is_not_out_of_its_group(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As for the registry: a restart would not bring that back."""
    monkeypatch.setattr(DependencyMonitor, "is_up", lambda *_: True)

    async def situation() -> list[bool]:
        app = create_app("transactions")
        (watchdog,) = (job.__self__ for job in app.background if isinstance(job.__self__, Watchdog))
        said = [watchdog._is_out()]
        app.consumer._started.set()  # when all is there that is waited for
        return [*said, watchdog._is_out()]

    assert asyncio.run(situation()) == [False, True]


def test_batches_that_nobody_processes_are_reported() -> None:
    async def situation() -> str | None:
        processor = BatchProcessor(lambda _: Steps([work], nothing), lambda *_: None, most=1000, pause_most=5)
        watchdog = Watchdog({"created": processor}, lambda _: False, lambda: False, AFTER)
        looking = asyncio.create_task(watchdog.run())  # the processor itself does not run
        processor.assign(1, [])
        await processor.put(batch(1), 1)
        await asyncio.sleep(AFTER + 2)
        looking.cancel()
        return watchdog.stuck

    assert run(situation()) is not None


def test_once_it_moves_it_is_alive_again() -> None:
    async def situation() -> list[str | None]:
        go = asyncio.Event()

        async def wait(_: MicroBatch) -> None:
            await go.wait()

        async with watched(wait) as (processor, watchdog):
            await processor.put(batch(1), 1)
            await asyncio.sleep(AFTER + 2)
            assessments = [watchdog.stuck]
            go.set()
            await asyncio.sleep(2)
            return [*assessments, watchdog.stuck]

    stuck, again = run(situation())
    assert stuck is not None
    assert again is None


def test_a_process_that_was_stopped_has_not_been_stuck() -> None:
    """Looks count, not the clock: an hour of SIGSTOP is one look."""

    async def situation() -> str | None:
        async with watched(hang) as (processor, watchdog):
            await processor.put(batch(1), 1)
            await asyncio.sleep(2)
            loop = asyncio.get_running_loop()
            loop.clock.passed += 3600  # type: ignore[attr-defined]
            await asyncio.sleep(2)
            return watchdog.stuck

    assert run(situation()) is None
