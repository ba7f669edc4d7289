"""What a part's state is, since when, and what it costs a client."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from app.errors import StoreUnavailable
from app.messaging import topics
from app.system import cassandra_nodes, envoy
from app.system.costs import COSTS, costs_of
from app.system.deadline import Fault, OngoingLook, probed
from app.system.look import judged_brokers
from app.system.parts import HOLDING, MARKS_MOST, UP, Finding, Numbers, Parts
from tests.unit.virtual_time import run

OPERATIONS = (Path(__file__).parents[2] / "docs/operations.md").read_text()
DOWN, DEGRADED = Finding("down", "refuses connections"), Finding("degraded", "…")
ALL = (
    *("kafka", "registry", "cassandra-1", "cassandra-2", "cassandra-3", "redis"),
    *("antifraud-1", "antifraud-2", "envoy", "bff", "transactions"),
)


# What it costs


def test_the_table_in_the_docs_is_the_one_that_is_shown() -> None:
    (section,) = re.findall(r"## What a dead part costs\n(.*?)\n## ", OPERATIONS, re.DOTALL)
    rows = re.findall(r"^\| (.+) \| (.+) \|$", section, re.MULTILINE)
    assert rows[2:] == [(row.down, row.cost) for row in COSTS.values()]


def costs(hold: bool = False, /, **found: Finding) -> dict[str, str]:
    """What the parts cost that are not up: by the key of the table's row."""
    named = {name.replace("_", "-"): finding for name, finding in found.items()}
    keys = {row.cost: key for key, row in COSTS.items()}
    said = costs_of(
        dict.fromkeys(ALL, UP) | named, quorum=2, when_antifraud_is_down="hold" if hold else "reject"
    )
    return {name: keys[cost] for name, cost in said.items() if cost}


def test_what_is_up_costs_nothing() -> None:
    assert costs() == {}


@pytest.mark.parametrize("name", ["kafka", "registry", "redis"])
def test_a_part_of_which_there_is_one_has_its_own_row(name: str) -> None:
    assert costs(**{name: DOWN}) == {name: name}


def test_a_broker_of_three_costs_nothing_and_a_second_one_what_all_of_kafka_costs() -> None:
    found = [judged_brokers(living, 3) for living in (3, 2, 1)]
    assert [one.state for one in found] == ["up", "degraded", "down"]
    assert [costs(kafka=one) for one in found] == [{}, {"kafka": "kafka, a broker"}, {"kafka": "kafka"}]
    assert judged_brokers(1, 1) == UP
    assert costs(kafka=Finding("degraded", topics.unequal(3, 4))) == {}


def test_one_two_and_three_of_three_cassandra_nodes_cost_different_things() -> None:
    assert costs(cassandra_2=DOWN) == {"cassandra-2": "cassandra"}
    two = costs(cassandra_1=DEGRADED, cassandra_2=DOWN, cassandra_3=DOWN)
    assert two == dict.fromkeys(("cassandra-1", "cassandra-2", "cassandra-3"), "cassandra without quorum")
    three = costs(cassandra_1=DOWN, cassandra_2=DOWN, cassandra_3=DOWN)
    assert set(three.values()) == {"cassandra, all"}
    assert len(three) == 3


def test_redis_with_all_of_cassandra_leaves_nothing_to_get_from() -> None:
    found = costs(redis=DOWN, cassandra_1=DOWN, cassandra_2=DOWN, cassandra_3=DOWN)
    assert set(found.values()) == {"both stores"}
    assert costs(redis=DEGRADED) == {"redis": "redis incomplete"}


def test_one_replica_costs_nothing_and_two_cost_what_the_setting_says() -> None:
    assert costs(antifraud_1=DOWN) == {"antifraud-1": "antifraud"}
    both = costs(antifraud_1=DOWN, antifraud_2=DOWN)
    assert both == dict.fromkeys(("antifraud-1", "antifraud-2"), "antifraud, all")
    held = costs(True, antifraud_1=DOWN, antifraud_2=DOWN)
    assert held == dict.fromkeys(("antifraud-1", "antifraud-2"), "antifraud, all, held")
    assert costs(antifraud_1=DEGRADED) == {}


def test_envoy_costs_what_all_replicas_do_and_of_those_nothing_is_known() -> None:
    unknown = Finding("unknown", "Envoy does not answer")
    assert costs(envoy=DOWN, antifraud_1=unknown, antifraud_2=unknown) == {"envoy": "antifraud, all"}


def test_one_worker_of_two_the_only_one_and_a_stuck_one_cost_different_things() -> None:
    assert costs(transactions=DOWN) == {"transactions": "transactions, all"}
    assert costs(transactions=DOWN, transactions_2=UP) == {"transactions": "transactions"}
    assert costs(transactions=DEGRADED) == {"transactions": "transactions stuck"}
    assert costs(transactions=HOLDING) == {"transactions": "transactions holding"}
    assert costs(bff_2=DOWN) == {"bff-2": "bff"}


# Its state, and since when


def test_a_state_has_a_time_from_which_on_it_lasts_and_a_death_and_a_return_leave_marks() -> None:
    parts = Parts()
    for at, finding in ((1.0, UP), (2.0, UP), (3.0, DOWN), (4.0, DOWN), (5.0, DEGRADED), (6.0, UP)):
        parts.update({"redis": finding}, at)
        assert parts.since("redis") == {2.0: 1.0, 4.0: 3.0}.get(at, at)
    assert [(mark.at, mark.state) for mark in parts.marks] == [(3.0, "down"), (5.0, "up")]


def test_since_when_is_known_only_of_a_state_that_was_seen_to_begin() -> None:
    parts, unknown = Parts(), Finding("unknown", "Envoy does not answer")
    for at, finding, known in (
        *((1.0, UP, False), (2.0, UP, False), (3.0, DOWN, True), (4.0, UP, True)),
        *((5.0, unknown, True), (6.0, UP, False), (7.0, DEGRADED, True)),
    ):
        parts.update({"antifraud-1": finding}, at)
        assert parts.is_since_known("antifraud-1") is known, at
    parts.update({"antifraud-1": UP, "bff": UP, "bff-2": UP}, 8.0)
    parts.update({"bff": UP}, 9.0)
    parts.update({"bff": UP, "bff-2": UP}, 10.0)
    assert not parts.is_since_known("bff")
    assert parts.is_since_known("bff-2")  # it had left


def test_what_could_not_be_found_out_leaves_what_was_known() -> None:
    parts = Parts()
    parts.update({"kafka": None}, 1.0)
    assert parts.found["kafka"].state == "unknown"
    parts.update({"kafka": DOWN}, 2.0)
    parts.update({"kafka": None}, 3.0)
    assert (parts.found["kafka"], parts.since("kafka")) == (DOWN, 2.0)


def test_a_worker_that_has_left_is_gone_and_leaves_a_mark() -> None:
    parts = Parts()
    parts.update({"transactions": UP, "transactions-2": UP}, 1.0)
    parts.update({"transactions": UP}, 2.0)
    assert list(parts.found) == ["transactions"]
    assert [(mark.part, mark.state) for mark in parts.marks] == [("transactions-2", "down")]


def test_marks_are_bounded() -> None:
    parts = Parts()
    for at in range(3 * MARKS_MOST):
        parts.update({"redis": DOWN if at % 2 else UP}, float(at))
    assert len(parts.marks) == MARKS_MOST


def test_a_part_keeps_its_name_while_others_come_and_go() -> None:
    numbers = Numbers("bff", "bff-{}")
    assert numbers.names(["a", "b"]) == {"a": "bff", "b": "bff-2"}
    assert numbers.names(["b"]) == {"b": "bff-2"}
    assert numbers.names(["b", "c", "d"]) == {"b": "bff-2", "c": "bff", "d": "bff-3"}


# The probes


@pytest.mark.parametrize(
    ("raised", "finding"),
    [
        (None, UP),
        (ConnectionRefusedError(), Finding("down", "refuses connections")),
        (StoreUnavailable("10.0.0.7"), Finding("down", "does not answer")),
        (EOFError(), Finding("down", "does not answer")),
        (Fault("answers 500"), Finding("degraded", "answers 500")),
    ],
)
def test_what_a_probe_raises_is_a_finding_without_addresses(
    raised: Exception | None, finding: Finding
) -> None:
    async def ask() -> None:
        if raised:
            raise raised

    assert asyncio.run(probed(ask)) == finding


def test_a_part_that_does_not_answer_is_down_at_its_deadline() -> None:
    async def ask() -> None:
        await asyncio.sleep(3600)

    assert run(probed(ask)) == Finding("down", "no answer within 1 s")


def test_a_process_that_was_held_up_itself_has_learnt_nothing() -> None:
    async def situation() -> Finding | None:
        asyncio.get_running_loop().call_later(0.01, lambda: __import__("time").sleep(0.4))

        async def ask() -> None:
            await asyncio.sleep(3600)

        return await probed(ask, 0.05)

    assert asyncio.run(situation()) is None


def test_a_look_that_outlasts_its_deadline_is_not_begun_twice() -> None:
    begun = []

    async def look() -> int:
        begun.append(1)
        await asyncio.sleep(5)
        return len(begun)

    async def situation() -> int:
        slow = OngoingLook(look)
        for _ in range(3):
            with pytest.raises(TimeoutError):
                await slow.result(1.0)
        return await slow.result(10.0)

    assert run(situation()) == 1


# Cassandra

THREE = ["127.0.0.1", "127.0.0.2", "127.0.0.3"]


def nodes(answers: str, driver: str = "+++") -> list[str]:
    """The states of three nodes that answer (+) or not (-), and that the driver holds for alive or not."""
    said = {node: UP if sign == "+" else DOWN for node, sign in zip(THREE, answers, strict=True)}
    view = {node: sign == "+" for node, sign in zip(THREE, driver, strict=False)}
    found = cassandra_nodes.findings(said, view, 2)
    assert list(found) == ["cassandra-1", "cassandra-2", "cassandra-3"]
    return [one.state if one else "" for one in found.values()]


def test_a_node_that_hangs_is_down_though_the_driver_holds_it_for_alive() -> None:
    assert nodes("+-+") == ["up", "down", "up"]


def test_a_node_that_is_left_without_a_quorum_is_degraded() -> None:
    assert nodes("--+") == ["down", "down", "degraded"]


def test_a_node_that_answers_and_is_not_used_yet_is_degraded() -> None:
    assert nodes("+++", "++-") == ["up", "up", "degraded"]


def test_before_the_driver_has_connected_the_nodes_own_answer_counts() -> None:
    assert nodes("+++", "") == ["up", "up", "up"]


@pytest.mark.parametrize(
    ("points", "resolved", "driver", "expected"),
    [
        (THREE, {}, [], THREE),
        (THREE, {}, ["127.0.0.3", "127.0.0.1"], THREE),
        (["b", "a"], {"a": "10.0.0.1", "b": "10.0.0.2"}, ["10.0.0.1", "10.0.0.2"], ["10.0.0.2", "10.0.0.1"]),
        (["service"], {"service": "10.9.9.9"}, ["10.0.0.2", "10.0.0.1"], ["10.0.0.1", "10.0.0.2"]),
        (["service"], {}, [], ["service"]),
    ],
)
def test_nodes_are_numbered_by_the_contact_points_then_by_what_the_driver_knows(
    points: list[str], resolved: dict[str, str], driver: list[str], expected: list[str]
) -> None:
    assert cassandra_nodes.ordered(points, resolved, driver) == expected


# Envoy's view of the replicas


def host(port: int, hostname: str = "", /, **health: bool) -> dict[str, object]:
    address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    return {
        "address": address,
        "hostname": hostname,
        "health_status": {"eds_health_status": "HEALTHY", **health},
    }


def clusters(*hosts: dict[str, object]) -> dict[str, object]:
    return {"cluster_statuses": [{"name": "antifraud", "host_statuses": list(hosts)}]}


def test_replicas_have_the_names_of_the_configuration() -> None:
    found = envoy.replicas_of(clusters(host(5003, "antifraud-2"), host(5004, "antifraud-1")))
    assert [(one.name, one.address) for one in found] == [
        ("antifraud-1", "127.0.0.1:5004"),
        ("antifraud-2", "127.0.0.1:5003"),
    ]


def test_replicas_behind_one_name_are_numbered() -> None:
    found = envoy.replicas_of(clusters(host(5003, "antifraud"), host(5004, "antifraud")))
    assert [one.name for one in found] == ["antifraud-1", "antifraud-2"]


@pytest.mark.parametrize(
    ("flags", "state"),
    [
        ({}, "up"),
        ({"failed_active_health_check": True}, "down"),
        ({"failed_outlier_check": True}, "degraded"),
        ({"pending_active_hc": True}, "degraded"),
    ],
)
def test_health_flags_make_a_state(flags: dict[str, bool], state: str) -> None:
    (found,) = envoy.replicas_of(clusters(host(5003, **flags)))
    assert found.finding.state == state


@pytest.mark.parametrize("answer", [{}, {"cluster_statuses": []}, {"cluster_statuses": [{"name": 1}]}, []])
def test_what_is_no_answer_of_envoys_is_refused(answer: object) -> None:
    with pytest.raises(ValueError, match=r"."):
        envoy.replicas_of(answer)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("said", "answers", "has_answered", "state"),
    [
        (UP, True, True, "up"),
        (UP, False, True, "down"),  # Envoy has not noticed yet
        (UP, False, False, "up"),  # nobody lets us ask
        (UP, None, True, "up"),
        (DOWN, True, True, "degraded"),  # Envoy has not noticed yet that it is back
        (DOWN, False, True, "down"),
        (DOWN, None, False, "down"),
    ],
)
def test_whichever_of_envoy_and_the_replica_knows_first_counts(
    said: Finding, answers: bool | None, has_answered: bool, state: str
) -> None:
    assert envoy.judged(said, answers=answers, has_answered=has_answered).state == state
