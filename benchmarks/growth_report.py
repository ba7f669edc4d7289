"""What the growth benchmark found, in figures, tables and plots."""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from benchmarks import feeding, reads
from benchmarks.cpu import CASSANDRA
from benchmarks.feeding import Run
from benchmarks.grown import WORKERS, Grown, Stored, plots, raw
from benchmarks.result import Figure, Result, Table, number, percentile
from benchmarks.sweeps import Runs

OLD = "old system: 197 to 250 (10,000 entries, all of them)"

METHOD = """\
It begins with warm servers (in a full run: after {warm:,} transactions, thrown away) and nothing stored. Transactions
are fed through the pipeline until so many are stored as the tables say; the stack is left alone until it uses less
than {quiet:.0%} of a core (a minute at most); then come the GETs, then the rounds ({rounds}) of one more backlog:
{backlog}. The rounds of one size come one after another, each after the stack has come to rest: what is stored cannot
be taken away again, so that they cannot alternate, and they add to it (with {first:,} stored the last begins at
{last:,}). One worker and one bff live from the first transaction to the last, so that their memory can be followed.

{gets}. By id, from Redis: one of the newest 1,000; from Cassandra: any of those that were filled in.

Memory is the resident set of a process, looked at after each {chunk:,} transactions. *Flat* means: at the end at most
10 % more than with {middle:,} stored.

Batch sizes and workers: with all of that stored, in alternating rounds of {sweep:,} transactions, after 3,000 that are
not counted; a worker is started again for each batch size.
"""


IN_THE_WAY = """\
GET newest from Cassandra is what a bff falls back to while Redis is dead or cold. It takes two reads one after another,
each of two replicas: which minutes have transactions, then the four shards of a minute, of which it takes more rows
than the page has (app/stores/transactions_table.py). Of CPU it costs {nodes:.1f} ms in the three nodes and {bff:.1f}
in the bff, and GET by id, one read of one row, {nodes_by_id:.1f} and {bff_by_id:.1f} (one client, most stored): what is
more than twice that, the rows cost. A worker's memory is followed from the outside; what it is made of is not shown.
"""


def result(grown: Grown, sizes: Runs, workers: Runs, plan: Mapping[str, Any]) -> Result:
    """The benchmark's part of the report."""
    few, middle, *_ = grown.stored
    method = METHOD.format(
        quiet=feeding.QUIET,
        rounds=plan["rounds"],
        backlog=feeding.METHOD,
        first=few.size,
        last=few.size + (plan["rounds"] - 1) * plan["backlog"],
        gets=reads.METHOD,
        chunk=feeding.CHUNK,
        middle=middle.size,
        warm=feeding.WARM_UP,
        sweep=plan["sweep"],
    )
    return Result(
        "Growth",
        method,
        {name: list(value) if isinstance(value, tuple) else value for name, value in plan.items()},
        [*_costs(grown.stored), *_gets(grown.stored), *_memory(grown.stored)],
        [
            _table("With so many stored", "stored", {one.size: one.runs for one in grown.stored}),
            _gets_table(grown.stored),
            _memory_table(grown.stored),
            _table("By BATCH_SIZE", "BATCH_SIZE", sizes),
            _table("By number of transactions workers", "workers", workers),
        ],
        raw=raw(grown, sizes, workers),
        plots=plots(grown, sizes, workers),
        in_the_way=_in_the_way(grown.stored[-1].gets),
    )


def _in_the_way(gets: reads.Gets) -> str:
    newest, by_id = (gets[reads.Asked(what, "cassandra", 1)] for what in (reads.NEWEST, reads.BY_ID))
    return IN_THE_WAY.format(
        nodes=newest.millis(*CASSANDRA),
        bff=newest.millis("bff"),
        nodes_by_id=by_id.millis(*CASSANDRA),
        bff_by_id=by_id.millis("bff"),
    )


def _costs(stored: Sequence[Stored]) -> list[Figure]:
    few, most = stored[0], stored[-1]
    rates = [Figure.of_rounds(f"rate with {one.size:,} stored", [run.rate for run in one.runs], "a second")
             for one in stored]  # fmt: skip
    cpu = [median(run.stack for run in one.runs) for one in (few, most)]
    return [
        *rates,
        Figure("seconds of one more with most stored, of those with fewest", 100 * rates[0].value / rates[-1].value,
               "%", at_most=110),
        Figure("CPU of one more with most stored, of that with fewest", 100 * cpu[1] / cpu[0], "%", at_most=110,
               peer=f"{number(cpu[1])} and {number(cpu[0])} µs, the whole stack"),
    ]  # fmt: skip


def _gets(stored: Sequence[Stored]) -> list[Figure]:
    """One client's, the slowest of all sizes."""
    kinds = [asked for asked in stored[0].gets if asked.clients == 1]
    return [
        Figure(f"GET {kind.what} from {kind.source}, p50, the slowest of all sizes",
               1e3 * max(percentile(one.gets[kind].seconds, 50) for one in stored), "ms", at_most=20,
               peer=OLD if kind.what == reads.NEWEST else "")
        for kind in kinds
    ]  # fmt: skip


def _memory(stored: Sequence[Stored]) -> list[Figure]:
    middle, most = stored[1], stored[-1]
    return [
        Figure(f"memory of {name} with most stored, of that with {middle.size:,}",
               100 * most.memory[name] / middle.memory[name], "%", at_most=110,
               peer=f"{most.memory[name]:.0f} and {middle.memory[name]:.0f} MB")
        for name in WORKERS
    ]  # fmt: skip


def _table(title: str, what: str, runs: Runs | Mapping[int, Sequence[Run]]) -> Table:
    rows = [
        [
            f"{key:,}",
            _spread([run.rate for run in of_key]),
            _spread([run.stack for run in of_key]),
            _spread([sum(run.each(name) for name in run.spent if _is_worker(name)) for run in of_key]),
        ]
        for key, of_key in runs.items()
    ]
    return Table(title, [what, "a second", "CPU of the stack, µs each", "of that the workers'"], rows)


def _is_worker(name: str) -> bool:
    return name.startswith("transactions")


def _spread(values: Sequence[float]) -> str:
    if len(values) == 1:
        return number(values[0])
    return f"{number(median(values))} ({number(min(values))} to {number(max(values))})"


def _gets_table(stored: Sequence[Stored]) -> Table:
    rows = [
        [f"{one.size:,}", *reads.row(asked, calls)] for one in stored for asked, calls in one.gets.items()
    ]
    return Table("GETs with so many stored", ["stored", *reads.HEADER], rows)


def _memory_table(stored: Sequence[Stored]) -> Table:
    rows = [[name, *(f"{one.memory[name]:.0f}" for one in stored)] for name in stored[0].memory]
    return Table(
        "Memory, MB, after the rounds with so many stored",
        ["process", *(f"{s.size:,}" for s in stored)],
        rows,
    )
