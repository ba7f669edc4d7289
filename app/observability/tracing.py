"""OpenTelemetry, by hand: spans of what is sampled, and their context in headers. Off unless OTEL_… says where to.

The ready-made instrumentations do not fit: Kafka's knows single sends and reads where ours are batches, and each of the
others costs every call something. A transaction's journey is one trace: the header `traceparent` of its POST, of its
two records and of the gRPC call carries it on. app.processing.traced does the same for micro-batches.

While tracing is off nothing of OpenTelemetry is imported. While it is on, what is not sampled has no header, and what
has no header costs nothing. No text of a client is put into a span: names of ours, numbers, ids that are checked.
"""

from __future__ import annotations

import logging
import os
import re
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span, SpanContext

log = logging.getLogger(__name__)

HEADER = "traceparent"
#: Seconds for the spans that wait to be sent when a worker stops.
STOP_WITHIN = 1.0

#: What a sampler by ratio looks at, of 128 bits.
_LOWER_HALF = (1 << 64) - 1

_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?")

Headers = list[tuple[str, bytes]]
Attributes = Mapping[str, Any]

#: Whether there is anything to do here; set once, at start.
enabled = False
_otel: Any = None  # the module opentelemetry.trace
_tracer: Any = None
_provider: Any = None
_ids: Any = None
#: The headers of the records that are published now, by their keys.
outgoing: ContextVar[Mapping[str, Headers]] = ContextVar("outgoing", default=MappingProxyType({}))


def is_asked_for(environment: Mapping[str, str]) -> bool:
    """Whether OpenTelemetry's own variables say where traces go."""
    exporter = environment.get("OTEL_TRACES_EXPORTER", "").strip().lower()
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true" or exporter == "none":
        return False
    if exporter not in ("", "otlp"):
        log.error("OTEL_TRACES_EXPORTER=%s: only otlp is known here, there will be no traces", exporter)
        return False
    where = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
    return bool(exporter or any(environment.get(name) for name in where))


def set_up(service: str) -> None:
    """Begin, if the environment asks for it. What is wrong with it costs the traces, never the worker."""
    if not is_asked_for(os.environ):
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        instance = os.environ.get("WORKER_INSTANCE") or service
        names = {
            "service.name": os.environ.get("OTEL_SERVICE_NAME") or service,
            "service.instance.id": f"{instance}-{os.getpid()}",
        }
        provider = TracerProvider(resource=Resource.create(names), shutdown_on_exit=False)
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        begin(provider)
    except Exception as exc:  # noqa: BLE001  # packages that are missing, variables that the SDK cannot read
        log.error("There will be no traces: %s: %s", type(exc).__name__, exc)


def begin(provider: TracerProvider) -> None:
    """Trace with this provider from now on."""
    global enabled, _ids, _otel, _provider, _tracer
    import opentelemetry.trace

    _otel, _provider, _tracer = opentelemetry.trace, provider, provider.get_tracer("payments")
    _ids = _tracer.id_generator = _Ids(_tracer.id_generator, _tracer.sampler)
    enabled = True


class _Ids:
    """The SDK's ids, but for that of a trace which the sampler was asked about already."""

    def __init__(self, usual: Any, sampler: Any):
        self.generate_span_id, self.is_trace_id_random = usual.generate_span_id, usual.is_trace_id_random
        self._new, self._asked_about = usual.generate_trace_id, 0
        self._sampler = sampler
        # Of a sampler by ratio: the lower half of a sampled id is below it. The SDK takes ten times as long to say so.
        self._bound = getattr(getattr(sampler, "_root", sampler), "bound", None)

    def is_sampled(self) -> bool:
        """Whether a new trace is; it is the next one that begins then."""
        id_ = self._new()
        if self._bound is None:
            is_sampled = self._sampler.should_sample(None, id_, "").decision.is_sampled()
        else:
            is_sampled = id_ & _LOWER_HALF < self._bound
        if is_sampled:
            self._asked_about = id_
        return bool(is_sampled)

    def generate_trace_id(self) -> int:
        """As the SDK calls it, at the beginning of a trace."""
        found, self._asked_about = self._asked_about or self._new(), 0
        return int(found)


def shut_down() -> None:
    """Send what waits, within STOP_WITHIN; blocks."""
    if _provider is not None:
        # Its own bound is 30 s: a collector that is down must not hold up a stop.
        thread = threading.Thread(target=_provider.shutdown, daemon=True)
        thread.start()
        thread.join(STOP_WITHIN)


# Which trace


def current_trace_id() -> str:
    """The trace at work, in 32 hexadecimal digits; empty outside of one."""
    if not enabled:
        return ""
    found = _otel.get_current_span().get_span_context()
    return f"{found.trace_id:032x}" if found.is_valid else ""


def trace_id_of(headers: Iterable[tuple[str, bytes | None]]) -> str:
    """The trace that a record was sampled for, likewise; also while tracing is off."""
    found = next((_match(value) for name, value in headers if name == HEADER), None)
    return found[1] if found and int(found[3], 16) & 1 else ""


def sampled_in(headers: Iterable[tuple[str, bytes | None]]) -> SpanContext | None:
    """The span that sent a record, if it was sampled."""
    parent = next((_parsed(value) for name, value in headers if name == HEADER), None)
    return parent if parent and parent.trace_flags.sampled else None


def headers_of(span: Span) -> Headers:
    """What makes a record part of the span's trace."""
    return [(HEADER, _traceparent(span).encode())]


def _match(value: bytes | str | None) -> re.Match[str] | None:
    text = value.decode("latin-1") if isinstance(value, bytes) else value
    return _TRACEPARENT.fullmatch(text) if text else None


def _parsed(value: bytes | str | None) -> SpanContext | None:
    if not (found := _match(value)):
        return None
    flags = _otel.TraceFlags(int(found[3], 16) & _otel.TraceFlags.SAMPLED)
    parent = _otel.SpanContext(int(found[1], 16), int(found[2], 16), is_remote=True, trace_flags=flags)
    return parent if parent.is_valid else None


def _traceparent(span: Span) -> str:
    found = span.get_span_context()
    return f"00-{found.trace_id:032x}-{found.span_id:016x}-{found.trace_flags:02x}"


def _in_a_trace() -> bool:
    return enabled and bool(_otel.get_current_span().is_recording())


# Spans


def start(
    kind: str,
    name: str,
    attributes: Attributes,
    parent: Span | SpanContext | None = None,
    links: Sequence[Span] = (),
) -> Span:
    """A span in the current one or in `parent`; `kind` as OpenTelemetry has it: SERVER, CLIENT, CONSUMER …"""
    if isinstance(parent, _otel.SpanContext):
        parent = _otel.NonRecordingSpan(parent)
    context = _otel.set_span_in_context(parent) if parent else None
    to = [_otel.Link(span.get_span_context()) for span in links]
    return _tracer.start_span(name, context, _otel.SpanKind[kind], attributes, to)  # type: ignore[no-any-return]


@contextmanager
def within(span: Span) -> Iterator[Span]:
    """What happens in here is in the span, which ends with it; of an exception it has the class alone.

    An exception's text may have a client's in it.
    """
    try:
        with _otel.use_span(span, record_exception=False, set_status_on_exception=False):
            yield span
    except BaseException as exc:
        failed(span, type(exc).__name__)
        raise
    finally:
        span.end()


def failed(span: Span, error: str) -> None:
    """The span is of a failure; `error` is a word of ours or a class."""
    span.set_attribute("error.type", error)
    span.set_status(_otel.StatusCode.ERROR)


def concerns(traceparent: str | None) -> bool:
    """Whether a request is part of a trace, by its header, or one begins with it: the next one that begins."""
    return bool(_match(traceparent) or _ids.is_sampled())


def serving(method: str, route: str, traceparent: str | None) -> AbstractContextManager[Span]:
    """The span of a request, in the trace that its header names, or else in one that begins with it."""
    attributes = {"http.request.method": method, "http.route": route, "url.scheme": "http"}
    return within(start("SERVER", f"{method} {route}", attributes, _parsed(traceparent)))


def sending(topic: str, key: str) -> AbstractContextManager[Headers]:
    """Gives the headers of the record that is sent in here; none outside of a sampled trace."""
    return _sending(topic, key) if _in_a_trace() else nullcontext([])


@contextmanager
def _sending(topic: str, key: str) -> Iterator[Headers]:
    attributes = {**of_kafka(topic, "send"), "messaging.kafka.message.key": key}
    with within(start("PRODUCER", f"send {topic}", attributes)) as span:
        yield headers_of(span)


def calling(name: str, attributes: Attributes) -> AbstractContextManager[Span | None]:
    """The span of a call to another part; None outside of a sampled trace."""
    return within(start("CLIENT", name, attributes)) if _in_a_trace() else nullcontext()


def metadata() -> tuple[tuple[str, str], ...] | None:
    """What a gRPC call takes along; None outside of a sampled trace."""
    return ((HEADER, _traceparent(_otel.get_current_span())),) if _in_a_trace() else None


def of_kafka(topic: str, operation: str) -> dict[str, Any]:
    """The attributes of a message; `operation`: send or process."""
    return {
        "messaging.system": "kafka",
        "messaging.destination.name": topic,
        "messaging.operation.name": operation,
        "messaging.operation.type": operation,
    }
