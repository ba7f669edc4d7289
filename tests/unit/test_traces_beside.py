"""Zipkin beside the stack: what takes OTLP for it, and what the parts are told."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Link, SpanContext, SpanKind, StatusCode

from infra.native import artifacts, beside, ports, traces, zipkin

NAMES = {"service.name": "bff", "service.instance.id": "bff-1"}


def spans() -> list[ReadableSpan]:
    """A request that failed, with a link and an event, and a step in it, which ended first."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(resource=Resource(NAMES), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("")
    link = Link(SpanContext(0xABC, 0xDEF, is_remote=True))
    attributes: dict[str, Any] = {"http.response.status_code": 503, "sizes": [1, 2], "ok": True}
    with tracer.start_as_current_span("POST", None, SpanKind.SERVER, attributes, [link]) as span:
        span.add_event("decided", timestamp=5_000)
        span.set_status(StatusCode.ERROR)
        with tracer.start_as_current_span("step"):
            pass
    return list(exporter.get_finished_spans())


def test_a_span_in_otlp_becomes_one_of_zipkins() -> None:
    step, post = spans()
    child, parent = traces.translated(encode_spans([step, post]))
    assert parent["traceId"] == child["traceId"] == f"{post.context.trace_id:032x}"
    assert (parent["id"], child["parentId"]) == (f"{post.context.span_id:016x}", parent["id"])
    assert (parent["name"], parent["kind"], parent["localEndpoint"]) == (
        "POST",
        "SERVER",
        {"serviceName": "bff"},
    )
    assert parent["annotations"] == [{"timestamp": 5, "value": "decided"}]
    assert parent["tags"] == {
        "http.response.status_code": "503",
        "sizes": "1,2",
        "ok": "True",
        "service.instance.id": "bff-1",
        "links": f"{0xABC:032x}-{0xDEF:016x}",
        "error": "true",
    }
    assert "parentId" not in parent
    assert "kind" not in child
    assert child["duration"] >= 1


def test_zipkin_listens_on_this_machine_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(artifacts, "class_path", lambda _: "zipkin.jar")
    assert "-Darmeria.ports[0].ip=127.0.0.1" in zipkin.command(ports.endpoints("traces")[0])


def test_its_jar_is_fetched_when_it_is_first_asked_for_and_not_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ran: list[Any] = []
    monkeypatch.setattr(subprocess, "run", lambda command, **_: ran.append(command))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert beside.chosen("traces") == ["traces"]
    assert ran == [[sys.executable, "-m", "infra.native.fetch", "zipkin"]]
    (jar,) = artifacts.locked("zipkin")
    jar.path.parent.mkdir(parents=True)
    jar.path.touch()
    beside.chosen("traces")
    assert len(ran) == 1


def test_the_parts_are_told_where_traces_go_only_while_there_is_something_that_takes_them() -> None:
    assert beside.environment(["bff", "prometheus"]) == {}
    assert beside.environment(["bff", "traces"]) == {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318",
        "TRACE_URL": "http://127.0.0.1:9411/zipkin/traces/{trace_id}",
    }
