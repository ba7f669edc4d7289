"""Every test here needs the real stack."""

import pytest


@pytest.fixture(scope="session", autouse=True)
def _the_stack(stack: None) -> None:
    """Started before the first of them."""
