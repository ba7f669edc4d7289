"""Where traces go: Zipkin, and before it what takes OTLP, since Zipkin does not (`python -m infra.native.traces`).

The parts speak OTLP alone, as OpenTelemetry wants it: its own exporters for Zipkin end in December 2026. Any other
store of traces takes their place with a variable (docs/traces.md). Zipkin knows no links; here they become a tag.
"""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from infra.native import ports, zipkin
from infra.native.orphans import PART, STACK

#: Bytes of a request: a batch of the SDK has 512 spans.
MOST = 16 * 1024 * 1024
DEADLINE = 5.0  # seconds for Zipkin's answer

Tags = dict[str, str]


def translated(request: ExportTraceServiceRequest) -> list[dict[str, Any]]:
    """The spans of an OTLP request, as Zipkin's JSON has them (zipkin.io/zipkin-api)."""
    found = []
    for group in request.resource_spans:
        resource = _tags(group.resource.attributes)
        service = resource.get("service.name", "unknown")
        instance = resource.get("service.instance.id", "")
        for scope in group.scope_spans:
            found += [_span(span, service, instance) for span in scope.spans]
    return found


def _span(span: Span, service: str, instance: str) -> dict[str, Any]:
    tags = _tags(span.attributes) | ({"service.instance.id": instance} if instance else {})
    if span.links:
        tags["links"] = " ".join(f"{link.trace_id.hex()}-{link.span_id.hex()}" for link in span.links)
    if span.status.code == Status.STATUS_CODE_ERROR:
        tags["error"] = tags.get("error.type") or "true"
    made = {
        "traceId": span.trace_id.hex(),
        "id": span.span_id.hex(),
        "name": span.name,
        "timestamp": span.start_time_unix_nano // 1000,
        "duration": max(1, (span.end_time_unix_nano - span.start_time_unix_nano) // 1000),
        "localEndpoint": {"serviceName": service},
        "annotations": [
            {"timestamp": event.time_unix_nano // 1000, "value": event.name} for event in span.events
        ],
        "tags": tags,
    }
    kind = Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_")
    if kind not in ("INTERNAL", "UNSPECIFIED"):
        made["kind"] = kind
    if span.parent_span_id:
        made["parentId"] = span.parent_span_id.hex()
    return made


def _tags(attributes: Iterable[KeyValue]) -> Tags:
    return {one.key: _text(one.value) for one in attributes}


def _text(value: AnyValue) -> str:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return ",".join(_text(one) for one in value.array_value.values)
    return "" if kind is None else str(getattr(value, kind))


class Receiver(BaseHTTPRequestHandler):
    """OTLP over HTTP, in protobuf; what Zipkin does not take is to be sent again."""

    def do_POST(self) -> None:
        """/v1/traces."""
        length = int(self.headers.get("Content-Length") or 0)
        if self.path != "/v1/traces" or not 0 <= length <= MOST:
            self._answer(404 if self.path != "/v1/traces" else 413)
            return
        body = self.rfile.read(length)
        try:
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            spans = translated(ExportTraceServiceRequest.FromString(body))
        except (DecodeError, OSError, EOFError):
            self._answer(400)
            return
        self._answer(200 if asked("POST", "/api/v2/spans", json.dumps(spans)) == 202 else 503)

    def do_GET(self) -> None:
        """/health: whether Zipkin is there."""
        self._answer(200 if self.path == "/health" and asked("GET", "/health") == 200 else 503)

    def _answer(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Nothing of each request."""


def asked(method: str, path: str, body: str | None = None) -> int:
    """The status of Zipkin's answer; 0 when there is none."""
    connection = HTTPConnection(*ports.endpoints("traces")[0], timeout=DEADLINE)
    try:
        connection.request(method, path, body, {"Content-Type": "application/json"})
        return connection.getresponse().status
    except (OSError, HTTPException):
        return 0
    finally:
        connection.close()


def main() -> int:
    """Run Zipkin and the receiver; ends with either."""
    for_zipkin, for_us = ports.endpoints("traces")
    # Its settings are ours alone: others' KAFKA_BOOTSTRAP_SERVERS would make it read their Kafka.
    kept = {name: os.environ[name] for name in ("PATH", "HOME", STACK, PART) if name in os.environ}
    child = subprocess.Popen(zipkin.command(for_zipkin), env=kept)
    signal.signal(signal.SIGTERM, lambda *_: child.terminate())
    receiver = ThreadingHTTPServer(for_us, Receiver)
    threading.Thread(target=receiver.serve_forever, daemon=True).start()
    return child.wait()


if __name__ == "__main__":
    sys.exit(main())
