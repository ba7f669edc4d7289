"""GET …?wait=: who waits for a status gets it as soon as it is in the log."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from app.live import waits
from app.live.feed import Logged, Written
from app.live.waits import StatusWaits
from tests.unit import samples


def published(transaction_id: str, revision: int = 1) -> Written:
    status = samples.status(transaction_id=transaction_id, revision=revision)
    return Written(statuses=[Logged(0, 1, 1000, status)])


def test_all_who_wait_for_a_transaction_get_its_status() -> None:
    async def they_wait() -> None:
        they = StatusWaits()
        with they.waiting("a") as first, they.waiting("a") as second, they.waiting("b") as other:
            they.take(published("a"))
            assert json.loads(await first) == json.loads(await second)
            assert json.loads(first.result())["status"] == "accepted"
            assert not other.done()

    asyncio.run(they_wait())


def test_a_status_that_was_published_a_moment_before_is_given_at_once() -> None:
    async def they_wait() -> None:
        they = StatusWaits()
        they.take(published("a"))
        they.take(published("a", revision=2))
        with they.waiting("a") as answer:
            assert json.loads(answer.result())["revision"] == 2

    asyncio.run(they_wait())


def test_what_is_kept_is_bounded(monkeypatch: Any) -> None:
    async def they_wait() -> None:
        monkeypatch.setattr(waits, "KEPT", 3)
        they = StatusWaits()
        for n in range(10):
            they.take(published(str(n)))
        with they.waiting("6") as old, they.waiting("7") as kept:
            assert not old.done()
            assert kept.done()

    asyncio.run(they_wait())


def test_one_that_no_longer_waits_is_forgotten() -> None:
    async def they_wait() -> None:
        they = StatusWaits()
        with they.waiting("a") as answer:
            answer.cancel()
        they.take(published("a"))
        assert not they._waiting

    asyncio.run(they_wait())
