"""What the tests in containers need, said in a line each before anything starts: `python -m tests.containers.needs`."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

DOCKERFILE = Path(__file__).parents[2] / "Dockerfile"
ANSWERS_WITHIN = 5.0  # seconds; an engine on this machine needs a tenth of one


def base() -> str:
    """The base of all images: the one that BASE names, else the Dockerfile's."""
    default = re.search(r"^ARG BASE=(\S+)$", DOCKERFILE.read_text(), re.MULTILINE)
    assert default
    return os.environ.get("BASE") or default[1]


def missing() -> list[str]:
    """A line for each thing that is not there."""
    if not shutil.which("docker"):
        return ["docker is missing: install Docker Engine and Compose v2"]
    if not _works("info"):
        return [
            f"no Docker engine answers within {ANSWERS_WITHIN:.0f} s: start it, or name it with DOCKER_HOST"
        ]
    found = []
    if not _works("compose", "version"):
        found.append("Compose v2 is missing: `docker compose version` must work")
    if not _works("image", "inspect", base()) and not _works("pull", "--quiet", base(), within=300):
        found.append(
            f"the base image {base()} is not there, and cannot be pulled: make one with"
            " `sh infra/containers/base.sh NAME`, then BASE=NAME (docs/containers.md)"
        )
    return found


def _works(*arguments: str, within: float = ANSWERS_WITHIN) -> bool:
    try:
        done = subprocess.run(["docker", *arguments], capture_output=True, timeout=within, check=False)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


if __name__ == "__main__":
    sys.exit("\n".join(missing()) or 0)
