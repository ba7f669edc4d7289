"""When all brokers that a client knows are dead, it asks those it was given at the start, as Java's does (KIP-899).

aiokafka 0.14 asks those alone that the last answer named. While brokers are restarted that may be a single one; if that
is the next to die, the client finds none of the others until that one is back.
"""

from __future__ import annotations

import contextlib
from typing import Any

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError

_update = AIOKafkaClient._metadata_update  # noqa: SLF001


async def _update_or_bootstrap(client: AIOKafkaClient, cluster: Any, topics: Any) -> bool:
    if await _update(client, cluster, topics):
        return True
    with contextlib.suppress(KafkaError):
        await client.bootstrap()
        return bool(await _update(client, cluster, topics))
    return False


def install() -> None:
    """For every client of this process: producers, consumers and admin clients make theirs by themselves."""
    AIOKafkaClient._metadata_update = _update_or_bootstrap  # noqa: SLF001
