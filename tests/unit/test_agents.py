"""Which steps a batch goes through, in which order: published, then stored, and only then finished."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP

from app.agents import statuses, transactions
from app.errors import Poison
from app.messaging.holds import Holds
from app.observability import metrics
from app.observability.transaction_logger import TransactionLogger
from app.processing.adapters import Adapters
from app.processing.assignment import MicroBatch
from app.processing.back_pressure import Batch
from app.processing.batch_processor import BatchProcessor
from app.processing.pipeline import Pipeline
from app.settings import Settings
from tests.unit.samples import status
from tests.unit.virtual_time import run


def steps(processor: BatchProcessor) -> list[str]:
    made = processor._steps_of([])
    return [step.__name__ for step in (*made.each, made.last)]


def fakes() -> tuple[Any, Any]:
    app = SimpleNamespace(
        topic=lambda *_, **__: None,
        agent=lambda *_, **__: lambda function: function,
        consumer=SimpleNamespace(holds=Holds()),
        consumer_generation_id=1,
    )
    resources = SimpleNamespace(settings=Settings(), antifraud=None, snapshots=None)
    return app, resources


def test_a_transaction_is_decided_then_published_then_stored() -> None:
    app, resources = fakes()
    processor = transactions.register(app, resources, TransactionLogger(each=False), Adapters(resources))
    assert steps(processor) == ["decide", "publish", "store"]


def test_before_anything_is_decided_the_partitions_are_claimed() -> None:
    app, resources = fakes()
    processor = transactions.register(app, resources, TransactionLogger(each=False), Adapters(resources))
    first = processor._steps_of([]).first
    assert first is not None
    assert first.__name__ == "claim"


def test_of_a_held_partition_nothing_more_is_fetched() -> None:
    app, resources = fakes()
    processor = transactions.register(app, resources, TransactionLogger(each=False), Adapters(resources))
    held: Any = processor._steps_of([1, 2]).held
    held.add(1)
    all_three = {TP("transaction_created", 1), TP("transaction_created", 2), TP("transaction_status", 1)}
    assert app.consumer.holds.to_read(all_three) == all_three - {TP("transaction_created", 1)}


@pytest.mark.parametrize(("generation", "is_claimed_again"), [(2, False), (3, True)])
def test_a_partition_that_was_ours_is_claimed_again_if_the_group_has_had_an_assignment_without_us(
    generation: int, is_claimed_again: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    app, resources = fakes()
    remembered: list[set[int]] = []

    def made(*given: Any) -> Pipeline:
        remembered.append(given[-1])
        return Pipeline(*given)

    monkeypatch.setattr(transactions, "Pipeline", made)
    processor = transactions.register(app, resources, TransactionLogger(each=False), Adapters(resources))
    processor._steps_of([1])
    remembered[0].add(1)
    app.consumer_generation_id = generation
    processor._steps_of([1])
    assert (1 not in remembered[1]) == is_claimed_again


def test_a_status_goes_into_the_read_model_before_it_is_finished() -> None:
    assert steps(statuses.register(*fakes())) == ["remember"]


def test_what_is_no_status_is_reported_by_place_and_reason_and_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app, resources = fakes()
    remembered: list[Any] = []

    async def decode(values: Sequence[Any]) -> list[Any]:
        return list(values)

    async def remember(entries: Sequence[Any]) -> None:
        remembered.extend(entries)

    resources.status_without_history, resources.recent = (
        SimpleNamespace(decode=decode),
        SimpleNamespace(remember=remember),
    )
    step = statuses.register(app, resources)._steps_of([]).last
    values = [status(), Poison("no Avro"), status()]
    records = [
        SimpleNamespace(topic="transaction_status", partition=3, offset=n, value=one)
        for n, one in enumerate(values)
    ]
    before = metrics.UNREADABLE_STATUSES._value.get()
    run(step([MicroBatch([Batch("transaction_status", 3, records, 3)])]))  # type: ignore[arg-type]
    assert len(remembered) == 2
    assert metrics.UNREADABLE_STATUSES._value.get() == before + 1
    (line,) = [record.getMessage() for record in caplog.records]
    assert "transaction_status[3]@1" in line
    assert "no Avro" in line
