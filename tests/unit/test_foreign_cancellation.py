"""A future that a client library cancels ends nothing of ours; when we are cancelled ourselves, we end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.consumer.fetcher import Fetcher

from app.errors import LogUnavailable, WaitCancelled
from app.messaging.kafka_errors import log_unavailable
from app.messaging.log_consumer import LogConsumer
from app.processing.assignment import Assignment, Steps
from app.resources import retry_until_ready, run_forever
from app.system.deadline import OngoingLook
from tests.unit.virtual_time import run


async def cancelled_by_the_library() -> None:
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(future.cancel)
    await future


def test_a_background_job_goes_on_when_a_library_cancels_what_it_waits_for(
    caplog: pytest.LogCaptureFixture,
) -> None:
    rounds = 0

    async def job() -> None:
        nonlocal rounds
        while True:
            rounds += 1
            await asyncio.sleep(1)
            if rounds % 3 == 0:
                await cancelled_by_the_library()

    async def happens() -> None:
        task = asyncio.create_task(run_forever(job))
        await asyncio.sleep(60)
        assert not task.done()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert task.cancelled()

    with caplog.at_level(logging.ERROR):
        run(happens())
    assert rounds > 30
    assert "restarted" in caplog.text


def test_a_background_job_that_is_cancelled_ends_at_once_also_within_a_timeout() -> None:
    async def job() -> None:
        async with asyncio.timeout(1000):
            await asyncio.sleep(1000)

    async def happens() -> None:
        task = asyncio.create_task(run_forever(job))
        await asyncio.sleep(1)
        task.cancel()
        await asyncio.wait([task], timeout=0.1)
        assert task.cancelled()

    run(happens())


def test_a_start_that_a_library_cancels_is_tried_again() -> None:
    tries = 0

    async def opening() -> None:
        nonlocal tries
        tries += 1
        if tries < 3:
            await cancelled_by_the_library()

    run(retry_until_ready("Kafka", opening))
    assert tries == 3


def test_to_whoever_asks_kafka_it_is_an_answer_that_did_not_come() -> None:
    async def asks() -> None:
        with log_unavailable("nothing was read"):
            await cancelled_by_the_library()

    with pytest.raises(LogUnavailable, match="nothing was read"):
        run(asks())


def test_a_deadline_around_it_is_still_a_deadline() -> None:
    async def asks() -> None:
        with log_unavailable("nothing was read"):
            async with asyncio.timeout(1):
                await asyncio.sleep(5)

    with pytest.raises(LogUnavailable, match="TimeoutError"):
        run(asks())


def test_a_look_that_is_shared_passes_the_librarys_cancellation_on_as_a_failure_of_the_look() -> None:
    async def read() -> None:
        with log_unavailable("the groups could not be read"):
            await cancelled_by_the_library()

    with pytest.raises(LogUnavailable):
        run(OngoingLook(read).result())


def test_a_step_whose_library_cancels_is_tried_again() -> None:
    tries = 0

    async def store(_: Any) -> None:
        nonlocal tries
        tries += 1
        if tries < 3:
            await cancelled_by_the_library()

    async def nothing(_: Any) -> None:
        pass

    async def happens() -> None:
        one = Assignment(Steps([store], nothing), lambda *_: None, most=100, pause_most=1.0)
        with pytest.raises(WaitCancelled):
            await one.attempt(store, None)
        await one.until_done(store, None)

    run(happens())
    assert tries == 3


async def pausing() -> None:
    """What aiokafka's fetch does after a failure."""
    await asyncio.sleep(0.1)


def stopping(kind: type[AIOKafkaConsumer]) -> tuple[Callable[[], Awaitable[None]], list[str]]:
    """Stop a consumer of that kind while a fetch of it pauses; what was closed."""
    closed: list[str] = []

    async def close() -> None:
        closed.append("client")

    async def stop() -> None:
        consumer = kind(enable_auto_commit=False)
        consumer._client.close = close
        consumer._fetcher = fetcher = Fetcher.__new__(Fetcher)
        fetcher._fetch_waiters = set()
        fetcher._fetch_task = asyncio.create_task(asyncio.sleep(100))
        fetcher._pending_tasks = {asyncio.create_task(pausing()) for _ in range(3)}
        await asyncio.sleep(0.01)
        await consumer.stop()
        assert all(task.done() for task in fetcher._pending_tasks)

    return stop, closed


def test_a_consumer_can_be_stopped_while_its_fetches_pause_after_a_failure() -> None:
    stop, closed = stopping(LogConsumer)
    run(stop())  # type: ignore[arg-type]
    assert closed == ["client"]


def test_aiokafka_still_needs_our_stop() -> None:
    stop, closed = stopping(AIOKafkaConsumer)
    with pytest.raises(asyncio.CancelledError):
        run(stop())  # type: ignore[arg-type]
    assert closed == []
