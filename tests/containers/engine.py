"""The project in containers, under a name of its own, so that no volume of a user's is touched."""

from __future__ import annotations

import json
import subprocess
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


def up(*services: str) -> None:
    """Start what does not run, and wait until all of these (default: all) are healthy."""
    compose("up", "--detach", "--no-build", "--wait", "--wait-timeout", str(READY_WITHIN), *services)


def kill(*names: str) -> None:
    """As in the exercises; nothing starts it again."""
    docker("kill", *names)


def inspect(name: str) -> dict[str, Any]:
    """What the engine knows of a container."""
    return dict(json.loads(docker("inspect", name))[0])


def names() -> list[str]:
    """The project's containers, those that ended as well."""
    return compose("ps", "--all", "--format", "{{.Name}}").split()
