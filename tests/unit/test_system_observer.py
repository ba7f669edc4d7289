"""One look a second for all who ask, and an answer that waits for nobody."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from types import SimpleNamespace
from typing import Any
from unittest import mock

from app.settings import Settings
from app.system.groups import Groups
from app.system.look import Findings
from app.system.observer import Observer, Others
from app.system.parts import UP, Finding
from app.system.workers import Workers
from app.web.system_models import SystemState
from tests.unit.virtual_time import now, run

DOWN = Finding("down", "refuses connections")


class Looks:
    """Stands for the probes: each look takes `lasts` seconds and finds `found`."""

    def __init__(self, lasts: float = 0.0):
        self.lasts = lasts
        self.found: Findings = {"redis": UP, "kafka": UP}
        self.groups: Groups | None = Groups({}, {0: 5}, {0: 7}, 3)
        self.at: list[float] = []

    async def ask(self) -> tuple[Findings, Groups | None]:
        self.at.append(now())
        await asyncio.sleep(self.lasts)
        return self.found, self.groups

    async def close(self) -> None:
        pass


def situation(
    looks: Looks, happens: Callable[[Observer], Coroutine[Any, Any, None]], others: Others | None = None
) -> None:
    """In virtual time, with the observer running."""

    async def both() -> None:
        resources: Any = SimpleNamespace(settings=Settings(), tail=None)
        workers = Workers("bff", 5001, lambda: None, lambda: None, lambda: None)
        watching = Observer(resources, looks, workers, others or Others())  # type: ignore[arg-type]
        task = asyncio.create_task(watching.run())
        await happens(watching)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    run(both())


async def document(watching: Observer) -> dict[str, Any]:
    """As it is described, but for the counts of others, of which there are some only."""
    text = await watching.document()
    found = dict(json.loads(text))
    others: dict[str, Any] = {"answers": [], "truth": None}
    SystemState.model_validate_json(json.dumps({**found, **others}), strict=True)
    assert found.keys() <= SystemState.model_fields.keys()
    return found


def test_while_somebody_asks_it_looks_each_second_and_else_every_five() -> None:
    looks = Looks()

    async def happens(watching: Observer) -> None:
        await asyncio.sleep(20.5)
        for _ in range(100):
            await watching.document()
            await asyncio.sleep(0.1)
        await asyncio.sleep(60)

    situation(looks, happens)
    gaps = [round(later - sooner, 2) for sooner, later in zip(looks.at, looks.at[1:], strict=False)]
    assert gaps[:4] == [5.0] * 4
    asked = [gap for at, gap in zip(looks.at, gaps, strict=False) if 21 < at < 59]
    assert asked
    assert set(asked) == {1.0}
    assert gaps[-2:] == [5.0, 5.0]


def test_who_asks_after_a_while_gets_a_fresh_look() -> None:
    looks = Looks(0.3)

    async def happens(watching: Observer) -> None:
        await asyncio.sleep(13)
        looks.found = {"redis": DOWN, "kafka": UP}
        began = now()
        parts = {part["name"]: part["state"] for part in (await document(watching))["parts"]}
        assert parts["redis"] == "down"
        assert now() - began < 1

    situation(looks, happens)


def test_nobody_waits_longer_than_a_second_and_a_half_whatever_hangs() -> None:
    looks = Looks(3600)

    async def happens(watching: Observer) -> None:
        began = now()
        assert (await document(watching))["parts"] == []
        assert now() - began < 1.5

    situation(looks, happens)


def test_the_document_is_as_old_as_its_last_look_whenever_somebody_asks() -> None:
    looks = Looks()

    async def happens(watching: Observer) -> None:
        await asyncio.sleep(1)
        looks.lasts = 3600  # the next look hangs
        await asyncio.sleep(30)
        with mock.patch("time.time", return_value=31.0):
            assert (await document(watching))["at"] == 0.0

    with mock.patch("time.time", return_value=0.0):
        situation(looks, happens)


def test_all_who_ask_share_one_document() -> None:
    looks, composed = Looks(), []
    others = Others(answers=lambda: composed.append(1) or ())  # type: ignore[func-returns-value]

    async def happens(watching: Observer) -> None:
        for _ in range(50):
            await asyncio.gather(*(watching.document() for _ in range(20)))
            await asyncio.sleep(0.1)

    situation(looks, happens, others)
    assert len(composed) <= 7


def test_without_kafka_the_rest_is_told_and_the_lag_is_what_was_known() -> None:
    looks = Looks()

    async def happens(watching: Observer) -> None:
        await watching.document()
        looks.found, looks.groups = {"redis": UP, "kafka": DOWN}, None
        await asyncio.sleep(3)
        found = await document(watching)
        assert {part["name"]: part["state"] for part in found["parts"]} == {"kafka": "down", "redis": "up"}
        assert "503" in found["parts"][0]["cost"]
        assert found["lag"]["records"] == 2
        charts = json.loads(await watching.series())
        assert charts["lag"][-1] is None
        assert [(mark["part"], mark["state"]) for mark in charts["marks"]] == [("kafka", "down")]

    situation(looks, happens)


def test_parts_are_in_the_order_of_the_procfile() -> None:
    looks = Looks()
    names = [
        "kafka",
        "registry",
        "cassandra-1",
        "cassandra-2",
        "cassandra-10",
        "redis",
        "antifraud-1",
        "envoy",
    ]
    names += ["bff", "bff-2", "transactions"]
    looks.found = dict.fromkeys(reversed(names), UP)

    async def happens(watching: Observer) -> None:
        assert [part["name"] for part in (await document(watching))["parts"]] == names

    situation(looks, happens)


def test_what_others_know_is_in_the_document() -> None:
    seen: list[int | None] = []
    others = Others(
        answers=lambda: [{"status": 503}],
        dead_letters=lambda ends: seen.append(ends) or 4,  # type: ignore[func-returns-value]
        truth=lambda: {"lost": 0},
    )

    async def happens(watching: Observer) -> None:
        found = await document(watching)
        assert (found["answers"], found["dead_letters"], found["truth"]) == (
            [{"status": 503}],
            {"count": 4},
            {"lost": 0},
        )

    situation(Looks(), happens, others)
    assert seen[-1] == 3


def test_without_the_truth_strips_counts_there_is_no_such_key() -> None:
    async def happens(watching: Observer) -> None:
        assert "truth" not in await document(watching)

    situation(Looks(), happens)
