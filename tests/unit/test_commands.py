"""A command of the faust CLI ends when its work is done."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from mode import Worker

from app.bootstrap import PaymentsApp
from app.commands.shared.console import OneShotCommand


async def say(self: Any) -> None:
    """Say nothing."""


def test_the_process_does_not_sleep_before_it_ends() -> None:
    worker = Worker()
    assert asyncio.iscoroutinefunction(worker._sentinel_task), (
        "mode no longer sleeps here, so we need no override"
    )
    OneShotCommand.on_worker_created(None, worker)  # type: ignore[arg-type]  # a command is made by its command line
    began = time.monotonic()
    asyncio.run(worker._sentinel_task())
    assert time.monotonic() - began < 0.5


def test_the_apps_commands_are_of_this_kind() -> None:
    app = PaymentsApp("commands", broker="kafka://127.0.0.1:1")
    assert issubclass(app.command(name="say")(say), OneShotCommand)
