"""What the customers' history costs: our worker with it and without, turn by turn."""

import asyncio
from dataclasses import dataclass, field
from statistics import median

from benchmarks import arrivals, backlog, comparison, feeding, progress, report, stage
from benchmarks.arrivals import Arrived
from benchmarks.backlog import DEFAULT_BATCH
from benchmarks.comparison import pairs
from benchmarks.feeding import ARRIVED_AT
from benchmarks.result import Figure, Result, Table, medians, number
from benchmarks.sides import OURS, WITHOUT_HISTORY, Side
from benchmarks.throughput import went

WARM_UP = 30  # transactions, alone
REPLICAS = ("antifraud-1", "antifraud-2")
AT_LEAST, CPU_AT_MOST = 0.85, 1.6  # of the worker without
ALONE_AT_MOST, REPLICA_AT_MOST = 5.0, 15.0  # milliseconds more than without; microseconds a transaction


@dataclass
class Measured(comparison.Measured):
    """A worker: through backlogs, and with one transaction at a time."""

    alone: list[Arrived] = field(default_factory=list)

    def replicas(self) -> list[float]:
        """The same of the antifraud replicas."""
        return [run.each(*REPLICAS) for run in self.runs]

    def final(self) -> list[float]:
        """Milliseconds from POST to the final status in GET, alone, median of each round."""
        return [1000 * median(arrived.seen.took) for arrived in self.alone]


async def measure(quick: bool) -> Result:
    """The whole benchmark, on a stack that is up and has nothing stored."""
    rounds, count, alone = (1, 10_000, 40) if quick else (7, 60_000, 150)
    known, unknown = Measured(OURS, count), Measured(WITHOUT_HISTORY, count)
    await asyncio.to_thread(stage.stop, stage.WORKER)
    try:
        for one in (unknown, known):
            await went(one, one.batch, "to warm up")
        for turn in range(rounds):
            for one in (known, unknown)[:: -1 if turn % 2 else 1]:
                # Alone first: so it has read what the other one has decided, and its backlog is all that it has to do.
                one.alone.append(await _alone(one.side, alone, turn))
                one.runs.append(await went(one, one.batch, f"round {turn + 1} of {rounds}"))
    finally:
        await asyncio.to_thread(stage.start, stage.WORKER)
    return _result(known, unknown, {"rounds": rounds, "backlog": count, "alone": alone})


async def _alone(side: Side, count: int, turn: int) -> Arrived:
    """The worker runs for it, and for nothing else."""
    side.start(DEFAULT_BATCH)
    try:
        async with progress.group(side.group) as group, asyncio.timeout(backlog.BOUND):
            await backlog.until_assigned(group, side)
        await feeding.settled()
        await arrivals.alone(WARM_UP, turn)
        return await arrivals.alone(count, 1_000 + turn)
    finally:
        await asyncio.to_thread(side.stop)


def _result(known: Measured, unknown: Measured, settings: dict[str, int]) -> Result:
    without = number(median(unknown.own()))
    return Result(
        "What the customers' history costs",
        {**settings, "arrived at": ARRIVED_AT, "batch": DEFAULT_BATCH},
        [
            Figure("throughput, to without", pairs(known.rates, unknown.rates), "times", at_least=AT_LEAST),
            Figure("CPU of the worker", known.own(), "µs", peer=f"without: {without}"),
            Figure("the same, to without", pairs(known.own(), unknown.own()), "times", at_most=CPU_AT_MOST),
            Figure("CPU of both replicas", known.replicas(), "µs", at_most=REPLICA_AT_MOST),
            Figure(
                "alone, POST to final: more than without",
                [one - other for one, other in zip(known.final(), unknown.final(), strict=True)],
                "ms",
                at_most=ALONE_AT_MOST,
            ),
        ],
        [_overview(known, unknown), comparison.cpu((known, unknown))],
        [f"{one.side.title}: {fault}" for one in (known, unknown) for run in one.runs for fault in run.faults],
        {one.side.title: _raw(one) for one in (known, unknown)},
    )  # fmt: skip


def _raw(one: Measured) -> dict[str, list[float]]:
    return {"rates": one.rates, "CPU, µs": one.own(), "alone, ms": one.final()}


def _overview(*both: Measured) -> Table:
    return medians(
        {
            one.side.title: {
                "a second": one.rates,
                "worker, µs": one.own(),
                "replicas, µs": one.replicas(),
                "whole stack, µs": [run.stack for run in one.runs],
                "alone, ms": one.final(),
            }
            for one in both
        }
    )


if __name__ == "__main__":
    report.command("history", measure, stage.ready_and_empty)
