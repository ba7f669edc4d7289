"""The project in containers, under a name of its own, so that no volume of a user's is touched."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from infra.native import ports
from tests.containers import needs
from tests.support import compose as files

ROOT = Path(__file__).parents[2]
PROJECT = "faust-payments-test"
#: Compose reads them from the environment, as docs/containers.md sets them.
FILES = "COMPOSE_FILE"
LOCAL = ("docker-compose.yml", "docker-compose.local.yml")
READY_WITHIN = 600  # seconds; three nodes of Cassandra start one after the other
#: The generator's transactions would mix with the tests' own, so it is stopped once it has been seen healthy.
SERVICES = [name for name, one in files.services().items() if name != "generator" and "profiles" not in one]


@contextmanager
def project(*names: str) -> Iterator[None]:
    """What follows is of these files. Images are built; at the end all is thrown away, with its data."""
    if lines := needs.missing() or _taken():
        pytest.exit("\n".join(lines), returncode=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(FILES, os.pathsep.join(names))
        try:
            compose("build", within=3600)
            yield
        finally:
            compose("down", "--volumes", "--remove-orphans")


def _taken() -> list[str]:
    """A line for each port that the project needs and somebody has."""
    found = []
    for name, service in files.services().items():
        for host, port, _ in (published.split(":") for published in service.get("ports", [])):
            if "profiles" not in service and ports.in_use(ports.Endpoint(host, int(port))):
                found.append(
                    f"{host}:{port}, on which {name} is published, is in use: end what listens there"
                )
    return found


def docker(*arguments: str, within: float = 60) -> str:
    """What `docker …` printed; it must have worked."""
    done = subprocess.run(
        ["docker", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=within, check=False
    )
    assert done.returncode == 0, f"docker {' '.join(arguments)}\n{done.stdout[-5000:]}{done.stderr[-5000:]}"
    return done.stdout


def compose(*arguments: str, within: float = READY_WITHIN + 60) -> str:
    """The same for `docker compose …`, with the project's files."""
    return docker("compose", "--project-name", PROJECT, *arguments, within=within)


def up() -> None:
    """Make and start all twelve, and wait until they are healthy; then the generator is stopped."""
    compose("up", "--detach", "--no-build", "--wait", "--wait-timeout", str(READY_WITHIN))
    compose("stop", "generator")


def start(*names: str) -> None:
    """As in the exercises; wait until all are healthy, also those that were unwell without these."""
    docker("start", *names)
    deadline = time.monotonic() + READY_WITHIN
    while unwell := {name: state for name, state in health().items() if state != "healthy"}:
        assert time.monotonic() < deadline, unwell
        time.sleep(1)


def health() -> dict[str, str]:
    """What each service's health check says."""
    line = "{{.Name}} {{.State.Health.Status}}"
    found = docker("inspect", "--format", line, *SERVICES).replace("/", "").splitlines()
    return dict(one.split() for one in found)


def kill(*names: str) -> None:
    """As in the exercises; nothing starts it again."""
    docker("kill", *names)


def inspect(name: str) -> dict[str, Any]:
    """What the engine knows of a container."""
    return dict(json.loads(docker("inspect", name))[0])


def names() -> list[str]:
    """The project's containers, those that ended as well."""
    return compose("ps", "--all", "--format", "{{.Name}}").split()
