"""One replica after the other gets another model under load: none is rejected unassessed, one model decides a batch."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from antifraud.model import Model, load
from app.assessment.client import NOTHING_KNOWN, SPLIT_FROM, Antifraud
from app.assessment.fallback import AssessmentFallback
from app.models.assessment import Assessment
from app.models.transaction import Transaction
from app.observability.transaction_logger import TransactionLogger
from app.settings import Settings
from generator.traffic import transaction
from tests.integration.replicas import NAMES, Replicas
from tests.integration.second_model import write

BATCH = SPLIT_FROM + 100  # two calls
#: Batches asked at once, as by several workers.
AT_ONCE = 3

pytestmark = pytest.mark.long


class Answered(NamedTuple):
    """One batch as its worker saw it."""

    assessments: list[Assessment]
    seconds: float


def transactions() -> list[Transaction]:
    random_ = random.Random(5)
    some = (transaction(random_) for _ in range(BATCH))
    return [{**one, "transaction_id": str(n), "event_timestamp": 0} for n, one in enumerate(some)]  # type: ignore[typeddict-item]


def scores(model: Model, some: list[Transaction]) -> list[float]:
    columns = ("value_in_cents", "transaction_timestamp", "latitude", "longitude")
    found: list[float] = model.score(*([one[name] for one in some] for name in columns)).tolist()  # type: ignore[literal-required]
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found: Path = tmp_path_factory.mktemp("models")
    write(found)
    return found


@pytest.fixture
def replicas(tmp_path: Path, folder: Path) -> Iterator[Replicas]:
    """Both with the first model, behind Envoy."""
    found = Replicas(tmp_path)
    try:
        for name in (*NAMES, "envoy"):
            found.start(name, {"ANTIFRAUD_MODELS": str(folder)})
        found.wait_healthy()
        yield found
    finally:
        found.close()


def replaced(replicas: Replicas, name: str, settings: dict[str, str]) -> float:
    """Seconds until the replica that was stopped serves again, with these settings."""
    began = time.monotonic()
    replicas.send(name, signal.SIGTERM)
    replicas.start(name, settings)
    replicas.wait_serving(name)
    replicas.wait_healthy()
    return time.monotonic() - began


async def under_load(replicas: Replicas, some: list[Transaction], settings: dict[str, str]) -> list[Answered]:
    """What workers were answered, in order, while one replica after the other was replaced."""
    antifraud = Antifraud(Settings(antifraud_address=replicas.address))
    await antifraud.open()
    asking = AssessmentFallback(
        antifraud.assess, TransactionLogger(False), when_down="reject", outage_timeout=5
    )
    answered, enough = list[Answered](), asyncio.Event()

    async def worker() -> None:
        while not enough.is_set():
            began = time.monotonic()
            assessments = list(await asking.assess(some, NOTHING_KNOWN))
            answered.append(Answered(assessments, time.monotonic() - began))
            await asyncio.sleep(0.01)

    workers = [asyncio.create_task(worker()) for _ in range(AT_ONCE)]
    await asyncio.sleep(1)
    for name in NAMES:
        took = await asyncio.to_thread(replaced, replicas, name, settings)
        print(f"{name} replaced in {took:.1f} s, {len(answered)} batches so far")  # noqa: T201
        await asyncio.sleep(1)
    enough.set()
    await asyncio.gather(*workers)  # raises what any call has failed with
    await antifraud.close()
    return answered


def test_replacing_one_replica_after_the_other_fails_nothing_and_mixes_no_batch(
    replicas: Replicas, folder: Path
) -> None:
    first, (second,) = load(folder), [load(one.parent) for one in folder.glob("*/model.json")]
    some = transactions()
    right = {model.version: scores(model, some) for model in (first, second)}
    assert any(not np.isclose(a, b) for a, b in zip(*right.values(), strict=True))
    settings = {"ANTIFRAUD_MODELS": str(folder), "ANTIFRAUD_MODEL": second.version}
    answered = asyncio.run(under_load(replicas, some, settings))

    by_replica: dict[str | None, list[str | None]] = {name: [] for name in NAMES}
    for one in answered:
        (version,) = {assessment.model_version for assessment in one.assessments}
        assert version is not None, "rejected unassessed"
        assert [assessment.score for assessment in one.assessments] == right[version]
        for replica in {assessment.replica for assessment in one.assessments}:
            by_replica[replica].append(version)
    for versions in by_replica.values():
        assert [version == second.version for version in versions] == sorted(
            version == second.version for version in versions
        ), "a replica went back"
        assert set(versions) == {first.version, second.version}
    print(f"{len(answered)} batches, the slowest {max(one.seconds for one in answered):.2f} s")  # noqa: T201
    assert max(one.seconds for one in answered) < 10
