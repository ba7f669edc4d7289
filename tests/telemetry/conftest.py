"""The real stack with Prometheus beside it, under a load in which everything that a panel shows happens."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import urlencode

import pytest

from infra.native import beside, ports, supervisor
from infra.native import stack as real
from reconciliation.readers import PATH
from tests.support import http

#: Transactions per second that are posted and looked for, and beside them the generator's own.
POSTS = 20


class Prometheus:
    """Its HTTP API."""

    def __init__(self) -> None:
        self._url = f"http://{ports.endpoints('prometheus')[0]}"

    def get(self, path: str, **query: str) -> Any:
        """The `data` of an answer; an error of Prometheus is one of the test."""
        answer = http.call("GET", f"/api/v1/{path}?{urlencode(query)}", url=self._url)
        assert answer.status == 200, answer.json
        return answer.json["data"]

    def values(self, expr: str) -> dict[str, float]:
        """Labels -> value, of those that are a number (not 0/0)."""
        found = self.get("query", query=expr)["result"]
        values = {str(one["metric"]): float(one["value"][1]) for one in found}
        return {labels: value for labels, value in values.items() if value == value}

    def alerts(self) -> set[tuple[str, str]]:
        """Name and instance (or dependency) of what fires and wants something done: a page or a ticket."""
        return {
            (one["alertname"], one.get("instance") or one.get("dependency", ""))
            for one in self._firing()
            if one["severity"] != "info"
        }

    def drifted(self) -> set[str]:
        """The inputs that the model did not know like this: no fault of the system's."""
        return {one["input"] for one in self._firing() if one["severity"] == "info"}

    def _firing(self) -> list[dict[str, str]]:
        return [one["labels"] for one in self.get("alerts")["alerts"] if one["state"] == "firing"]


@pytest.fixture(scope="session")
def prometheus(stack: None) -> Iterator[Prometheus]:
    beside.check(["prometheus"])
    before = supervisor.names()
    real.up(
        extra=["prometheus"]
    )  # and the generator, which the tests have stopped: its metrics are shown as well
    try:
        yield Prometheus()
    finally:
        if "prometheus" not in before:
            supervisor.reload(before)


@pytest.fixture(scope="session")
def load(prometheus: Prometheus) -> Iterator[None]:
    """POSTs, lists and single GETs, until the tests are over."""
    over = threading.Event()

    def send() -> None:
        while not over.is_set():
            began = time.monotonic()
            with suppress(OSError, AssertionError, KeyError):
                transaction_id = http.taken()
                http.call("GET", f"{PATH}?limit=5")
                http.call("GET", f"{PATH}/{transaction_id}")
            over.wait(max(0.0, began + 1 / POSTS - time.monotonic()))

    sender = threading.Thread(target=send)
    sender.start()
    yield
    over.set()
    sender.join()
