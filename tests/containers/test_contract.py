"""The contract's tests, bad input and pages, asked from outside as on the native stack: the same functions."""

import pytest

from tests.system.test_bad_input import *  # noqa: F403
from tests.system.test_contract import *  # noqa: F403
from tests.system.test_paging import mine, test_pages_from_redis_all_and_filtered  # noqa: F401

pytestmark = pytest.mark.containers
