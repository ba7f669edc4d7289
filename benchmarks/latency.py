"""Latency: from POST to the final status in GET, alone and at 10, 50 and 90 % of what the stack sustains."""

from collections.abc import Awaitable
from typing import NamedTuple

from benchmarks import arrivals, backlog, meanwhile, progress, report
from benchmarks.arrivals import Arrived
from benchmarks.latency_report import Round, result
from benchmarks.meanwhile import Meanwhile
from benchmarks.result import Result

LOADS = (0.1, 0.5, 0.9)  # of the capacity
WARM_UP = 30  # transactions, alone
SEED = 5


class Plan(NamedTuple):
    """How much: rounds, transactions alone, seconds of the capacity's start and count, seconds at each load."""

    rounds: int
    alone: int
    warm: float
    capacity: float
    load: float


async def measure(quick: bool) -> Result:
    """The whole benchmark, on a stack that is up."""
    plan = Plan(1, 60, 2, 5, 8) if quick else Plan(3, 100, 3, 12, 25)
    await arrivals.alone(WARM_UP, SEED)
    return result([await _round(number, plan) for number in range(plan.rounds)], plan, LOADS)


async def _round(number: int, plan: Plan) -> Round:
    print(f"round {number + 1} of {plan.rounds}: {plan.alone} alone ...", flush=True)
    alone, of_alone = await _watched(arrivals.alone(plan.alone, SEED + number))
    capacity = await arrivals.capacity(plan.warm, plan.capacity, SEED)
    await _quiet()
    print(f"capacity {capacity:,.0f} a second", flush=True)
    loads: dict[float, Arrived] = {}
    did = {"alone": of_alone}
    for load in LOADS:
        print(f"{load:.0%} of it for {plan.load:g} s ...", flush=True)
        loads[load], did[f"{load:.0%}"] = await _watched(arrivals.constant(load * capacity, plan.load, SEED))
        await _quiet()
    return Round(alone, capacity, loads, did)


async def _watched(run: Awaitable[Arrived]) -> tuple[Arrived, Meanwhile]:
    """What arrived, and what the stack did meanwhile."""
    before = await meanwhile.look()
    arrived = await run
    return arrived, meanwhile.between(before, await meanwhile.look())


async def _quiet() -> None:
    """Until the worker has nothing left to do: also of what nobody followed."""
    async with progress.group() as group:
        await backlog.drained(group)


if __name__ == "__main__":
    report.command("latency", measure)
