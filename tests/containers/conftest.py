"""Images are built, the project is started once, and thrown away with its data after the last test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from infra.native import ports
from tests.containers import needs
from tests.containers.engine import SERVICES, compose, start, up
from tests.support import compose as files


@pytest.fixture(scope="session", autouse=True)
def _containers() -> Iterator[None]:
    if lines := needs.missing() or _taken():
        pytest.exit("\n".join(lines), returncode=1)
    try:
        compose("build", within=3600)
        up()
        yield
    finally:
        compose("down", "--volumes", "--remove-orphans")


def _taken() -> list[str]:
    found = []
    for name, service in files.services().items():
        for host, port, _ in (published.split(":") for published in service.get("ports", [])):
            if "profiles" not in service and ports.in_use(ports.Endpoint(host, int(port))):
                found.append(
                    f"{host}:{port}, on which {name} is published, is in use: end what listens there"
                )
    return found


@pytest.fixture
def whole_again() -> Iterator[None]:
    """Whatever the test killed, the next one finds every container running."""
    yield
    start(*SERVICES)
