"""A failed request, whatever the driver raises, is an unavailable store: no other exception leaves the layer."""

from __future__ import annotations

import asyncio
import inspect
from types import SimpleNamespace
from typing import Any

import cassandra
import cassandra.cluster
import cassandra.connection
import cassandra.pool
import cassandra.protocol
import pytest

from app.errors import StoreUnavailable
from app.resources import run_forever
from app.settings import Settings
from app.stores.cassandra import FAILURES, Cassandra

MODULES = (cassandra, cassandra.cluster, cassandra.connection, cassandra.pool, cassandra.protocol)

#: Internal to the driver, or from features that we do not use: none of our requests raises them.
OTHERS = {
    "CrcException",  # travels as CrcMismatchException
    "DependencyException",
    "InternalError",
    "NotSupportedError",
    "QueryExhausted",
    "TraceUnavailable",
    "UserTypeDoesNotExist",
}


def test_every_exception_of_the_driver_is_known() -> None:
    found = {
        one
        for module in MODULES
        for one in vars(module).values()
        if inspect.isclass(one) and issubclass(one, Exception) and one.__module__.startswith("cassandra")
    }
    assert {one.__name__ for one in found if not issubclass(one, FAILURES)} - OTHERS == set()
    assert len(found) > 30


class Session:
    """A session whose node dies with the request."""

    def execute_async(self, *_: Any, **__: Any) -> Any:
        return SimpleNamespace(
            add_callbacks=lambda _, failed: failed(cassandra.connection.ConnectionShutdown("reset by peer"))
        )


def test_a_node_that_dies_with_our_request_is_an_unavailable_store() -> None:
    store = Cassandra(Settings())
    store._session = Session()
    with pytest.raises(StoreUnavailable, match="reset by peer"):
        asyncio.run(store.run("SELECT", 1.0))


def test_a_bug_in_a_background_job_ends_no_worker(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.resources.START_PAUSE_MOST", 0)
    begun = []

    async def job() -> None:
        begun.append(1)
        if len(begun) < 3:
            raise ValueError("a fault")
        await asyncio.sleep(60)

    async def some_time() -> None:
        await asyncio.wait_for(run_forever(job), 0.2)

    with pytest.raises(TimeoutError):
        asyncio.run(some_time())
    assert len(begun) == 3
    assert [record.levelname for record in caplog.records] == ["ERROR", "ERROR"]
