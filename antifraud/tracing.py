"""A replica's part of a trace: a span of each call that a sampled one made. Off unless OTEL_… says where to send."""

from __future__ import annotations

import logging
import os
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

log = logging.getLogger("antifraud")

HEADER = "traceparent"
STOP_WITHIN = 1.0  # seconds for the spans that wait to be sent
_SAMPLED = re.compile(r"(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f][13579bdf](?:-.*)?")

_otel: Any = None  # the module opentelemetry.trace, while tracing is on
_tracer: Any = None
_provider: Any = None


def is_asked_for(environment: Mapping[str, str]) -> bool:
    """Whether OpenTelemetry's own variables say where traces go, in OTLP."""
    exporter = environment.get("OTEL_TRACES_EXPORTER", "").strip().lower()
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true" or exporter not in ("", "otlp"):
        return False
    where = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
    return bool(exporter or any(environment.get(name) for name in where))


def set_up(replica: str) -> None:
    """Begin, if the environment asks for it. What is wrong with it costs the traces, never the replica."""
    if not is_asked_for(os.environ):
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        service = os.environ.get("OTEL_SERVICE_NAME") or "antifraud"
        names = {"service.name": service, "service.instance.id": replica}
        provider = TracerProvider(resource=Resource.create(names), shutdown_on_exit=False)
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        begin(provider)
    except Exception as exc:  # noqa: BLE001  # packages that are missing, variables that the SDK cannot read
        log.error("There will be no traces: %s: %s", type(exc).__name__, exc)


def begin(provider: Any) -> None:
    """Trace with this provider from now on."""
    global _otel, _provider, _tracer
    import opentelemetry.trace

    _otel, _provider, _tracer = opentelemetry.trace, provider, provider.get_tracer("antifraud")


def shut_down() -> None:
    """Send what waits, within STOP_WITHIN; blocks."""
    if _provider is not None:
        thread = threading.Thread(target=_provider.shutdown, daemon=True)
        thread.start()
        thread.join(STOP_WITHIN)


def serving(service: str, method: str, context: Any) -> AbstractContextManager[None]:
    """The span of a gRPC call; none for a call that came from no sampled trace."""
    return nullcontext() if _otel is None else _serving(service, method, context)


@contextmanager
def _serving(service: str, method: str, context: Any) -> Iterator[None]:
    sent = next((value for name, value in context.invocation_metadata() or () if name == HEADER), None)
    found = _SAMPLED.fullmatch(sent) if isinstance(sent, str) else None
    if found is None:
        yield
        return
    parent = _otel.SpanContext(
        int(found[1], 16), int(found[2], 16), True, _otel.TraceFlags(_otel.TraceFlags.SAMPLED)
    )
    attributes = {"rpc.system": "grpc", "rpc.service": service, "rpc.method": method}
    within = _otel.set_span_in_context(_otel.NonRecordingSpan(parent))
    span = _tracer.start_span(f"{service}/{method}", within, _otel.SpanKind.SERVER, attributes)
    try:
        with _otel.use_span(span, record_exception=False, set_status_on_exception=False):
            yield
    except BaseException as exc:
        span.set_attribute("error.type", type(exc).__name__)
        span.set_status(_otel.StatusCode.ERROR)
        raise
    finally:
        span.end()


def scoring() -> AbstractContextManager[Any]:
    """The span of the model's work, in that of a call."""
    if _otel is None or not _otel.get_current_span().is_recording():
        return nullcontext()
    plain = {"record_exception": False, "set_status_on_exception": False}
    return _tracer.start_as_current_span("score", **plain)  # type: ignore[no-any-return]
