"""A job that writes into the log while Kafka hangs ends in its time, with the reason that it ended for."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from app.messaging.fenced_writer import ABORT_WITHIN, FencedWriter, Outgoing
from app.settings import Settings
from tests.unit import virtual_time


async def hang(*_: Any) -> None:
    await asyncio.sleep(3600)


async def in_the_middle_of_a_commit() -> None:
    """As aiokafka fails then."""
    raise AssertionError


@pytest.mark.parametrize("abort", [hang, in_the_middle_of_a_commit])
def test_the_bound_of_a_job_holds_while_kafka_hangs(abort: Any) -> None:
    async def main() -> float:
        writer = FencedWriter(Settings(), "job")
        writer._producer = SimpleNamespace(publish=hang, abort=abort)  # type: ignore[assignment]
        began = asyncio.get_running_loop().time()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(25):
                await writer.write([Outgoing("transaction_created", 0, b"k", b"v", [])])
        return asyncio.get_running_loop().time() - began

    assert virtual_time.run(main()) <= 25 + ABORT_WITHIN
