"""The load generator: autocannon, a run at a time, in a process of its own."""

import asyncio
import json
import os
from dataclasses import dataclass
from typing import Any

from benchmarks import environment
from infra.native.paths import CODE

SHOOT = CODE / "benchmarks" / "load" / "shoot.js"
BEYOND = 30.0  # seconds a run may take longer than it was told


@dataclass(frozen=True)
class Kind:
    """What is asked: one method and path; `body` is sent with each, the answer must have this status."""

    name: str
    method: str
    path: str
    status: int
    body: str | None = None


@dataclass(frozen=True)
class Shot:
    """What came of a run. Milliseconds; `acknowledged`: answers of the whole run, those not counted among them."""

    rate: float
    p50: float
    p99: float
    most: float
    acknowledged: int
    wrong: int


async def shoot(url: str, kind: Kind, connections: int, warm: float, seconds: float) -> Shot:
    """So many clients, each asking again when it has its answer, for `seconds` after the first `warm`."""
    wanted: dict[str, Any] = {"url": url + kind.path, "method": kind.method, "connections": connections}
    if kind.body is not None:
        wanted |= {"body": kind.body, "headers": {"content-type": "application/json"}}
    published = await _run(json.dumps(wanted | {"warm": warm, "duration": warm + seconds}), warm + seconds)
    statuses: dict[str, int] = published["statuses"]
    good = statuses.pop(str(kind.status), 0)
    wrong = sum(statuses.values()) + published["errors"] + published["timeouts"]
    if not published["answers"]:
        raise SystemExit(f"{url} gave no answer to {kind.name}: {published}")
    return Shot(
        published["answers"] / published["seconds"],
        published["p50"],
        published["p99"],
        published["most"],
        good,
        wrong,
    )


async def _run(wanted: str, lasts: float) -> dict[str, Any]:
    process = await asyncio.create_subprocess_exec(
        str(environment.node()),
        str(SHOOT),
        wanted,
        env=os.environ | {"NODE_PATH": str(environment.LOAD / "node_modules")},
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(lasts + BEYOND):
            out, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise SystemExit(f"autocannon ended with {process.returncode} (see above)")
    published: dict[str, Any] = json.loads(out)
    return published
