"""What is restarted so that it goes through a relay, and how it is started then."""

from __future__ import annotations

import asyncio

import pytest

from infra.native import envoy, processes
from infra.native.paths import INFRA
from infra.native.processes import Part
from lab.envoy import relayed
from lab.links import Links


def _running(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    monkeypatch.setattr(processes, "states", lambda: {name: Part(name, "running", 1) for name in names})


def test_the_first_fault_restarts_the_clients_and_later_ones_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    _running(monkeypatch, "bff", "transactions", "transactions-2", "redis", "envoy")
    restarted: list[str] = []

    async def restart(name: str) -> str:
        restarted.append(name)
        return ""

    async def run() -> None:
        links = Links(restart)
        await links.put("redis", 0, False)
        assert (restarted, links.started_with("bff")) == ([], ({}, None))
        await links.put("redis", 500, False)
        await links.put("redis", 0, True)
        await links.put("redis", 0, False)
        assert restarted == ["bff"]
        await links.put("envoy", 100, False)
        await links.put("antifraud-2", 100, False)
        assert restarted == ["bff", "transactions", "transactions-2", "envoy"]
        assert links.started_with("bff")[0]["PAYMENTS_REDIS_URL"].startswith("redis://127.0.0.1:")
        assert "PAYMENTS_ANTIFRAUD_ADDRESS" in links.started_with("transactions-2")[0]
        assert str(links.started_with("envoy")[1]).startswith("python -m lab.envoy antifraud-2=")
        assert links.started_with("redis") == ({}, None)
        restarted.clear()
        await links.take_out()
        assert sorted(restarted) == ["bff", "envoy", "transactions", "transactions-2"]
        assert not any(link["relayed"] for link in links.shown())
        assert links.started_with("bff") == ({}, None)

    asyncio.run(run())


def test_an_envoy_behind_relays_is_the_stacks_own_but_for_the_replicas_ports() -> None:
    text = envoy.settings((INFRA / "envoy" / "envoy.yaml").read_text())
    found = relayed(text, {"antifraud-1": 40001, "antifraud-2": 40002})
    changed = [
        (old, new) for old, new in zip(text.splitlines(), found.splitlines(), strict=True) if old != new
    ]
    assert len(changed) == 2
    assert [("5004" in old, "40001" in new) for old, new in changed] == [(True, True), (False, False)]
