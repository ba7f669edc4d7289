"""What happens to batches and transactions is counted, once, where it happens."""

import asyncio
import contextlib
from collections.abc import Iterator
from dataclasses import replace

import pytest
from prometheus_client.samples import Sample

from app.errors import LogUnavailable, Poison, StoreUnavailable
from app.models.assessment import ANTIFRAUD_UNAVAILABLE
from app.observability import metrics
from app.processing.assignment import MicroBatch, Steps
from app.processing.back_pressure import Batch
from app.processing.batch_processor import BatchProcessor
from tests.unit.samples import BAD
from tests.unit.test_batch_processor import nothing
from tests.unit.test_pipeline import FakePorts, batch, partitions_of, pipeline, recorded, round_of
from tests.unit.virtual_time import run

SAYS = ("accepted", "rejected", "unknown")


def counted(name: str, **labels: str) -> float:
    return metrics.REGISTRY.get_sample_value(f"payments_{name}", labels) or 0.0


class Since:
    """How far each metric has risen since."""

    def __init__(self) -> None:
        self._before = {(s.name, *sorted(s.labels.items())): s.value for s in self._samples()}

    def _samples(self) -> Iterator[Sample]:
        return (sample for family in metrics.REGISTRY.collect() for sample in family.samples)

    def __call__(self, name: str, **labels: str) -> float:
        before = self._before.get((f"payments_{name}", *sorted(labels.items())), 0.0)
        return counted(name, **labels) - before


@pytest.fixture
def risen() -> Since:
    return Since()


def put_through(ports: FakePorts, micro_batch: MicroBatch) -> None:
    """The three steps, each until it works."""

    async def steps() -> None:
        one = pipeline(ports, *partitions_of([micro_batch]))
        await one.claim()
        for step in (one.decide, one.publish, lambda micro_batch: one.store([micro_batch])):
            for _ in range(3):
                with contextlib.suppress(LogUnavailable, StoreUnavailable):
                    await step(micro_batch)
                    break

    run(steps())


def test_verdicts_are_counted_by_status_and_reason_once_they_are_published(risen: Since) -> None:
    ports = FakePorts()
    ports.fails("publish 0", LogUnavailable("no answer"))
    put_through(ports, round_of(batch(0, 1, 2), batch(1, 1)))
    assert risen("verdicts_total", status="accepted", reason="") == 3


@pytest.mark.parametrize(
    ("score", "says"), [(0.7, "accepted"), (0.5, "accepted"), (0.2, "rejected"), (None, "unknown")]
)
def test_what_a_second_model_says_is_counted_beside_the_verdict_at_the_verdicts_threshold(
    risen: Since, score: float | None, says: str
) -> None:
    ports = FakePorts()
    ports.says = replace(BAD, shadow_score=score, shadow_version="model-2")
    ports.fails("publish 0", LogUnavailable("no answer"))
    put_through(ports, round_of(batch(0, 1, 2), batch(1, 1)))
    assert [risen("shadow_verdicts_total", status="rejected", shadow=one) for one in SAYS] == [
        3 if one == says else 0 for one in SAYS
    ]


def test_without_a_second_model_nothing_is_counted_of_one(risen: Since) -> None:
    put_through(FakePorts(), round_of(batch(0, 1, 2)))
    assert {
        risen("shadow_verdicts_total", status=status, shadow=one)
        for status in ("accepted", "rejected")
        for one in SAYS
    } == {0}


def test_an_unassessed_rejection_is_counted_with_its_reason(risen: Since) -> None:
    ports = FakePorts()
    ports.antifraud_is_down = True
    put_through(ports, round_of(batch(0, 1, 2)))
    assert risen("verdicts_total", status="rejected", reason=ANTIFRAUD_UNAVAILABLE) == 2


def test_verdicts_of_the_log_are_counted_as_repeated_and_not_as_published(risen: Since) -> None:
    put_through(FakePorts(recorded={0: recorded(0, 1, 2)}), round_of(batch(0, 1, 2, 3)))
    assert risen("verdicts_repeated_total") == 2
    assert risen("verdicts_total", status="rejected", reason="") == 0


def test_a_verdict_that_another_published_meanwhile_is_counted_as_repeated(risen: Since) -> None:
    ports = FakePorts()
    ports.fails("publish 0", LogUnavailable("no answer"))

    async def steps() -> None:
        one, micro_batch = pipeline(ports, 0), round_of(batch(0, 1, 2))
        await one.claim()
        await one.decide(micro_batch)
        with contextlib.suppress(LogUnavailable):
            await one.publish(micro_batch)
        ports.recorded = {0: recorded(0, 1)}
        await one.publish(micro_batch)

    run(steps())
    assert risen("verdicts_repeated_total") == 1
    assert risen("verdicts_total", status="accepted", reason="") == 1


def test_dead_letters_are_counted_once_they_are_safe(risen: Since) -> None:
    ports = FakePorts()
    ports.fails("dead_letter", LogUnavailable("no answer"))
    put_through(ports, round_of(batch(0, 1, 2, o2=Poison("no Avro"))))
    assert risen("dead_letters_total") == 1


def test_micro_batches_steps_and_retries_are_counted(risen: Since) -> None:
    left = [StoreUnavailable("down"), StoreUnavailable("down")]

    async def counted_step(_: MicroBatch) -> None:
        if left:
            raise left.pop()

    async def situation() -> None:
        processor = BatchProcessor(
            lambda _: Steps([counted_step], nothing), lambda *_: None, most=1000, pause_most=5
        )
        processor.assign(1, [])
        running = asyncio.create_task(processor.run())
        await processor.put(Batch("a_topic", 0, range(7), 7), 1)
        await asyncio.sleep(10)
        running.cancel()

    run(situation())
    assert risen("step_retries_total", step="counted_step") == 2
    assert risen("step_seconds_count", step="counted_step") == 1
    assert risen("batch_records_sum", topic="a_topic") == 7
