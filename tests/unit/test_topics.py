"""Topics are made at start, and a broker that is not ready for it is waited for."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from app import topics
from app.errors import LogUnavailable
from app.settings import Settings


class Young:
    """A broker that has just begun to answer: aiokafka fails like this while no controller is known."""

    async def create_topics(self, *_: Any) -> None:
        raise AttributeError("'NoneType' object has no attribute 'nodeId'")


def test_a_broker_without_a_controller_yet_is_one_to_wait_for() -> None:
    admin: Any = Young()
    with pytest.raises(LogUnavailable, match="controller"):
        asyncio.run(topics.ensure(admin, Settings()))
