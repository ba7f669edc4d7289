"""HTTP: POST and GET a second, beside the bare handler of the same framework and beside FastAPI + aiokafka."""

import asyncio
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence

from benchmarks import backlog, progress, report, stage, traffic, web_sides
from benchmarks.profiler import watching
from benchmarks.progress import Group
from benchmarks.result import Result
from benchmarks.stages import Stacks
from benchmarks.web_load import CONNECTIONS, MOST, Kind, Plan, Shot, Shots, shoot
from benchmarks.web_report import result
from benchmarks.web_sides import BARE, BFF, SIDES
from generator.client import PATH
from generator.traffic import transactions
from infra.native import processes

SEED = 7
FILLED = 1_000  # transactions that GET finds at least


async def measure(quick: bool) -> Result:
    """The whole benchmark, on a stack that is up."""
    plan = Plan(1, 0.2, 1, 0.7, 2) if quick else Plan(3, 1, 5, 3.5, 15)
    async with progress.group() as group:
        posting, *getting = kinds(await _filled(group))
        async with web_sides.all_sides([kind.path for kind in getting]) as urls:
            faults = await web_sides.differences(urls, getting[0].path)
            shots = await _rounds(urls, getting, plan, plan.get)
            posted, stacks, more = await _posted(group, urls, posting, plan)
            shots |= posted
    return result(shots, plan, [*faults, *more], stacks)


def kinds(transaction_id: str) -> list[Kind]:
    """POST, GET of one, GET of the newest 100."""
    (body,) = transactions(1, SEED)
    return [
        Kind("POST", PATH, 201, json.dumps(body).encode()),
        Kind("GET by id", f"{PATH}/{transaction_id}", 200),
        Kind("GET newest 100", PATH, 200),
    ]


async def _filled(group: Group) -> str:
    """Some transactions through the pipeline; the id of one."""
    records = list(traffic.backlog(FILLED, FILLED, SEED))
    await traffic.feed(records)
    await backlog.drained(group)
    await asyncio.sleep(1)  # the last statuses on their way into Redis
    return records[-1].transaction_id


async def _dead_letters(group: Group) -> int:
    return sum((await group.ends(progress.DEAD_LETTERS)).values())


async def _posted(
    group: Group, urls: Mapping[str, str], kind: Kind, plan: Plan
) -> tuple[dict[tuple[str, str, int], list[Shot]], Stacks, list[str]]:
    """POST while no worker takes the machine from it; then let it decide all that was POSTed."""
    before, dead_letters = await group.end(), await _dead_letters(group)
    await asyncio.to_thread(stage.stop, stage.WORKER)
    try:
        shots = await _rounds(urls, [kind], plan, plan.post)
        shot, stacks = await _profiled(urls[BFF], kind, plan)
    finally:
        await asyncio.to_thread(stage.start, stage.WORKER)
    written, dead_lettered = await group.end() - before, await _dead_letters(group) - dead_letters
    print(f"{written:,} transactions were POSTed, the worker decides them ...", flush=True)
    await backlog.drained(group)
    return shots, stacks, lost({**shots, ("under the profiler", BFF, MOST): [shot]}, written, dead_lettered)


async def _profiled(url: str, kind: Kind, plan: Plan) -> tuple[Shot, Stacks]:
    """A run of its own: the profiler stops the process for each look."""
    print("under the profiler ...", flush=True)
    bff = processes.states()["bff"].pid
    if not bff:
        raise SystemExit("the bff does not run")
    async with watching(bff) as stacks:
        return await shoot(url, kind, MOST, plan.warm, plan.profiled), stacks


def lost(shots: Shots, written: int, dead_lettered: int) -> list[str]:
    """What a count finds wrong: each 201 has its record, nothing else has; each client waits for its last answer."""
    acknowledged = sum(shot.acknowledged for (_, side, _), of in shots.items() if side != BARE for shot in of)
    found = [f"{acknowledged} times 201, {written} records"] if acknowledged != written else []
    return found + ([f"{dead_lettered} records are dead letters"] if dead_lettered else [])


async def _rounds(
    urls: Mapping[str, str], asked: Sequence[Kind], plan: Plan, seconds: float
) -> dict[tuple[str, str, int], list[Shot]]:
    shots = defaultdict[tuple[str, str, int], list[Shot]](list)
    for number in range(plan.rounds):
        order = SIDES[number % 3 :] + SIDES[: number % 3]
        print(
            f"round {number + 1} of {plan.rounds}: {', '.join(kind.name for kind in asked)} ...", flush=True
        )
        for kind in asked:
            for connections in CONNECTIONS:
                for side in order:
                    shot = await shoot(urls[side], kind, connections, plan.warm, seconds)
                    shots[kind.name, side, connections].append(shot)
    return dict(shots)


if __name__ == "__main__":
    report.command("http_load", measure)
