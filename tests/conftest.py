"""Order of the tests, and the real stack: started once, or used as it is when it is already up."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from reconciliation import demo
from tests.no_skips import pytest_make_collect_report, pytest_runtest_makereport

__all__ = ["pytest_make_collect_report", "pytest_runtest_makereport"]

#: Quick ones first, so that a bug in a function does not show only as a stack that does not start.
ROOMS = ("unit", "integration", "system", "telemetry", "own_stack")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: _room(item.path))


def _room(path: Path) -> int:
    return next((number for number, room in enumerate(ROOMS) if room in path.parts), len(ROOMS))


@pytest.fixture(scope="session", autouse=True)
def _servers_that_live_for_a_minute() -> Iterator[None]:
    """Java's second compiler pays off only after minutes, and makes starts half as long again."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JDK_JAVA_OPTIONS", "-XX:TieredStopAtLevel=1")
        yield


@pytest.fixture(scope="session")
def stack(_servers_that_live_for_a_minute: None) -> Iterator[None]:
    """Every process ready, the generator stopped; what was up stays up, what was started here is stopped."""
    with ExitStack() as ends:
        try:
            started = ends.enter_context(demo.running(""))
            ends.enter_context(demo.no_other_traffic(stays_up=started is None))
        except SystemExit as why_not:  # names the part, with the last lines of its log
            pytest.exit(f"the stack is not ready for tests:\n{why_not}", returncode=1)
        yield
