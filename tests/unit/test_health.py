"""Liveness: 200 while the work makes progress. Readiness: each dependency's state, without addresses."""

import asyncio
import json
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiohttp import web

from app.errors import LogUnavailable, StoreUnavailable
from app.models.health import Health, Unusable
from app.resources import Resources
from app.settings import Settings
from app.stores.cassandra import TABLES, Cassandra
from app.web import health


def answer(path: str, role: str, resources: Any, stuck: str | None = None) -> web.Response:
    """What GET of the path answers."""
    views: dict[str, Any] = {}

    def page(path: str, **_: Any) -> Any:
        return lambda view: views.setdefault(path, view)

    app = SimpleNamespace(page=page, conf=SimpleNamespace(id=role))
    health.register(cast(Any, app), resources, lambda: True, lambda: stuck, lambda _: True)
    view = views[path]
    return cast(web.Response, asyncio.run(view.get(None, None)))


@pytest.mark.parametrize(
    ("stuck", "status", "body"),
    [
        (None, 200, {"alive": True}),
        ("no step for 60 s", 503, {"alive": False, "reason": "no step for 60 s"}),
    ],
)
def test_liveness_follows_the_watchdog(stuck: str | None, status: int, body: dict[str, Any]) -> None:
    found = answer("/health/live", "bff", None, stuck)
    assert found.status == status
    assert json.loads(cast(bytes, found.body)).items() >= body.items()
    if status == 503:
        assert (found.content_type, found.headers["Retry-After"]) == ("application/problem+json", "1")


class Driver:
    """A session whose cluster has so many nodes, and so many of them up."""

    def __init__(self, up: int, known: int = 3):
        hosts = [SimpleNamespace(is_up=number < up, endpoint=number) for number in range(known)]
        self.cluster = SimpleNamespace(metadata=SimpleNamespace(all_hosts=lambda: hosts))


def nodes(up: int, known: int = 3, replication: int = 3) -> Health:
    store = Cassandra(Settings(cassandra_replication=replication))
    store._session = Driver(up, known)
    return store.health()


@pytest.mark.parametrize(
    ("up", "known", "replication", "word"),
    [
        (3, 3, 3, "ok"),
        (2, 3, 3, "ok (2 of 3 nodes up)"),
        (1, 3, 3, "1 of 3 nodes up: no quorum"),
        (1, 1, 1, "ok"),
    ],
)
def test_cassandras_word_counts_its_nodes(up: int, known: int, replication: int, word: str) -> None:
    assert nodes(up, known, replication) == Health(True, word)


def ready(role: str, **found: Health | Exception) -> tuple[int, dict[str, Any]]:
    """What GET /health/ready answers when the pings find this; the other parts are fine."""

    def ping(name: str) -> Any:
        async def asked() -> Any:
            one = found.get(name)
            if isinstance(one, Exception):
                raise one
            return one

        return asked

    parts = ("kafka", "cassandra", "redis" if role == "bff" else "antifraud")
    resources: Any = Resources(Settings(), parts)
    resources._ping_topics, resources._ping_table = ping("kafka"), ping("cassandra")
    resources.recent.ping, resources.antifraud.ping = ping("redis"), ping("antifraud")
    response = answer("/health/ready", role, resources)
    return response.status, json.loads(cast(bytes, response.body))


@pytest.mark.parametrize("role", ["bff", "transactions"])
@pytest.mark.parametrize("up", [1, 2, 3])
def test_a_role_is_ready_while_one_node_accepts_its_writes(role: str, up: int) -> None:
    """With one of three, reads and writes step down to that one: the exercises go on, and readiness says how it is."""
    status, body = ready(role, cassandra=nodes(up))
    assert (status, body["ready"], body["parts"]["cassandra"]) == (200, True, nodes(up).word)


def test_the_worker_is_not_ready_without_cassandra_and_the_bff_is_with_redis() -> None:
    dead = StoreUnavailable("no node")
    status, body = ready("transactions", cassandra=dead)
    assert (status, body["ready"], body["detail"]) == (503, False, "cassandra: unavailable")
    assert ready("bff", cassandra=dead)[0] == 200
    assert ready("bff", cassandra=dead, redis=dead)[0] == 503


def test_readiness_names_no_address_and_no_drivers_text() -> None:
    inside = "NoHostAvailable: {'10.1.2.3:9042': ConnectionRefusedError}"
    _, body = ready("bff", kafka=LogUnavailable(inside), cassandra=StoreUnavailable(inside))
    assert body["parts"] == {
        "kafka": "unavailable", "cassandra": "unavailable", "redis": "ok", "group": "ok",
    }  # fmt: skip
    assert "10.1.2.3" not in json.dumps(body)


def test_a_reason_written_for_clients_is_passed_on() -> None:
    assert ready("bff", cassandra=Unusable("no tables yet"))[1]["parts"]["cassandra"] == "no tables yet"


def test_the_reason_is_kept_for_the_log() -> None:
    resources: Any = Resources(Settings(), ("cassandra",))

    async def tables() -> set[str]:
        raise StoreUnavailable("10.1.2.3:9042 refuses")

    resources.cassandra.tables = tables
    assert asyncio.run(resources.parts()) == {
        "cassandra": Health(False, "unavailable", "10.1.2.3:9042 refuses")
    }


def test_the_tables_ping_counts_the_nodes_too() -> None:
    resources: Any = Resources(Settings(), ("cassandra",))

    async def tables() -> set[str]:
        return TABLES

    resources.cassandra.tables, resources.cassandra._session = tables, Driver(1)
    assert asyncio.run(resources.parts())["cassandra"].word == "1 of 3 nodes up: no quorum"
