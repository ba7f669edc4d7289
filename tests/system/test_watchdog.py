"""The watchdog on the real worker: while its step hangs its liveness fails with the reason, then it is alive again."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from infra.native import stack
from reconciliation.readers import bff_url
from tests.support import http

WORKER = "http://127.0.0.1:5002"


def worker() -> tuple[str, str]:
    """The process that decides, and its address."""
    return ("main", bff_url()) if stack.current_mode() == "combined" else ("transactions", WORKER)


@pytest.fixture
def impatient() -> Iterator[None]:
    """The worker's watchdog waits 3 s, less than the 5 s for which antifraud is retried."""
    name, _ = worker()
    stack.stop(name)
    stack.start(name, {"LIVENESS_TIMEOUT": "3"})
    try:
        yield
    finally:
        stack.resume("envoy")
        stack.restart(name)


def answered(status: int, within: float) -> Any:
    """What /health/live says once it answers with this status."""
    deadline = time.monotonic() + within
    while (answer := http.call("GET", "/health/live", url=worker()[1])).status != status:
        assert time.monotonic() < deadline, answer
        time.sleep(0.1)
    return answer.json


@pytest.mark.usefixtures("impatient")
def test_a_worker_whose_step_hangs_is_not_alive_until_it_makes_progress() -> None:
    answered(200, within=1)
    stack.pause("envoy")
    transaction_id = http.taken()
    assert "transaction_created" in answered(503, within=15)["reason"]
    stack.resume("envoy")
    answered(200, within=15)
    http.final(transaction_id, within=15)
