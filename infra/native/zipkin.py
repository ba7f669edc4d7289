"""Zipkin: keeps traces in memory and shows them."""

from __future__ import annotations

import subprocess
import sys

from infra.native import artifacts
from infra.native.java import QUICK_COMPILER, java
from infra.native.ports import Endpoint

NAME = "zipkin"
#: The oldest go first; some 1,000 bytes each.
MAX_SPANS = 50_000


def command(endpoint: Endpoint) -> list[str]:
    """The command that starts Zipkin there."""
    settings = {
        "armeria.ports[0].ip": endpoint.host,  # it would listen on every address
        "armeria.ports[0].port": str(endpoint.port),
        "armeria.ports[0].protocols[0]": "http",
        "zipkin.storage.mem.max-spans": str(MAX_SPANS),
    }
    options = [f"-D{key}={value}" for key, value in settings.items()]
    return java("-Xmx192m", QUICK_COMPILER, *options, "-jar", artifacts.class_path(NAME))


def fetch() -> None:
    """Download the jar at the first time (135 MB): setup does not, most have no use for it."""
    if not all(artifact.path.exists() for artifact in artifacts.locked(NAME)):
        subprocess.run([sys.executable, "-m", "infra.native.fetch", NAME], check=True)
