"""Pipeline throughput: a backlog in Kafka until all of it is decided, told, stored and committed."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks import cpu, progress, report, stage, traffic
from benchmarks.progress import Group, Seen
from benchmarks.result import Figure, Result, Table
from infra.native import census, places

ARRIVED_AT = 500.0  # a second, in the ids' times: the backlog of a worker that was down for two minutes
BOUND = 600.0  # seconds for the worker's part
SEED = 4

METHOD = """\
The worker is stopped. {count:,} transactions are written straight into `transaction_created`, Avro as the bff
writes it, with UUIDv7 ids and times as if they had come at {rate:.0f} a second until now. Then the worker is
started. A transaction counts as processed when its offset is committed in the group `transactions`; the worker
commits only what has been assessed (through Envoy, by both replicas), told (`transaction_status`, acknowledged
with acks=all) and stored (Cassandra, LOCAL_QUORUM, replication 3). The offsets are read every 50 ms, the worker
commits every 250 ms. The rate runs from the first commit seen to the last and counts what was committed between
the two, so the worker's start is not in it; the seconds from the worker's start (process launched) to the last
commit are given beside it. The bff reads the statuses into Redis meanwhile. Afterwards each id is looked for in
Cassandra (at LOCAL_QUORUM) and in `transaction_status`: a missing one, or one told twice, is a fault. Everything,
this benchmark too, runs on the machine named above. One round.
"""


@dataclass(frozen=True)
class Run:
    """One backlog's way: the commits seen, the CPU used from the first of them to the last."""

    started: float
    seen: Sequence[Seen]
    spent: dict[str, float]
    started_from: int

    @property
    def counted(self) -> int:
        """Transactions committed after the first commit seen."""
        return self.seen[-1].records - self.seen[0].records

    @property
    def rate(self) -> float:
        """Transactions a second from the first commit to the last."""
        return self.counted / max(self.seen[-1].at - self.seen[0].at, 1e-9)


async def measure(quick: bool) -> Result:
    """The whole benchmark, on a stack that is up."""
    count = 10_000 if quick else 60_000
    ids, run = await backlog_through(count)
    print("counting what was stored and told ...", flush=True)
    stored, told = await asyncio.gather(places.stored(ids), places.told(ids))
    return _result(count, run, faults(ids, stored, told))


async def backlog_through(count: int) -> tuple[frozenset[str], Run]:
    """Stop the worker, feed, start it, watch: the ids that were fed and what was seen."""
    async with progress.group() as group:
        await drained(group)
        await asyncio.to_thread(stage.stop, stage.WORKER)
        print(f"feeding {count:,} transactions ...", flush=True)
        records = list(traffic.backlog(count, ARRIVED_AT, SEED))
        await traffic.feed(records)
        print("the worker starts ...", flush=True)
        run = await _watched(group)
    return frozenset(record.key.decode() for record in records), run


async def drained(group: Group) -> None:
    """Wait until the worker has nothing left to do."""
    async with asyncio.timeout(BOUND):
        async for _ in group.until(await group.end()):
            pass


async def _watched(group: Group) -> Run:
    before, end = await group.committed(), await group.end()
    started, seen, at_first = time.monotonic(), list[Seen](), dict[str, float]()
    stage.start_at_once(stage.WORKER)
    try:
        async with asyncio.timeout(BOUND):
            async for now in group.until(end, more_than=before):
                seen.append(now)
                at_first = at_first or cpu.used()
            spent = cpu.between(at_first, cpu.used())
    except TimeoutError:
        words = stage.last_words(stage.WORKER)
        raise SystemExit(f"not processed within {BOUND:.0f} s; the worker's log:\n{words}") from None
    return Run(started, seen, spent, before)


def faults(ids: frozenset[str], stored: dict[str, str], told: dict[str, list[Any]]) -> list[str]:
    """What a count by id finds wrong."""
    twice = sum(len(verdicts) - 1 for verdicts in told.values())
    found = {
        "not in Cassandra": len(ids) - len(stored),
        "not told": len(ids) - len(told),
        "told more than once": twice,
        "stored otherwise than told": sum(told[i][-1].status != s for i, s in stored.items() if i in told),
        "told with two verdicts": sum(census.is_flipped(verdicts) for verdicts in told.values()),
        "never assessed": sum(verdicts[-1].score is None for verdicts in told.values()),
    }
    return [f"{number} transactions {what}" for what, number in found.items() if number]


def _result(count: int, run: Run, wrong: list[str]) -> Result:
    first, last = run.seen[0], run.seen[-1]
    figures = [
        Figure("rate, first commit to last", run.rate, "a second", at_least=2_500, peer="old system: 5.9"),
        Figure("from the worker's start to all committed", last.at - run.started, "s"),
        Figure("from the worker's start to its first commit", first.at - run.started, "s"),
    ]
    rows = [[name, f"{1e6 * s / run.counted:.0f}"] for name, s in run.spent.items()]
    rows.append(["all of the stack", f"{1e6 * _stack_seconds(run.spent) / run.counted:.0f}"])
    raw = {
        "commits": [[round(seen.at - run.started, 3), seen.records - run.started_from] for seen in run.seen],
        "cpu_seconds": run.spent,
        "counted": run.counted,
    }
    return Result(
        "Pipeline throughput",
        METHOD.format(count=count, rate=ARRIVED_AT),
        {"transactions": count, "arrived at": ARRIVED_AT, "seed": SEED},
        figures,
        [Table("CPU microseconds a transaction, first commit to last", ["process", "µs"], rows)],
        wrong,
        raw,
    )


def _stack_seconds(spent: dict[str, float]) -> float:
    return sum(seconds for name, seconds in spent.items() if name not in (cpu.OURSELVES, cpu.OTHERS))


if __name__ == "__main__":
    report.command("pipeline", measure)
