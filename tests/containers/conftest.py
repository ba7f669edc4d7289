"""Images are built, the project is started once, and thrown away with its data after the last test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.containers.engine import LOCAL, SERVICES, project, start, up


@pytest.fixture(scope="package", autouse=True)
def _containers() -> Iterator[None]:
    with project(*LOCAL):
        up()
        yield


@pytest.fixture
def whole_again() -> Iterator[None]:
    """Whatever the test killed, the next one finds every container running."""
    yield
    start(*SERVICES)
