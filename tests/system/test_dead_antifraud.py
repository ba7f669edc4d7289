"""An antifraud replica, both, and Envoy are killed while customers go on buying."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.support import http, log
from tests.support.dead import Said, kill, whole
from tests.support.load import Load, nothing_lost

pytestmark = pytest.mark.usefixtures("whole_again")


def assessments(ids: list[str]) -> list[dict[str, Any]]:
    return [http.final(id_, within=30) for id_ in ids]


def test_one_then_both_antifraud_replicas_dead() -> None:
    with Load(rate=20) as load:
        time.sleep(1)
        kill("antifraud-1")
        time.sleep(0.5)
        at = len(load.ids)
        time.sleep(3)
    found = assessments(load.ids)
    assert {answer.status for answer in load.answers} == {201}
    assert [entry for entry in found if entry["reason"]] == [], "falsely rejected"
    assert {entry["replica"] for entry in found[at:]} == {"antifraud-2"}
    nobody_can_assess_without("antifraud-2")
    nothing_lost(load.ids)


def test_envoy_dead() -> None:
    nobody_can_assess_without("envoy")


def nobody_can_assess_without(part: str) -> None:
    """After it is killed all are rejected with the reason, after a bounded patience and with one line in the log."""
    said = Said("transactions")
    kill(part)
    time.sleep(0.5)
    with Load(rate=20) as load:
        began = time.monotonic()
        first = http.final(http.taken(), within=30)
        patience = time.monotonic() - began
        time.sleep(1)
    assert {answer.status for answer in load.answers} == {201}
    assert patience > 4
    for entry in [first, *assessments(load.ids)]:
        assert (entry["status"], entry["reason"]) == ("rejected", "antifraud_unavailable")
    assert len(said.lines("ERROR", "No antifraud replica answers")) == 1
    whole()
    log.wait_until(lambda: http.final(http.taken(), within=20)["reason"] is None, 20, "assessed again")
    nothing_lost(load.ids)
