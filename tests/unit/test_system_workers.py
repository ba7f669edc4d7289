"""Who the workers are: from the groups' description, by names that stay; and what each answers."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiokafka.errors import KafkaError

from app.system.groups import Address, Groups, client_id, members_of
from app.system.parts import HOLDING, STUCK, UP, Finding
from app.system.workers import NOT_REACHED, Workers
from tests.unit.http_server import serving

BFF = Address("bff", "127.0.0.1", 5001)


def described(group: str, *members: tuple[str, str, str], code: int = 0) -> tuple[Any, ...]:
    """A group in DescribeGroups' answer, of members by id, client id and host."""
    return code, group, "Stable", "consumer", "range", [(*member, b"", b"") for member in members], 0


def test_a_workers_client_id_says_where_it_answers() -> None:
    found = members_of([described("bff", ("m-1", client_id("bff", 5001), "/127.0.0.1"))])
    assert found == {"m-1": BFF}
    assert BFF.url == "http://127.0.0.1:5001"


def test_members_of_every_protocol_version_are_read() -> None:
    code, group, *rest, members, authorized = described("bff", ("m-1", "bff:5001", "/::1"))
    with_instance = [(member_id, "instance", *others) for member_id, *others in members]
    (found,) = members_of([(code, group, *rest, with_instance, authorized)]).values()
    assert found.url == "http://[::1]:5001"


@pytest.mark.parametrize("name", ["faust-0.15.3", "transactions:5002", "bff:", "bff:999999", "", "bff:5001 "])
def test_another_client_in_the_group_is_no_worker(name: str) -> None:
    assert members_of([described("bff", ("m-1", name, "/10.0.0.9"))]) == {}


def test_a_group_that_kafka_cannot_describe_is_no_empty_group() -> None:
    with pytest.raises(KafkaError):
        members_of([described("bff", code=15)])


def workers(role: str = "bff", member_id: str | None = "me") -> Workers:
    return Workers(role, 5001, lambda: member_id, lambda: None, lambda: None)


def names(found: Workers) -> Mapping[str, Finding | None]:
    return found.findings()


def test_a_worker_that_left_its_group_is_gone_and_the_last_ones_kind_is_down() -> None:
    found = workers()
    two = {"a": Address("transactions", "h", 5002), "b": Address("transactions", "h", 5012), "me": BFF}
    found.update(Groups(two))
    assert list(names(found)) == ["bff", "transactions", "transactions-2"]
    found.update(Groups({"b": two["b"], "me": BFF}))
    assert list(names(found)) == ["bff", "transactions-2"]
    found.update(Groups({"me": BFF}))
    assert names(found)["transactions"] == Finding("down", "in no consumer group")


def test_before_kafka_has_said_who_is_there_no_worker_is_called_dead() -> None:
    assert names(workers())["transactions"] is None


def test_this_bff_is_listed_before_and_while_it_is_in_its_group_and_only_once() -> None:
    found = workers(member_id=None)
    assert list(names(found)) == ["bff", "transactions"]
    # What was here before a restart is in the group for some seconds more.
    found.update(Groups({"old": BFF}))
    assert list(names(found)) == ["bff", "transactions"]
    other = Address("bff", "10.0.0.2", 5001)
    known = workers()
    known.update(Groups({"old": BFF, "me": BFF, "other": other}))
    assert list(names(known)) == ["bff", "bff-2", "transactions"]


def test_a_worker_in_combined_mode_is_both() -> None:
    found = workers("main")
    found.update(Groups({"me": Address("main", "127.0.0.1", 5001)}))
    assert list(names(found)) == ["bff", "transactions"]
    asyncio.run(found.ask(None))  # type: ignore[arg-type]  # it asks nobody but itself
    assert names(found) == {"bff": UP, "transactions": UP}
    assert found.processes() == {"bff": "main", "transactions": "main"}
    assert list(found.risen()) == ["main"]
    found.update(Groups({f"m{port}": Address("main", "127.0.0.1", port) for port in (5001, 5011)}))
    second = {"bff-2": "main-2", "transactions-2": "main-2"}
    assert found.processes() == {"bff": "main", "transactions": "main", **second}


def test_a_worker_in_split_mode_is_a_process_of_its_own_name() -> None:
    found = workers()
    found.update(Groups({"me": BFF, "a": Address("transactions", "h", 5002)}))
    assert found.processes() == {"bff": "bff", "transactions": "transactions"}
    assert list(found.risen()) == ["bff", "transactions"]


async def asked(handlers: Mapping[str, Any]) -> Workers:
    """What is known of a transactions worker that answers like this."""
    found = workers()
    async with serving(handlers) as port, aiohttp.ClientSession() as session:
        found.update(Groups({"w": Address("transactions", "127.0.0.1", port), "me": BFF}))
        await found.ask(session)
    return found


async def metrics(_: web.Request) -> web.Response:
    lines = [
        'payments_oldest_record_seconds{partition="2",topic="transaction_created"} 3.5',
        'payments_oldest_record_seconds{partition="1",topic="transaction_status"} 9.0',
    ]
    return web.Response(text="\n".join(lines))


async def alive(_: web.Request) -> web.Response:
    return web.json_response({"alive": True})


async def stuck(_: web.Request) -> web.Response:
    return web.json_response({"alive": False}, status=503)


async def silent(_: web.Request) -> web.Response:
    await asyncio.sleep(3600)
    raise AssertionError


HEALTHY = {"/health/live": alive, "/metrics": metrics}


def test_a_worker_that_answers_is_up_and_says_how_old_its_oldest_record_is() -> None:
    found = asyncio.run(asked(HEALTHY))
    assert (names(found)["transactions"], found.ages()) == (UP, {2: 3.5})


def test_a_worker_that_is_stuck_is_degraded() -> None:
    found = asyncio.run(asked({"/health/live": stuck, "/metrics": metrics}))
    assert names(found)["transactions"] == STUCK


async def holding(_: web.Request) -> web.Response:
    return web.Response(text='payments_partition_held_seconds{partition="2",topic="transaction_created"} 3.5')


def test_a_worker_that_stands_before_a_batch_nobody_can_read_is_degraded_and_not_stuck() -> None:
    found = asyncio.run(asked({"/health/live": alive, "/metrics": holding}))
    assert names(found)["transactions"] == HOLDING


class Switch:
    """A worker that hangs from a moment on."""

    hangs = False

    async def live(self, request: web.Request) -> web.Response:
        return await (silent if self.hangs else alive)(request)


def test_a_worker_that_hangs_is_down_and_its_last_words_do_not_count() -> None:
    async def situation() -> Workers:
        switch, found = Switch(), workers()
        handlers = {"/health/live": switch.live, "/metrics": metrics}
        async with serving(handlers) as port, aiohttp.ClientSession() as session:
            found.update(Groups({"w": Address("transactions", "127.0.0.1", port), "me": BFF}))
            await found.ask(session)
            switch.hangs = True
            await found.ask(session)
        return found

    found = asyncio.run(situation())
    assert names(found)["transactions"] == Finding("down", "no answer within 1 s")
    assert found.ages() == {}


def test_a_worker_that_was_killed_refuses() -> None:
    async def situation() -> Workers:
        found = workers()
        async with aiohttp.ClientSession() as session:
            async with serving(HEALTHY) as port:
                found.update(Groups({"w": Address("transactions", "127.0.0.1", port), "me": BFF}))
                await found.ask(session)
            await found.ask(session)
        return found

    assert names(asyncio.run(situation()))["transactions"] == Finding("down", "refuses connections")


def test_a_worker_that_never_answered_here_is_not_called_dead_while_its_group_has_it() -> None:
    found = asyncio.run(asked({"/health/live": silent, "/metrics": metrics}))
    assert names(found)["transactions"] == NOT_REACHED
