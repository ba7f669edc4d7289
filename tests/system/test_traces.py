"""A transaction's way is one trace in Zipkin, with an edge from each part to the next; no customer's data in it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.trace import SpanKind

from infra.native import beside, ports, supervisor
from infra.native import stack as real
from reconciliation.readers import PATH
from tests.support import http, log
from tests.support.dead import whole

pytestmark = pytest.mark.long

TRACED = ("antifraud-1", "antifraud-2", "bff", "transactions")
WITHIN = 20.0  # seconds: the SDK sends every five

POST, GET = f"bff post {PATH}", f"bff get {PATH}/{{transaction_id}}"
ASSESS = "antifraud.v1.antifraudapi/antifraudassesmentbatch"
#: Parent and child: the service and the span, in lower case, as Zipkin has all names.
EDGES = {
    ("shop buy", POST),
    (POST, "bff send transaction_created"),
    ("bff send transaction_created", "transactions process transaction_created"),
    ("transactions process transaction_created", "transactions micro-batch"),
    ("transactions micro-batch", "transactions decide"),
    ("transactions decide", f"transactions {ASSESS}"),
    (f"transactions {ASSESS}", f"antifraud {ASSESS}"),
    (f"antifraud {ASSESS}", "antifraud score"),
    ("transactions micro-batch", "transactions publish"),
    ("transactions micro-batch", "transactions store"),
    ("transactions store", "transactions batch cassandra"),
    ("transactions process transaction_created", "transactions send transaction_status"),
    ("transactions send transaction_status", "bff process transaction_status"),
    ("bff process transaction_status", "bff micro-batch"),
    ("bff micro-batch", "bff remember"),
    ("bff remember", "bff evalsha redis"),
    ("shop buy", GET),
    (GET, "bff hget redis"),
}


@pytest.fixture(scope="module", autouse=True)
def _traces(stack: None) -> Iterator[None]:
    """Zipkin beside the stack, and the parts started again, so that they know of it."""
    before = supervisor.names()
    beside.check(["traces"])
    real.up(only=TRACED, extra=["traces"])
    if "traces" in before:
        yield
        return
    _restart()
    yield
    supervisor.reload(before)
    _restart()


def _restart() -> None:
    for name in TRACED:
        real.stop(name)
    whole()


def in_zipkin(trace_id: str) -> list[dict[str, Any]]:
    """The trace's spans, none while there is no such trace."""
    answer = http.call("GET", f"/api/v2/trace/{trace_id}", url=f"http://{ports.endpoints('traces')[0]}")
    return list(answer.json) if answer.status == 200 else []


def edges(spans: list[dict[str, Any]]) -> set[tuple[str, str]]:
    names = {span["id"]: f"{span['localEndpoint']['serviceName']} {span['name']}" for span in spans}
    return {(names.get(span.get("parentId", ""), ""), names[span["id"]]) for span in spans}


def buy(headers: Mapping[str, str]) -> str:
    """POST one and wait until GET shows it decided."""
    answer = http.post(headers={"Content-Type": "application/json", **headers})
    assert answer.status == 201, answer
    transaction_id = str(answer.json["transaction_id"])
    http.final(transaction_id)
    return transaction_id


def test_one_journey_is_one_trace_through_every_part() -> None:
    exporter = OTLPSpanExporter(f"http://{ports.endpoints('traces')[1]}/v1/traces")
    provider = TracerProvider(resource=Resource({"service.name": "shop"}), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with provider.get_tracer("").start_as_current_span("buy", kind=SpanKind.CLIENT) as span:
        context = span.get_span_context()
        trace_id = f"{context.trace_id:032x}"
        traceparent = {"traceparent": f"00-{trace_id}-{context.span_id:016x}-01"}
        transaction_id = buy(traceparent)
        http.call("GET", f"{PATH}/{transaction_id}", headers=traceparent)
    page = f"http://{ports.endpoints('traces')[0]}/zipkin/traces/{trace_id}"
    assert http.call("GET", f"{PATH}/{transaction_id}/history").json["trace"] == {"id": trace_id, "url": page}

    deadline = time.monotonic() + WITHIN
    while missing := EDGES - edges(spans := in_zipkin(trace_id)):
        assert time.monotonic() < deadline, (sorted(missing), sorted(edges(spans)))
        time.sleep(0.5)
    text = json.dumps(spans)
    assert transaction_id in text
    secrets = [value for value in http.EXAMPLE.values() if isinstance(value, str | float)]
    assert [value for value in secrets if str(value) in text] == []


def test_what_a_client_does_not_sample_has_no_trace_and_its_records_no_header() -> None:
    trace_id, since = f"{time.time_ns():032x}", log.ends(log.CREATED)
    key = buy({"traceparent": f"00-{trace_id}-00000000000000aa-00"}).encode()
    (record,) = [one for one in log.read(log.CREATED, since) if log.id_of(one) == key]
    assert record.headers == ()
    sampled = f"{time.time_ns():032x}"
    buy({"traceparent": f"00-{sampled}-00000000000000aa-01"})
    log.wait_until(lambda: bool(in_zipkin(sampled)), WITHIN, "a sampled one is in Zipkin")
    assert in_zipkin(trace_id) == []


def test_while_what_takes_the_traces_hangs_transactions_go_on_and_a_worker_stops_in_time() -> None:
    real.pause("traces")
    buy({"traceparent": f"00-{time.time_ns():032x}-00000000000000aa-01"})
    began = time.monotonic()
    real.stop("transactions")
    assert time.monotonic() - began < 8
    real.resume("traces")
    whole()
