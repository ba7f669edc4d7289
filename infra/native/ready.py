"""Whether a process is ready; all are asked at the same time, with a second for each answer."""

import re
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException

from infra.native import probes, secure
from infra.native.ports import Endpoint, endpoints, setting

#: What answers 200 once the process is ready, where that is not /health/ready.
PATHS = {"registry": "/apis/ccompat/v7/subjects", "prometheus": "/-/ready"}


def is_ready(name: str) -> str | None:
    """None when the process NAME is ready, else the reason in a few words."""
    try:
        return _ask(name)
    except ConnectionRefusedError:
        return "port refused"
    except TimeoutError:
        return "no answer"
    except HTTPException:
        return "does not speak HTTP"
    except OSError as error:
        return (error.strerror or str(error)).lower()


def all_ready(names: Iterable[str]) -> dict[str, str | None]:
    """Process name -> None or the reason, for all at once."""
    asked = list(names)
    with ThreadPoolExecutor(max(1, len(asked))) as pool:
        return dict(zip(asked, pool.map(is_ready, asked), strict=True))


def _ask(name: str) -> str | None:
    if not (address := endpoints(name)):
        return None  # the generator is ready when it runs, and so is a part that ports.py does not know
    match re.sub(r"-\d+$", "", name):
        case "kafka":
            return probes.kafka(address[0])
        case "cassandra":
            return probes.cassandra(address[0])
        case "redis":
            return probes.redis(address[0])
        case "antifraud":
            return probes.grpc(address[0])
        case "envoy":
            return probes.http(address[1], "/ready")
        case "traces":
            return probes.http(address[1], "/health")
        case kind:
            return _ask_http(kind, address[0])


def _ask_http(kind: str, address: Endpoint) -> str | None:
    path = PATHS.get(kind, "/health/ready")
    if kind == "registry" and secure.is_on():
        return probes.secured_http(address, path)
    tls = kind in ("bff", "main") and setting("BFF_URL").startswith("https:")
    try:
        return probes.http(address, path, tls=tls)
    except ConnectionResetError:
        if tls or kind not in ("bff", "main", "transactions"):
            raise
        return probes.http(address, path, tls=True)  # it has TLS_CERTIFICATE, and hangs up on plain HTTP
