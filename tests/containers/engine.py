"""The project in containers, under a name of its own, so that no volume of a user's is touched."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path
from typing import Any

from tests.support import compose as files

ROOT = Path(__file__).parents[2]
PROJECT = (
    "--project-name",
    "faust-payments-test",
    "-f",
    "docker-compose.yml",
    "-f",
    "docker-compose.local.yml",
)
READY_WITHIN = 600  # seconds; three nodes of Cassandra start one after the other
#: The generator's transactions would mix with the tests' own, so it is stopped once it has been seen healthy.
SERVICES = [name for name, one in files.services().items() if name != "generator" and "profiles" not in one]


def docker(*arguments: str, within: float = 60) -> str:
    """What `docker …` printed; it must have worked."""
    done = subprocess.run(
        ["docker", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=within, check=False
    )
    assert done.returncode == 0, f"docker {' '.join(arguments)}\n{done.stdout[-5000:]}{done.stderr[-5000:]}"
    return done.stdout


def compose(*arguments: str, within: float = READY_WITHIN + 60) -> str:
    """The same for `docker compose …` with both files."""
    return docker("compose", *PROJECT, *arguments, within=within)


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
