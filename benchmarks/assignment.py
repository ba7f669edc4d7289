"""How soon a worker decides again after an assignment, by how many customers it knows.

Its snapshots are as old as they may be: nearly so many transactions as make it write new ones were decided since.
"""

import asyncio
import shutil
import uuid
from dataclasses import dataclass

from benchmarks import decided, progress, report, stage
from benchmarks.backlog import SideRun, left, through
from benchmarks.result import Figure, Result, Table, number
from benchmarks.sides import OURS
from infra.native.paths import DATA

#: Customers, and the seconds from an assignment within which a worker is meant to decide again.
WITHIN = {100_000: 5.0, 1_000_000: 30.0}
QUICK = {10_000: 5.0}
WAITING = 100  # transactions that are there when it starts
#: Of as many transactions as it has customers, the share that is decided before it writes snapshots anew is a half.
SINCE = 0.49
AT_ONCE = 100_000  # transactions that are made before they are fed


@dataclass(frozen=True)
class Took:
    """Runs of a worker with so many customers: without any snapshot, and with old ones."""

    customers: int
    from_the_log: SideRun
    from_snapshots: SideRun


async def measure(quick: bool) -> Result:
    """The whole benchmark, on a stack that is up and has nothing stored."""
    within = QUICK if quick else WITHIN
    for part in decided.READERS:
        await asyncio.to_thread(stage.stop, part)
    found, before = list[Took](), 0
    try:
        for customers in within:
            found.append(await _with(customers, before))
            before = customers
    finally:
        for part in decided.READERS:
            await asyncio.to_thread(stage.start, part)
    return _result(within, found)


async def _with(customers: int, before: int) -> Took:
    """`before`: customers who have a transaction in the log already."""
    await _decided(customers - before, before, customers)
    shutil.rmtree(DATA / "history", ignore_errors=True)
    from_the_log = await _ran(customers, "from the log")
    await _decided(int(SINCE * customers), 0, customers)
    return Took(customers, from_the_log, await _ran(customers, "from snapshots"))


async def _decided(count: int, first: int, customers: int) -> None:
    """So many more, of one customer after the other, from the one with that number on."""
    for start in range(first, first + count, AT_ONCE):
        some = min(AT_ONCE, first + count - start)
        await decided.write(some, lambda at, start=start: _customer((start + at) % customers))  # type: ignore[misc]


def _customer(number: int) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"customer {number}"))


async def _ran(customers: int, what: str) -> SideRun:
    run = await through(OURS, WAITING)
    async with progress.group() as group:
        await left(group)
    print(f"{customers:,} customers, {what}: decides again after {run.until_first_commit:.1f} s", flush=True)
    return run


def _result(within: dict[int, float], found: list[Took]) -> Result:
    figures = [
        Figure(
            f"decides again, {one.customers:,} customers, from snapshots",
            [one.from_snapshots.until_first_commit],
            "s",
            at_most=within[one.customers],
            peer=f"from the log: {number(one.from_the_log.until_first_commit)}",
        )
        for one in found
    ]
    rows = [
        [f"{one.customers:,}", *(number(run.until_first_commit) for run in (one.from_the_log, one.from_snapshots)),
         *(number(run.spent[stage.WORKER]) for run in (one.from_the_log, one.from_snapshots))]
        for one in found
    ]  # fmt: skip
    return Result(
        "How soon a worker decides again",
        {"waiting": WAITING, "decided since the snapshots, of the customers": SINCE},
        figures,
        [
            Table(
                "From the assignment to the first commit, s, and the worker's CPU, s",
                ["customers", "from the log", "from snapshots", "CPU", "CPU"],
                rows,
            )
        ],
        [fault for one in found for run in (one.from_the_log, one.from_snapshots) for fault in run.faults],
        {
            f"{one.customers:,} customers, s": [
                round(run.until_first_commit, 2) for run in (one.from_the_log, one.from_snapshots)
            ]
            for one in found
        },
    )


if __name__ == "__main__":
    report.command("assignment", measure, stage.ready_and_empty, warm=False)
