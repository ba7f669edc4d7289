"""The project with docker-compose.secure.yml, begun as docs/containers.md says it; and the files that this needs."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator

import pytest

from infra.containers import secure
from tests.containers.conftest import whole_again  # noqa: F401
from tests.containers.engine import LOCAL, compose, project, up

FILES = (*LOCAL, "docker-compose.secure.yml", "tests/secured_containers/docker-compose.yml")
CQLSH = "docker exec -i scylla-1 cqlsh --cqlshrc /run/secrets/cqlshrc -u cassandra -p cassandra"


@pytest.fixture(scope="package", autouse=True)
def _containers() -> Iterator[None]:
    mine = not secure.FOLDER.exists()
    if mine:
        secure.make()
    try:
        with project(*FILES):
            compose("up", "--detach", "--no-build", "--wait", "scylla-3")
            roles = (secure.FOLDER / "roles.cql").read_text()
            subprocess.run(CQLSH.split(), input=roles, text=True, timeout=60, check=True)
            up()
            yield
    finally:
        if mine:
            shutil.rmtree(secure.FOLDER)
