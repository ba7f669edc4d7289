"""One line in the log per outage of a neighbour; a start is none."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from app import watch
from app.watch import Watch
from tests.unit.virtual_time import run

NO_TABLE = {"cassandra": "no table yet"}
FINE = {"cassandra": "ok"}


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, logger="app.watch")
    return caplog


def looks(*rounds: tuple[dict[str, str], int]) -> None:
    """What was found, for so many looks of a second each."""

    async def scene() -> None:
        nobody: Any = None
        watching = Watch(nobody)
        for found, times in rounds:
            for _ in range(times):
                watching.tell(found)
                await asyncio.sleep(watch.EVERY)

    run(scene())


def test_a_normal_start_is_no_error(said: pytest.LogCaptureFixture) -> None:
    looks((NO_TABLE, 10), (FINE, 5))
    assert said.messages == []


def test_what_does_not_start_is_named_once(said: pytest.LogCaptureFixture) -> None:
    looks((NO_TABLE, 60))
    assert len(said.messages) == 1
    assert said.messages[0].startswith("cassandra is not ready: no table yet")


def test_an_outage_is_named_at_once_and_so_is_its_end(said: pytest.LogCaptureFixture) -> None:
    looks((FINE, 1), ({"cassandra": "no answer"}, 30), (FINE, 3))
    assert [message.partition(":")[0] for message in said.messages] == [
        "cassandra is not ready",
        "cassandra is back after 30 s",
    ]
