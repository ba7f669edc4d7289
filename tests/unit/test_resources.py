"""A worker's resources are all closed, in order, whatever one of them raises."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from app.resources import Resources
from app.settings import Settings

ORDER = ["recent", "antifraud", "cassandra", "status_log", "producer"]


class Part:
    def __init__(self, name: str, closed: list[str], fails: bool):
        self.name, self.closed, self.fails = name, closed, fails

    async def close(self) -> None:
        await asyncio.sleep(0)
        self.closed.append(self.name)
        if self.fails:
            raise RuntimeError(f"{self.name} is stubborn")


def closed(failing: tuple[str, ...] = ()) -> list[str]:
    async def run() -> list[str]:
        resources: Any = Resources(Settings(), ())
        order: list[str] = []
        for name in ORDER:
            setattr(resources, name, Part(name, order, name in failing))
        await resources.close()
        return order

    return asyncio.run(run())


def test_the_log_is_closed_last_since_it_flushes() -> None:
    assert closed() == ORDER


def test_each_failure_is_logged_and_hides_no_other(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)
    assert closed(failing=("recent", "cassandra")) == ORDER
    assert len(caplog.records) == 2
    assert all(record.exc_info for record in caplog.records)
