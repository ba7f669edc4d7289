"""Every test here needs the real stack."""

from collections.abc import Iterator

import pytest

from infra.native import processes
from infra.native import stack as real
from tests.support.dead import whole


@pytest.fixture(scope="session", autouse=True)
def _the_stack(stack: None) -> None:
    """Started before the first of them."""


@pytest.fixture
def whole_again() -> Iterator[None]:
    """Whatever the test did, the next one finds every process running."""
    if real.current_mode() != "split":
        pytest.fail("this test needs split mode: make down, make up")
    yield
    for name, part in processes.states().items():
        if part.state == "paused":
            real.resume(name)
    for name in ("transactions", "bff"):
        if real.current_scale(name) > 1:
            real.scale(name, 1)
    whole()
