"""GET …/history waits for its turn, and for Kafka, in all no longer than it says."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from app.errors import LogUnavailable
from app.live.history import AT_ONCE, WITHIN, History
from tests.unit import virtual_time


def test_who_waits_behind_histories_that_do_not_end_is_answered() -> None:
    async def main() -> float:
        history = History(SimpleNamespace())  # type: ignore[arg-type]
        for _ in range(AT_ONCE):
            await history._turns.acquire()
        began = asyncio.get_running_loop().time()
        with pytest.raises(LogUnavailable, match="longer than"):
            await history.of("an id")
        return asyncio.get_running_loop().time() - began

    assert virtual_time.run(main()) == pytest.approx(WITHIN)
