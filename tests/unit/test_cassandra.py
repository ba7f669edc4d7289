"""A failed request, whatever the driver raises, is an unavailable store: no other exception leaves the layer."""

from __future__ import annotations

import asyncio
import inspect
import threading
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


class Hanging:
    """A session whose node has the statement after a while."""

    def __init__(self) -> None:
        self.asked = 0
        self.goes_on = threading.Event()

    def prepare(self, cql: str) -> Any:
        self.asked += 1
        self.goes_on.wait(5)
        return SimpleNamespace(query_string=cql)


def test_a_node_that_hangs_while_a_statement_is_prepared_is_waited_for_once_and_by_nobody_for_long() -> None:
    async def main() -> None:
        store, session = Cassandra(Settings()), Hanging()
        store._session = session
        waits = [store.prepare("SELECT 1", 0.05) for _ in range(5)]
        found = await asyncio.gather(*waits, return_exceptions=True)
        assert {type(one) for one in found} == {StoreUnavailable}
        assert session.asked == 1
        session.goes_on.set()
        assert (await store.prepare("SELECT 1", 1.0)).query_string == "SELECT 1"
        assert session.asked == 1

    asyncio.run(main())


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
