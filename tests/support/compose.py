"""docker-compose.yml, read for the tests; and a service's addresses translated into this machine's."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import yaml

ROOT = Path(__file__).resolve().parents[2]

#: Where each service of the file is when it runs natively; the longer names first.
NATIVE = {
    "kafka:19092": "127.0.0.1:9092",
    "registry:8081": "127.0.0.1:8081",
    "scylla-1,scylla-2,scylla-3": "127.0.0.1,127.0.0.2,127.0.0.3",
    "redis:6379": "127.0.0.1:6379",
    "envoy:5005": "127.0.0.1:5005",
    "envoy:9901": "127.0.0.1:9901",
    "bff:5001": "127.0.0.1:5001",
    "/payments/histories": str(ROOT / ".stack" / "compose-histories"),
}

Service = dict[str, Any]


def read(name: str = "docker-compose.yml") -> dict[str, Any]:
    """The whole file."""
    return dict(yaml.safe_load((ROOT / name).read_text()))


def services() -> dict[str, Service]:
    """Its services by name."""
    return dict(read()["services"])


def merged(*names: str) -> dict[str, Any]:
    """Several files as Compose puts them over each other."""
    found: dict[str, Any] = {}
    for name in names:
        found = _over(found, read(name))
    return found


def _over(below: Any, above: Any) -> Any:
    if not isinstance(below, dict) or not isinstance(above, dict):
        return above
    found = below | {key: _over(below.get(key), value) for key, value in above.items()}
    appended = {
        key: below[key] + above[key]
        for key in ("volumes", "ports")
        if isinstance(below.get(key), list) and key in above
    }
    return found | appended


def environment(name: str) -> dict[str, str]:
    """A service's environment; every value is text, or Compose would format it its own way."""
    return dict(services()[name].get("environment", {}))


def native_environment(name: str) -> dict[str, str]:
    """The same, with loopback addresses instead of service names."""
    found = environment(name)
    for there, here in NATIVE.items():
        found = {key: value.replace(there, here) for key, value in found.items()}
    return found


def shell_text(text: str) -> str:
    """A command as the container gets it: the file doubles each dollar."""
    return text.replace("$$", "$")


def check(kind: str, content: Any) -> None:
    """Raise unless the content matches the published schema: compose-spec, github-workflows."""
    vendored = files("check_jsonschema") / "builtin_schemas" / "vendor" / f"{kind}.json"
    jsonschema.Draft202012Validator(json.loads(vendored.read_text())).validate(content)
