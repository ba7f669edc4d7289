"""One journey is one trace: from header to span to header; nothing of it while tracing is off."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from cassandra import ConsistencyLevel
from cassandra.query import BatchStatement
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_OFF,
    ALWAYS_ON,
    DEFAULT_ON,
    ParentBased,
    Sampler,
    TraceIdRatioBased,
)
from opentelemetry.trace import StatusCode

from antifraud import tracing as of_a_replica
from app.assessment.client import Antifraud
from app.errors import LogUnavailable
from app.live.history import History
from app.models.status import TransactionStatus
from app.observability import tracing
from app.processing import traced
from app.processing.assignment import MicroBatch
from app.processing.back_pressure import Batch
from app.processing.traced import TracedPipeline, traced_last
from app.settings import Settings
from app.stores import cassandra
from app.stores.transactions_table import ONE
from app.web.traces import traced as traced_request
from schemas.proto import antifraud_pb2 as pb
from tests.unit.samples import Record, transaction
from tests.unit.test_pipeline import FakePorts, pipeline
from tests.unit.virtual_time import run

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
SAMPLED, UNSAMPLED = f"00-{TRACE}-{PARENT}-01", f"00-{TRACE}-{PARENT}-00"
CLIENTS_TEXT = "4929 1234 5678 9012"


class Spans:
    """What has ended, by name."""

    def __init__(self, exporter: InMemorySpanExporter):
        self._exporter = exporter

    @property
    def all(self) -> Sequence[ReadableSpan]:
        return self._exporter.get_finished_spans()

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.all if span.name == name]

    def one(self, name: str) -> ReadableSpan:
        (found,) = self.named(name)
        return found

    def edges(self) -> set[tuple[str, str]]:
        """Parent and child, by name; a parent that is not ours is 'outside'."""
        names = {span.context.span_id: span.name for span in self.all}
        return {(names.get(one.parent.span_id, "outside"), one.name) for one in self.all if one.parent}


def start_tracing(monkeypatch: pytest.MonkeyPatch, sampler: Sampler | None = None) -> Spans:
    for name in ("enabled", "_ids", "_otel", "_provider", "_tracer"):
        monkeypatch.setattr(tracing, name, getattr(tracing, name))
    exporter = InMemorySpanExporter()
    provider = TracerProvider(sampler=sampler, shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracing.begin(provider)
    return Spans(exporter)


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Spans:
    return start_tracing(monkeypatch)


def header(traceparent: str) -> tuple[tuple[str, bytes], ...]:
    return ((tracing.HEADER, traceparent.encode()),)


def record(offset: int, traceparent: str = "", partition: int = 0, **changes: Any) -> Record:
    value = transaction(transaction_id=f"p{partition}o{offset}", **changes)
    return Record(offset, value, header(traceparent) if traceparent else ())


def sampled(number: int) -> str:
    return f"00-{number:032x}-{number:016x}-01"


def batch(partition: int, *records: Record) -> Batch:
    return Batch("transaction_created", partition, list(records), records[-1].offset + 1)


class Ports(FakePorts):
    """Keeps the headers of what is published, as app.processing.adapters writes them."""

    def __init__(self) -> None:
        super().__init__()
        self.headers: dict[str, tracing.Headers] = {}

    async def publish(self, partition: int, statuses: Sequence[TransactionStatus]) -> Sequence[int]:
        headers = tracing.outgoing.get()
        self.headers |= {one["transaction_id"]: headers.get(one["transaction_id"], []) for one in statuses}
        return await super().publish(partition, statuses)


def through(ports: FakePorts, *micro_batches: MicroBatch, tries: int = 1) -> None:
    async def main() -> None:
        steps = TracedPipeline(pipeline(ports, *range(4)), "transaction_status")
        await steps.claim()
        for one in micro_batches:
            await steps.decide(one)
            for _ in range(tries):
                try:
                    await steps.publish(one)
                except LogUnavailable:
                    continue
        await steps.store(micro_batches)

    run(main())


# Off


@pytest.mark.parametrize(
    ("environment", "on"),
    [
        ({}, False),
        ({"OTEL_SERVICE_NAME": "x", "OTEL_TRACES_SAMPLER": "always_on"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:4318/v1/traces"}, True),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, True),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://x"}, False),
        ({"OTEL_TRACES_EXPORTER": "jaeger", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://x"}, False),
        ({"OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://x"}, False),
    ],
)
def test_it_is_on_only_where_opentelemetrys_own_variables_say_where_traces_go(
    environment: dict[str, str], on: bool
) -> None:
    assert tracing.is_asked_for(environment) == of_a_replica.is_asked_for(environment) == on


def test_while_it_is_off_nothing_of_the_sdks_tracing_is_imported() -> None:
    code = (
        "import sys, app.main, antifraud.server; ours = ('opentelemetry.sdk.trace', 'opentelemetry.exporter');"
        "print(*(name for name in sys.modules if name.startswith(ours)))"
    )
    done = subprocess.run([sys.executable, "-c", code], env={}, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("\n", "")


def test_while_it_is_off_a_record_has_no_header_and_a_call_no_metadata() -> None:
    assert not tracing.enabled
    with tracing.sending("transaction_created", "id") as headers:
        assert headers == []
    assert tracing.metadata() is None
    assert tracing.current_trace_id() == ""


def test_a_wrong_variable_costs_the_traces_and_not_the_worker(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(tracing, "enabled", False)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "0")
    tracing.set_up("bff")
    assert not tracing.enabled
    assert "There will be no traces" in caplog.text


# Which trace a record is in


@pytest.mark.parametrize(
    ("traceparent", "trace"),
    [
        (SAMPLED, TRACE),
        (UNSAMPLED, ""),
        (f"cc-{TRACE}-{PARENT}-01-of-a-later-version", TRACE),
        (f"ff-{TRACE}-{PARENT}-01", ""),
        (SAMPLED.upper(), ""),
        (f"00-{TRACE}-{PARENT}", ""),
        (SAMPLED + "\n", ""),
        ("<script>", ""),
        ("", ""),
    ],
)
def test_the_trace_of_a_record_is_read_from_its_header(traceparent: str, trace: str) -> None:
    assert tracing.trace_id_of([("other", b"x"), ("traceparent", traceparent.encode("latin-1"))]) == trace
    assert tracing.trace_id_of([("traceparent", None)]) == tracing.trace_id_of(()) == ""


def test_the_history_of_a_transaction_names_its_trace_and_the_page_of_it() -> None:
    def trace(url: str, record: Any) -> Any:
        resources: Any = SimpleNamespace(settings=SimpleNamespace(trace_url=url))
        return History(resources)._trace(record)

    page = "http://127.0.0.1:9411/zipkin/traces/{trace_id}"
    assert trace(page, record(1, SAMPLED)) == {"id": TRACE, "url": page.replace("{trace_id}", TRACE)}
    assert trace("", record(1, SAMPLED)) == {"id": TRACE, "url": None}
    assert trace(page, record(1, UNSAMPLED)) is trace(page, record(1)) is trace(page, None) is None


@pytest.mark.parametrize("traceparent", ["", "<script>", f"00-{'0' * 32}-{PARENT}-01", "é" * 55])
def test_a_header_that_is_none_begins_a_trace_of_its_own(spans: Spans, traceparent: str) -> None:
    with tracing.serving("POST", "/api", traceparent):
        assert tracing.current_trace_id() not in ("", TRACE)
    assert spans.one("POST /api").parent is None
    assert tracing.sampled_in([("traceparent", traceparent.encode())]) is None


# The journey


def test_a_post_continues_the_clients_trace_and_its_record_carries_it_on(spans: Spans) -> None:
    with tracing.serving("POST", "/api", SAMPLED):
        assert tracing.current_trace_id() == TRACE
        with tracing.sending("transaction_created", "id") as headers:
            pass
    assert spans.edges() == {("outside", "POST /api"), ("POST /api", "send transaction_created")}
    send = spans.one("send transaction_created")
    assert headers == [("traceparent", f"00-{TRACE}-{send.context.span_id:016x}-01".encode())]
    assert tracing.trace_id_of(headers) == TRACE


@pytest.mark.parametrize("traceparent", [UNSAMPLED, None])
def test_what_is_not_sampled_has_no_header(monkeypatch: pytest.MonkeyPatch, traceparent: str | None) -> None:
    spans = start_tracing(monkeypatch, ALWAYS_OFF)
    with (
        tracing.serving("POST", "/api", traceparent),
        tracing.sending("transaction_created", "id") as headers,
        tracing.calling("HGET", {}) as call,
    ):
        assert tracing.metadata() is None
    assert (headers, call, list(spans.all)) == ([], None, [])


def test_of_the_requests_of_a_client_without_a_trace_the_share_that_is_asked_for_is_sampled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spans = start_tracing(monkeypatch, ParentBased(TraceIdRatioBased(0.25)))
    for _ in range(400):
        if tracing.concerns(None):
            with tracing.serving("POST", "/api", None):
                pass
    assert 50 < len(spans.all) < 160
    assert len({span.context.trace_id for span in spans.all}) == len(spans.all)


def test_a_request_that_begins_no_trace_makes_no_span(monkeypatch: pytest.MonkeyPatch) -> None:
    start_tracing(monkeypatch, ParentBased(ALWAYS_OFF))
    monkeypatch.setattr(tracing, "start", None)

    async def handler(_: web.Request) -> web.Response:
        with tracing.sending("t", "key") as headers:
            return web.Response(text=str(headers))

    answer = run(traced_request(make_mocked_request("GET", "/api/v1/transactions"), handler))
    assert isinstance(answer, web.Response)
    assert answer.text == "[]"


def test_a_sampled_record_is_followed_to_its_row_and_its_status_carries_it_on(spans: Spans) -> None:
    ports = Ports()
    through(ports, MicroBatch([batch(0, record(1), record(2, SAMPLED), record(3))]))
    assert spans.edges() == {
        ("outside", "process transaction_created"),
        ("process transaction_created", "micro-batch"),
        ("process transaction_created", "send transaction_status"),
        ("micro-batch", "decide"),
        ("micro-batch", "publish"),
        ("micro-batch", "store"),
    }
    assert {span.context.trace_id for span in spans.all} == {int(TRACE, 16)}
    send = spans.one("send transaction_status")
    assert tracing.trace_id_of(ports.headers["p0o2"]) == TRACE
    assert ports.headers["p0o2"][0][1].split(b"-")[2] == f"{send.context.span_id:016x}".encode()
    assert ports.headers["p0o1"] == ports.headers["p0o3"] == []
    process = spans.one("process transaction_created")
    assert [event.name for event in process.events] == ["decided"]
    assert process.attributes is not None
    assert process.attributes["messaging.kafka.offset"] == 2


def test_a_micro_batch_is_in_the_trace_of_its_first_and_linked_to_all(spans: Spans) -> None:
    ports = Ports()
    through(ports, MicroBatch([batch(0, record(1, sampled(7))), batch(3, record(1, sampled(8), 3))]))
    first, second = spans.named("process transaction_created")
    micro_batch = spans.one("micro-batch")
    assert micro_batch.context.trace_id == first.context.trace_id == 7
    assert [link.context.span_id for link in micro_batch.links] == [second.context.span_id]
    assert [link.context.span_id for link in second.links] == [micro_batch.context.span_id]
    assert [tracing.trace_id_of(ports.headers[id_])[-1] for id_ in ("p0o1", "p3o1")] == ["7", "8"]


def test_however_many_are_sampled_a_micro_batch_has_spans_of_no_more_than_its_bound(spans: Spans) -> None:
    ports = Ports()
    through(ports, MicroBatch([batch(0, *(record(n, sampled(n)) for n in range(1, 1000)))]))
    assert len(spans.named("process transaction_created")) == traced.MOST
    assert len(spans.one("micro-batch").links) == traced.MOST - 1
    assert sum(bool(headers) for headers in ports.headers.values()) == traced.MOST


@pytest.mark.parametrize("sampler", [DEFAULT_ON, ALWAYS_ON])
def test_a_micro_batch_without_a_sampled_record_has_no_span(
    monkeypatch: pytest.MonkeyPatch, sampler: Sampler
) -> None:
    spans, ports = start_tracing(monkeypatch, sampler), Ports()
    through(ports, MicroBatch([batch(0, record(1), record(2, UNSAMPLED), record(3, "<script>"))]))
    assert list(spans.all) == []
    assert len(ports.stored) == 3


def test_a_failed_try_is_a_span_with_the_class_of_its_error_and_the_next_one_another(spans: Spans) -> None:
    ports = Ports()
    ports.fails("publish 0", LogUnavailable(CLIENTS_TEXT))
    through(ports, MicroBatch([batch(0, record(1, SAMPLED, description=CLIENTS_TEXT))]), tries=2)
    failed, well = spans.named("publish")
    assert dict(failed.attributes or {}) == {"error.type": "LogUnavailable"}
    assert (failed.status.is_ok, well.status.is_ok) == (False, True)
    assert len(spans.named("process transaction_created")) == 1
    assert CLIENTS_TEXT not in "".join(span.to_json() for span in spans.all)


def test_what_a_store_call_takes_together_is_in_the_first_ones_trace_and_linked_to_the_others(
    spans: Spans,
) -> None:
    some = [MicroBatch([batch(0, record(n, sampled(n) if n != 2 else ""))]) for n in (1, 2, 3)]
    through(Ports(), *some)
    store = spans.one("store")
    assert store.context.trace_id == 1
    assert [link.context.trace_id for link in store.links] == [3]


def test_an_assessment_is_a_span_whose_context_goes_along_in_the_metadata(spans: Spans) -> None:
    given: list[Any] = []

    class Stub:
        async def AntifraudAssesmentBatch(self, _: Any, timeout: float, metadata: Any) -> Any:  # noqa: N802
            given.append(metadata)
            return pb.AntifraudAssesmentBatchResponse(status=[pb.ACCEPTED], score=[0.9], threshold=0.5)

    antifraud = Antifraud(Settings())
    antifraud._stub = Stub()

    async def main() -> None:
        await antifraud.assess([transaction()])
        with tracing.serving("POST", "/api", SAMPLED):
            await antifraud.assess([transaction()])

    run(main())
    span = spans.one("antifraud.v1.AntifraudAPI/AntifraudAssesmentBatch")
    assert given == [None, ((tracing.HEADER, f"00-{TRACE}-{span.context.span_id:016x}-01"),)]


def test_a_status_is_shown_in_the_trace_of_its_record_also_at_the_second_try(spans: Spans) -> None:
    fails = [LogUnavailable("")]

    async def remember(_: Sequence[MicroBatch]) -> None:
        with tracing.calling("EVALSHA redis", {}):
            if fails:
                raise fails.pop()

    step = traced_last(remember)
    assert step.__name__ == "remember"
    micro_batches = [MicroBatch([batch(0, record(1, SAMPLED))])]

    async def main() -> None:
        with pytest.raises(LogUnavailable):
            await step(micro_batches)
        await step(micro_batches)
        await step([MicroBatch([batch(0, record(1))])])

    run(main())
    assert spans.edges() == {
        ("outside", "process transaction_created"),
        ("process transaction_created", "micro-batch"),
        ("micro-batch", "remember"),
        ("remember", "EVALSHA redis"),
    }
    assert len(spans.named("remember")) == 2


def test_a_replicas_span_is_a_child_of_the_call_and_without_a_sampled_one_there_is_none(
    spans: Spans, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("_otel", "_provider", "_tracer"):
        monkeypatch.setattr(of_a_replica, name, getattr(of_a_replica, name))
    of_a_replica.begin(tracing._provider)
    for sent in (None, UNSAMPLED, "<script>", SAMPLED):
        context = SimpleNamespace(invocation_metadata=lambda sent=sent: sent and (("traceparent", sent),))
        with suppress(ValueError), of_a_replica.serving("s", "M", context), of_a_replica.scoring():
            raise ValueError(CLIENTS_TEXT)
    assert spans.edges() == {("outside", "s/M"), ("s/M", "score")}
    assert f"{spans.one('s/M').context.trace_id:032x}" == TRACE
    assert CLIENTS_TEXT not in "".join(span.to_json() for span in spans.all)


@pytest.mark.parametrize("module", [tracing, of_a_replica])
def test_a_stop_does_not_wait_for_a_collector_that_hangs(
    monkeypatch: pytest.MonkeyPatch, module: Any
) -> None:
    hangs = threading.Event()
    monkeypatch.setattr(module, "_provider", SimpleNamespace(shutdown=lambda: hangs.wait(10)))
    monkeypatch.setattr(module, "STOP_WITHIN", 0.01)
    began = time.monotonic()
    module.shut_down()
    hangs.set()
    assert time.monotonic() - began < 5


def test_while_it_is_off_a_replica_looks_at_no_metadata() -> None:
    with of_a_replica.serving("s", "M", None), of_a_replica.scoring():
        pass


@pytest.mark.parametrize(
    ("path", "status", "names"),
    [
        ("/api/v1/transactions/4929", 200, ["GET /api/v1/transactions/{transaction_id}"]),
        ("/api/v1/transactions/4929", 503, ["GET /api/v1/transactions/{transaction_id}"]),
        ("/api/v1/transactions/events", 200, []),
        ("/health/live", 200, []),
    ],
)
def test_a_request_is_a_span_by_its_pattern_but_no_probe_and_no_stream(
    spans: Spans, path: str, status: int, names: list[str]
) -> None:
    async def handler(_: web.Request) -> web.Response:
        return web.Response(status=status)

    async def main() -> web.StreamResponse:
        app = web.Application()
        app.router.add_get("/api/v1/transactions/{transaction_id}", handler)
        request = make_mocked_request("GET", path, {"traceparent": SAMPLED}, app=app)
        request._match_info = await app.router.resolve(request)
        return await traced_request(request, handler)

    assert run(main()).status == status
    assert [span.name for span in spans.all] == names
    for span in spans.all:
        assert (span.attributes or {})["http.response.status_code"] == status
        assert (span.status.status_code is StatusCode.ERROR) == (status >= 500)
        assert "4929" not in span.to_json()


def test_a_cassandra_call_says_what_it_does_at_which_level_and_not_with_which_values(spans: Spans) -> None:
    bound = SimpleNamespace(
        prepared_statement=SimpleNamespace(query_string=ONE),
        values=[CLIENTS_TEXT],
        consistency_level=ConsistencyLevel.LOCAL_ONE,
    )
    with tracing.serving("GET", "/api", SAMPLED):
        with cassandra._span(BatchStatement(consistency_level=ConsistencyLevel.LOCAL_QUORUM)):
            pass
        with cassandra._span(bound):
            pass
    batch_, select = spans.one("BATCH cassandra"), spans.one("SELECT cassandra")
    assert (batch_.attributes or {})["cassandra.consistency.level"] == "LOCAL_QUORUM"
    assert (select.attributes or {})["cassandra.consistency.level"] == "LOCAL_ONE"
    assert CLIENTS_TEXT not in select.to_json()
