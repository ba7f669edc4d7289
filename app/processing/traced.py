"""The steps of a micro-batch in spans: used instead of the plain ones while tracing is on; off, it costs nothing.

A record that was sampled has a header. Each such record gets a span, from the moment it is taken to the moment it is
stored; the micro-batch gets one of its own, in the trace of the first of them and linked to all. So the trace of a
transaction that comes alone has everything, and thousands that come together do not each repeat it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import wraps
from itertools import islice
from typing import TYPE_CHECKING, Any

from app.models.status import TransactionStatus
from app.observability import tracing
from app.processing.assignment import LastStep, MicroBatch
from app.processing.back_pressure import Batch

if TYPE_CHECKING:
    from opentelemetry.trace import Span, SpanContext

#: Records that a micro-batch has spans of, and links to: whatever is sampled, a micro-batch pays for no more.
MOST = 128


class BatchTrace:
    """The spans of a micro-batch that has sampled records."""

    def __init__(self, topic: str, of_records: Mapping[int, Mapping[int, Span]], size: int):
        """`of_records`: of its sampled records, one at least, by partition and offset; `size` in records."""
        self._of_records = of_records
        first, *others = self._each()
        attributes = {"messaging.destination.name": topic, "messaging.batch.message_count": size}
        self.span = tracing.start("INTERNAL", "micro-batch", attributes, first, others)
        for other in others:
            other.add_link(self.span.get_span_context())

    @contextmanager
    def step(self, name: str, links: Sequence[Span] = ()) -> Iterator[None]:
        """What happens in here is in a span of that name, in the micro-batch's."""
        with tracing.within(tracing.start("INTERNAL", name, {}, self.span, links)):
            yield

    @contextmanager
    def publishing(self, topic: str, to_publish: Mapping[int, Sequence[TransactionStatus]]) -> Iterator[None]:
        """What is published in here of these, by partition, has the header of its record's trace."""
        spans = {
            status["transaction_id"]: tracing.start(
                "PRODUCER", f"send {topic}", tracing.of_kafka(topic, "send"), sampled[status["source_offset"]]
            )
            for partition, statuses in to_publish.items()
            if (sampled := self._of_records.get(partition))
            for status in statuses
            if status["source_offset"] in sampled
        }
        token = tracing.outgoing.set({key: tracing.headers_of(span) for key, span in spans.items()})
        try:
            with self.step("publish"):
                yield
        finally:
            tracing.outgoing.reset(token)
            for span in spans.values():
                span.end()

    def decided(self) -> None:
        """The records are. What else becomes of each has a span, or is the end of its own."""
        for span in self._each():
            span.add_event("decided")

    def end(self) -> None:
        """All is done."""
        for span in (self.span, *self._each()):
            span.end()

    def _each(self) -> Iterator[Span]:
        return (span for spans in self._of_records.values() for span in spans.values())


def trace_of(batches: Iterable[Batch]) -> BatchTrace | None:
    """The trace of a micro-batch of these; None when nothing in it was sampled."""
    batches = list(batches)
    sampled = (
        (batch, record.offset, parent)
        for batch in batches
        for record in batch.records
        if record.headers and (parent := tracing.sampled_in(record.headers))
    )
    spans: dict[int, dict[int, Span]] = {}
    for batch, offset, parent in islice(sampled, MOST):
        span = _process(batch, offset, parent)
        if span.is_recording():  # a sampler may be stricter than the one before it
            spans.setdefault(batch.partition, {})[offset] = span
    size = sum(len(batch.records) for batch in batches)
    return BatchTrace(batches[0].topic, spans, size) if spans else None


def _process(batch: Batch, offset: int, parent: SpanContext) -> Span:
    attributes = {
        **tracing.of_kafka(batch.topic, "process"),
        "messaging.destination.partition.id": str(batch.partition),
        "messaging.kafka.offset": offset,
    }
    return tracing.start("CONSUMER", f"process {batch.topic}", attributes, parent)


def traced_last(step: LastStep) -> LastStep:
    """The one step of those who have no other."""

    @wraps(step)
    async def traced(micro_batches: Sequence[MicroBatch]) -> None:
        first = micro_batches[0]
        trace = first.trace = first.trace or trace_of(batch for one in micro_batches for batch in one.batches)
        if trace is None:
            await step(micro_batches)
            return
        with trace.step(step.__name__):
            await step(micro_batches)
        trace.end()

    return traced


class TracedPipeline:
    """The steps of app.processing.pipeline.Pipeline."""

    def __init__(self, pipeline: Any, status_topic: str):
        self._pipeline = pipeline
        self._status_topic = status_topic

    async def claim(self) -> None:
        """See Pipeline.claim; of no transaction's trace."""
        await self._pipeline.claim()

    async def take_over(self) -> None:
        """See Pipeline.take_over; of no transaction's trace."""
        await self._pipeline.take_over()

    async def decide(self, micro_batch: MicroBatch) -> None:
        """See Pipeline.decide."""
        trace = micro_batch.trace = micro_batch.trace or trace_of(micro_batch.batches)
        if trace is None:
            await self._pipeline.decide(micro_batch)
            return
        with trace.step("decide"):
            await self._pipeline.decide(micro_batch)
        trace.decided()

    async def publish(self, micro_batch: MicroBatch) -> None:
        """See Pipeline.publish."""
        trace = micro_batch.trace
        if trace is None:
            await self._pipeline.publish(micro_batch)
            return
        with trace.publishing(self._status_topic, micro_batch.work.to_publish):
            await self._pipeline.publish(micro_batch)

    async def store(self, micro_batches: Sequence[MicroBatch]) -> None:
        """See Pipeline.store."""
        traces = [one.trace for one in micro_batches if one.trace]
        if not traces:
            await self._pipeline.store(micro_batches)
            return
        with traces[0].step("store", [trace.span for trace in traces[1:]]):
            await self._pipeline.store(micro_batches)
        for trace in traces:
            trace.end()
