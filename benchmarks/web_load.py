"""The load of the HTTP benchmark: clients that each ask again when they have their answer."""

import asyncio
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from benchmarks.lean_http import client
from reconciliation.summary import percentile

CONNECTIONS = (1, 16, 64)
MOST = max(CONNECTIONS)
BEYOND = 30.0  # seconds a run may take longer than it was told


class Kind(NamedTuple):
    """What is asked: a POST of `body`, without one a GET; the answer must have this status."""

    name: str
    path: str
    status: int
    body: bytes | None = None


class Shot(NamedTuple):
    """What came of a run. Milliseconds; `acknowledged`: answers of the whole run, those not counted among them."""

    rate: float
    p50: float
    p99: float
    most: float
    acknowledged: int
    wrong: int


#: By kind, side and connections: one a round.
Shots = Mapping[tuple[str, str, int], Sequence[Shot]]


class Plan(NamedTuple):
    """How long: rounds, seconds that are not counted, seconds of a run of POST, of GET and under the profiler."""

    rounds: int
    warm: float
    post: float
    get: float
    profiled: float


async def shoot(url: str, kind: Kind, connections: int, warm: float, seconds: float) -> Shot:
    """So many clients for `seconds` after the first `warm`, which are not counted."""
    took, statuses = list[float](), Counter[int]()
    begins = time.perf_counter() + warm
    async with client(url, connections) as calls, asyncio.timeout(warm + seconds + BEYOND):

        async def ask() -> None:
            while (asked := time.perf_counter()) < begins + seconds:
                answer = await (calls.post(kind.path, kind.body) if kind.body else calls.get(kind.path))
                statuses[answer.status] += 1
                if (answered := time.perf_counter()) >= begins:
                    took.append(answered - asked)

        await asyncio.gather(*(ask() for _ in range(connections)))
    lasted = time.perf_counter() - begins
    p50, p99, most = (1e3 * percentile(took, percent) for percent in (50, 99, 100))
    good = statuses[kind.status]
    return Shot(len(took) / lasted, p50, p99, most, good, statuses.total() - good)
