"""What tracing costs: the stack with traces off, with 1 % sampled and with 5 %, turn by turn."""

import asyncio
import json
from dataclasses import dataclass, field
from statistics import median

from benchmarks import backlog, comparison, cpu, progress, report, stage, traffic
from benchmarks.backlog import DEFAULT_BATCH
from benchmarks.comparison import pairs
from benchmarks.feeding import ARRIVED_AT
from benchmarks.profiler import watching
from benchmarks.result import Figure, Result, Table, medians, number
from benchmarks.sides import Ours
from benchmarks.stages import share_of_traces
from benchmarks.throughput import went
from benchmarks.web_load import MOST, Kind, Shot, shoot
from generator.client import PATH
from generator.traffic import transactions
from infra.native import beside, processes, stack
from reconciliation import readers

COLLECTOR = "traces"
#: What spans its work, beside the worker; each is started anew with what is to be sampled.
TRACED = ("antifraud-1", "antifraud-2", "bff")
SPANNED = (*TRACED, stage.WORKER)
AT_MOST = 5.0  # % of what a process does, at 1 %
SEED = 11


def _side(share: float) -> Ours:
    variables = {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": str(share)}
    return Ours(
        f"{share:.0%} sampled" if share else "off",
        stage.WORKER,
        environment=variables if share else {"OTEL_TRACES_EXPORTER": "none"},
        sampled=share,
    )


SIDES = [_side(share) for share in (0.0, 0.01, 0.05)]


@dataclass
class Measured(comparison.Measured):
    """The stack, traced so: through backlogs, and POSTed to."""

    side: Ours
    posted: list[Shot] = field(default_factory=list)
    each_post: list[float] = field(default_factory=list)  # CPU microseconds of the bff
    of_worker: float = 0.0  # what the traces have of its samples, in %
    of_bff: float = 0.0

    def posts(self) -> list[float]:
        """POSTs a second, by round."""
        return [shot.rate for shot in self.posted]

    def spanned(self) -> list[float]:
        """CPU microseconds a transaction of all that can make spans, by round."""
        return [run.each(*SPANNED) for run in self.runs]

    def collector(self) -> list[float]:
        """The same of what takes the spans."""
        return [run.each(COLLECTOR) for run in self.runs]


async def measure(quick: bool) -> Result:
    """The whole benchmark, on a stack that is up and has nothing stored."""
    rounds, count, seconds = (1, 10_000, 2.0) if quick else (3, 30_000, 6.0)
    beside.check([COLLECTOR])
    await asyncio.to_thread(stack.up, only=TRACED, extra=[COLLECTOR])
    await asyncio.to_thread(stage.stop, stage.WORKER)
    sides = [Measured(side, count) for side in SIDES]
    try:
        for side in sides:
            await _profiled(side, count, seconds)
        for turn in range(rounds):
            for side in [*sides[turn % 3 :], *sides[: turn % 3]][:: -1 if turn % 2 else 1]:
                await asyncio.to_thread(_restart, side.side.environment)
                side.runs.append(await went(side, side.batch, f"round {turn + 1} of {rounds}"))
                await _post(side, seconds)
    finally:
        await asyncio.to_thread(_restart, {})
        await asyncio.to_thread(stage.start, stage.WORKER)
    off, one, five = sides
    return _result(off, one, five, {"rounds": rounds, "backlog": count, "seconds of POST": seconds})


def _restart(environment: dict[str, str]) -> None:
    for part in TRACED:
        stage.stop(part)
        stage.start(part, environment)


async def _post(one: Measured, seconds: float) -> None:
    """While no worker takes the machine from the bff; what is POSTed stays undecided, the next backlog is behind it."""
    (body,) = transactions(1, SEED)
    kind = Kind("POST", PATH, 201, json.dumps(body).encode())
    before = cpu.used()
    shot = await shoot(readers.bff_url(), kind, MOST, 1, seconds)
    one.posted.append(shot)
    one.each_post.append(1e6 * cpu.between(before, cpu.used())["bff"] / shot.acknowledged)


async def _profiled(one: Measured, count: int, seconds: float) -> None:
    """Runs of their own: the profiler stops the process for each look."""
    print(f"{one.side.title}, under the profiler ...", flush=True)
    await asyncio.to_thread(_restart, one.side.environment)
    await asyncio.to_thread(stage.start, stage.WORKER, one.side.environment)
    records = list(traffic.sampled(traffic.backlog(count, ARRIVED_AT, SEED), one.side.sampled))
    async with progress.group() as group:
        await backlog.drained(group)  # of what was POSTed before
        async with watching(_pid(stage.WORKER)) as stacks:
            await traffic.feed(records)
            await backlog.drained(group)
    one.of_worker = 100 * share_of_traces(stacks)
    await asyncio.to_thread(stage.stop, stage.WORKER)
    async with watching(_pid("bff")) as stacks:
        await _post(Measured(one.side, count), seconds)
    one.of_bff = 100 * share_of_traces(stacks)


def _pid(part: str) -> int:
    if not (pid := processes.states()[part].pid):
        raise SystemExit(f"{part} does not run")
    return pid


def _result(off: Measured, one: Measured, five: Measured, settings: dict[str, float]) -> Result:
    return Result(
        "What tracing costs",
        {**settings, "connections of POST": MOST, "arrived at": ARRIVED_AT, "batch": DEFAULT_BATCH},
        [
            Figure("of what the worker does, 1 % sampled", [one.of_worker], "%", at_most=AT_MOST),
            Figure("of what the worker does, 5 % sampled", [five.of_worker], "%"),
            Figure(
                "of what the bff does for POSTs, 1 % sampled", [one.of_bff], "%",
                at_most=AT_MOST, peer=f"off: {number(off.of_bff)}",
            ),
            Figure("of what the bff does for POSTs, 5 % sampled", [five.of_bff], "%"),
            Figure("a backlog, 1 % sampled, to off", pairs(one.rates, off.rates), "times", peer=_said(off.rates)),
            Figure("a backlog, 5 % sampled, to off", pairs(five.rates, off.rates), "times"),
            Figure("POST, 1 % sampled, to off", pairs(one.posts(), off.posts()), "times", peer=_said(off.posts())),
            Figure("POST, 5 % sampled, to off", pairs(five.posts(), off.posts()), "times"),
            Figure("CPU of what makes spans, 1 %, to off", pairs(one.spanned(), off.spanned()), "times"),
            Figure("CPU of what makes spans, 5 %, to off", pairs(five.spanned(), off.spanned()), "times"),
            Figure("CPU of the bff for a POST, 1 %, to off", pairs(one.each_post, off.each_post), "times"),
            Figure("CPU of the bff for a POST, 5 %, to off", pairs(five.each_post, off.each_post), "times"),
        ],
        [_overview(off, one, five)],
        [f"{side.side.title}: {fault}" for side in (off, one, five) for fault in _faults(side)],
        {side.side.title: _raw(side) for side in (off, one, five)},
    )  # fmt: skip


def _said(rates: list[float]) -> str:
    return f"off: {number(median(rates))} a second"


def _faults(one: Measured) -> list[str]:
    """What is wrong in a backlog, and what was not taken of the POSTs."""
    refused = sum(shot.wrong for shot in one.posted)
    return [fault for run in one.runs for fault in run.faults] + (
        [f"{refused} POSTs were not answered with 201"] if refused else []
    )


def _overview(*sides: Measured) -> Table:
    return medians(
        {
            one.side.title: {
                "a second": one.rates,
                "worker, µs": one.own(),
                "worker, bff, replicas, µs": one.spanned(),
                "collector, µs": one.collector(),
                "POSTs a second": one.posts(),
                "bff, µs a POST": one.each_post,
            }
            for one in sides
        }
    )


def _raw(one: Measured) -> dict[str, list[float]]:
    return {
        "rates": one.rates,
        "worker, µs": one.own(),
        "what makes spans, µs": one.spanned(),
        "whole stack, µs": [run.stack for run in one.runs],
        "POSTs a second": one.posts(),
        "bff a POST, µs": one.each_post,
    }


if __name__ == "__main__":
    report.command("tracing", measure, stage.ready_and_empty, warm=False)
