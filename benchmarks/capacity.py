"""What each part costs, a model of it, and whether that predicts six loads it has not seen: benchmarks/capacity.md.

    python -m benchmarks.capacity [--quick]    # half an hour on a quiet machine; a quick one is for a look

The stack is started with nothing stored, and what a user had stored is put back at the end.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

from benchmarks import backlog, capacity_page, feeding, loads, progress, report, stage
from benchmarks.capacity_model import ENOUGH, Prediction, fitted
from benchmarks.loads import Observed

#: Of the capacity as it is guessed from both halves alone; half as much again while that is not too much.
TOO_MUCH, MORE, TRIES = 1.3, 1.5, 4
# All others are shares of what was decided while it was too much. The model is fitted on
FITTED = (0.05, 0.2, 0.4, 0.6, 0.85, 1.5, 2.5)
# and predicts
PREDICTED = (0.1, 0.3, 0.5, 0.7, 0.8, 1.9)
PASSES = 5  # a machine that stands still for half a minute does so in two of them at most
MINUTES = 32.0
SEED = 21


class Plan(NamedTuple):
    """Transactions of the backlog; POSTs a second alone; seconds of a load, before it counts, and of nothing."""

    backlog: int
    alone: tuple[float, ...]
    seconds: float
    settle: float
    idle: float


FULL = Plan(60_000, (200.0, 1000.0, 2500.0), 11.0, 4.0, 10.0)
QUICK = Plan(10_000, (100.0, 300.0), 6.0, 2.0, 4.0)


async def measure(plan: Plan) -> dict[str, Any]:
    """All of it, on a stack that is up, has nothing stored and is warm."""
    seen = await _alone(plan)
    await feeding.settled()
    nothing = await loads.observed("nothing", 0.1, plan.idle, SEED)
    await _quiet()
    worked_off = await loads.worked_off(plan.backlog, SEED)
    guess = first_guess(nothing, seen[-1], worked_off)
    print(f"about {guess:,.0f} a second are possible", flush=True)
    full = await _too_much(plan, TOO_MUCH * guess)
    # Again: POSTs make Java's compilers go on, which the backlogs of the warm-up do not.
    full = await _too_much(plan, full.offered)
    # One after another by size, whatever they are for: a machine that becomes slower does so for both.
    by_share = await _medians(plan, full.decided, sorted(FITTED + PREDICTED))
    seen += [nothing, worked_off, *(by_share[share] for share in FITTED)]
    found = [by_share[share] for share in PREDICTED]
    model = fitted(seen)
    return {
        "settings": plan._asdict()
        | {
            "fitted at": FITTED,
            "predicted at": PREDICTED,
            "each": f"{PASSES} times, up and down in turn: the median",
        },
        "observed": [asdict(one) for one in seen],
        "model": asdict(model),
        "loads": [compared(model.predicted(one.offered, _until(plan)), one) for one in found],
        "predicted loads, observed": [asdict(one) for one in found],
    }


async def _too_much(plan: Plan, rate: float) -> Observed:
    """A load that the stack does not keep up with."""
    for _ in range(TRIES):
        seen = await _load(plan, rate)
        if seen.decided < ENOUGH * seen.offered:
            return seen
        rate *= MORE
    raise SystemExit(f"{rate:,.0f} POSTs a second were not too much: what limits the stack is not known")


def first_guess(idle: Observed, posted: Observed, worked_off: Observed) -> float:
    """POSTs a second that fill the machine, if both halves cost together what they cost alone."""
    each = (posted.busy - idle.busy) / posted.accepted + (worked_off.busy - idle.busy) / worked_off.decided
    return (max(posted.busy, worked_off.busy) - idle.busy) / each


def compared(prediction: Prediction, seen: Observed) -> dict[str, Any]:
    """Predicted, measured and the error, as a share of what was measured."""
    measured = Prediction(seen.decided, seen.busy, seen.behind)
    pairs = {name: (getattr(prediction, name), getattr(measured, name)) for name in asdict(measured)}
    return {
        "offered": seen.offered,
        "predicted": asdict(prediction),
        "measured": asdict(measured),
        "error": {name: one / other - 1 if other else 0.0 for name, (one, other) in pairs.items()},
    }


def _until(plan: Plan) -> float:
    """Twice the mean time of the looks: what grows evenly has then grown for so long, on average half of it."""
    return 2 * plan.settle + plan.seconds


async def _alone(plan: Plan) -> list[Observed]:
    """POSTs with a worker that stands still; afterwards it decides them.

    It is not stopped: one that has just started reads the log beside its work, for minutes.
    """
    await asyncio.to_thread(stage.pause, stage.WORKER)
    try:
        return [
            _said(await loads.observed("POSTs alone", rate, plan.seconds / 2, SEED, plan.settle))
            for rate in plan.alone
        ]
    finally:
        await asyncio.to_thread(stage.resume, stage.WORKER)
        await _quiet()


async def _load(plan: Plan, rate: float) -> Observed:
    seen = _said(await loads.observed("load", rate, plan.seconds, SEED, plan.settle))
    await _quiet()
    return seen


async def _medians(plan: Plan, whole: float, shares: Sequence[float]) -> dict[float, Observed]:
    """Each load's median, on the way up and down in turn: neither a hiccup nor what a heavier one left counts."""
    seen: dict[float, list[Observed]] = {share: [] for share in shares}
    for number in range(PASSES):
        for share in reversed(shares) if number % 2 else shares:
            seen[share].append(await _load(plan, share * whole))
    return {share: loads.middle(some) for share, some in seen.items()}


async def _quiet() -> None:
    """Until the worker has nothing left to do."""
    async with progress.group() as group:
        await backlog.drained(group)
    await asyncio.sleep(1)


def _said(seen: Observed) -> Observed:
    print(
        f"{seen.name}: {seen.offered:,.0f} due, {seen.accepted:,.0f} taken, {seen.decided:,.0f} decided a second, "
        f"{seen.rounds:.1f} batches, {seen.behind:,.0f} behind, {seen.busy:.2f} cores"
        + (f", {seen.refused} POSTs refused" if seen.refused else ""),
        flush=True,
    )
    return seen


def main() -> None:
    """What the command line says."""
    report.ends_in_order()
    parser = argparse.ArgumentParser(prog="python -m benchmarks.capacity", description="measures capacity")
    parser.add_argument("--quick", action="store_true", help="short loads, into .stack/benchmarks/")
    quick: bool = parser.parse_args().quick
    if not shutil.which("ss"):
        sys.exit("ss is missing, which counts the bytes; it is in the system's package iproute2")
    context = report.context(f"python -m benchmarks.capacity{' --quick' if quick else ''}")
    with stage.ready_and_empty():
        if not quick:
            asyncio.run(feeding.warm_up())
        found = asyncio.run(_bounded(QUICK if quick else FULL))
    capacity_page.keep(found | context, report.folder(quick), committed=not quick)
    missed = [one for one in found["loads"] if max(map(abs, one["error"].values())) > capacity_page.WITHIN]
    within, all_ = len(found["loads"]) - len(missed), len(found["loads"])
    print(f"{within} of {all_} loads predicted within {capacity_page.WITHIN:.0%}")


async def _bounded(plan: Plan) -> dict[str, Any]:
    async with asyncio.timeout(60 * MINUTES):
        return await measure(plan)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("interrupted: the stack is down, nothing was written")
