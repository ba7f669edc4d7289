"""The antifraud replicas as Envoy sees them: `GET /clusters?format=json` of its admin interface."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp

from app.system.deadline import get
from app.system.parts import UP, Finding

CLUSTER = "antifraud"
#: Bytes of the answer; a cluster of two hosts has 4 KB.
ANSWER_MOST = 1_000_000

NOT_USED = Finding("degraded", "answers; Envoy does not use it yet")


@dataclass(frozen=True, slots=True)
class Replica:
    """A host of the cluster; `address` is host:port, `finding` Envoy's view."""

    name: str
    address: str
    finding: Finding


async def ask(session: aiohttp.ClientSession, address: str) -> list[Replica]:
    """The replicas; aiohttp.ClientError, ValueError for what is no answer of Envoy."""
    return replicas_of(json.loads(await get(session, f"http://{address}/clusters?format=json", ANSWER_MOST)))


def replicas_of(document: Mapping[str, Any]) -> list[Replica]:
    """The hosts in Envoy's answer, by name; ValueError when it is something else."""
    try:
        (cluster,) = [one for one in document["cluster_statuses"] if one["name"] == CLUSTER]
        hosts = [(_address(host), host) for host in cluster.get("host_statuses", [])]
        return _named([(address, host.get("hostname", ""), _finding(host)) for address, host in hosts])
    except (KeyError, TypeError, AttributeError) as exc:
        raise ValueError("not an answer of Envoy's") from exc


def _named(hosts: list[tuple[str, str, Finding]]) -> list[Replica]:
    """By the names that envoy.yaml gives them; where a name stands for several hosts, numbered by their addresses."""
    names = [hostname for _, hostname, _ in hosts]
    is_named = len(set(names)) == len(names) and all(re.fullmatch(rf"{CLUSTER}-\d+", name) for name in names)
    found = []
    for number, (address, hostname, finding) in enumerate(sorted(hosts), 1):
        found.append(Replica(hostname if is_named else f"{CLUSTER}-{number}", address, finding))
    return sorted(found, key=lambda replica: replica.name)


def _address(host: Mapping[str, Any]) -> str:
    socket = host["address"]["socket_address"]
    name = str(socket["address"])
    return f"[{name}]:{socket['port_value']}" if ":" in name else f"{name}:{socket['port_value']}"


def _finding(host: Mapping[str, Any]) -> Finding:
    health = host.get("health_status", {})
    if health.get("failed_active_health_check"):
        return Finding("down", "fails Envoy's health checks")
    if health.get("failed_outlier_check"):
        return Finding("degraded", "set aside by Envoy after failed calls")
    if health.get("pending_active_hc"):
        return Finding("degraded", "not checked by Envoy yet")
    return UP


def judged(said: Finding, *, answers: bool | None, has_answered: bool) -> Finding:
    """Envoy's view, and what the replica itself answers: whichever knows first, of a death and of a return.

    `answers`: None when it was not asked; `has_answered`: whether it ever did, for not every network lets us ask.
    """
    if answers:
        return NOT_USED if said.state == "down" else said
    if answers is False and has_answered:
        return Finding("down", "does not answer")
    return said
