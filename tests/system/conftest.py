"""Every test here needs the real stack."""

from collections.abc import Iterator

import pytest

from infra.native import parts
from infra.native import stack as real
from tests.support.dead import whole


@pytest.fixture(scope="session", autouse=True)
def _the_stack(stack: None) -> None:
    """Started before the first of them."""


@pytest.fixture
def whole_again() -> Iterator[None]:
    """Whatever the test did, the next one finds every part running."""
    if real.current_form() != "two":
        pytest.fail("this test needs the form of two workers: make down, make up")
    yield
    for name, part in parts.states().items():
        if part.state == "paused":
            real.resume(name)
    if real.current_scale() > 1:
        real.scale(1)
    whole()
