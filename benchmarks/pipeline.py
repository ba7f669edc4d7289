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
with acks=all) and stored (Cassandra, LOCAL_QUORUM, replication 3). The rate counts all of them, from the moment
the group is seen stable with the worker in it to the moment the last commit is seen. So the start of the process
is not in it (it is given beside it), the read of the status tail, the first batch and the last wait for a commit
(every 250 ms) are. Group and offsets are looked at every 50 ms. The bff reads the statuses into Redis meanwhile.
Afterwards each id is looked for in Cassandra (at LOCAL_QUORUM) and in `transaction_status`: one that is missing,
told twice or never assessed is a fault. Everything, this benchmark too, runs on the machine named below. One
round.
"""


@dataclass(frozen=True)
class Run:
    """One backlog's way: moments (time.monotonic()), the commits seen, CPU seconds from `assigned` to the last."""

    count: int
    started: float
    assigned: float
    seen: Sequence[Seen]
    spent: dict[str, float]

    @property
    def ended(self) -> float:
        """When the last commit was seen."""
        return self.seen[-1].at

    @property
    def rate(self) -> float:
        """Transactions a second from the moment the worker had its partitions."""
        return self.count / (self.ended - self.assigned)


async def measure(quick: bool) -> Result:
    """The whole benchmark, on a stack that is up."""
    count = 10_000 if quick else 60_000
    ids, run = await backlog_through(count)
    print("counting what was stored and told ...", flush=True)
    stored, told = await asyncio.gather(places.stored(ids), places.told(ids))
    return _result(run, faults(ids, stored, told))


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
    started = time.monotonic()
    stage.start_at_once(stage.WORKER)
    try:
        async with asyncio.timeout(BOUND):
            while not await group.is_assigned():  # noqa: ASYNC110  # another process's state
                await asyncio.sleep(progress.EVERY)
            assigned, used = time.monotonic(), cpu.used()
            seen = [now async for now in group.until(end, more_than=before)]
            spent = cpu.between(used, cpu.used())
    except TimeoutError:
        words = stage.last_words(stage.WORKER)
        raise SystemExit(f"not processed within {BOUND:.0f} s; the worker's log:\n{words}") from None
    return Run(end - before, started, assigned, seen, spent)


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


def _result(run: Run, wrong: list[str]) -> Result:
    first = run.seen[0].at
    figures = [
        Figure("rate, from partitions assigned to all committed", run.rate, "a second", at_least=2_500,
               peer="old system: 5.9"),
        Figure("from the worker's start to all committed", run.ended - run.started, "s"),
        Figure("of that, until it had its partitions", run.assigned - run.started, "s"),
        Figure("from its partitions to the first commit seen", first - run.assigned, "s"),
    ]  # fmt: skip
    rows = [[name, f"{1e6 * seconds / run.count:.0f}"] for name, seconds in run.spent.items()]
    rows.append(["all of the stack", f"{1e6 * _stack_seconds(run.spent) / run.count:.0f}"])
    commits = [[round(seen.at - run.started, 3), seen.records] for seen in run.seen]
    return Result(
        "Pipeline throughput",
        METHOD.format(count=run.count, rate=ARRIVED_AT),
        {"transactions": run.count, "arrived at": ARRIVED_AT, "seed": SEED},
        figures,
        [Table("CPU microseconds a transaction, in the time of the rate", ["process", "µs"], rows)],
        wrong,
        {"commits (s after the start, offsets)": commits, "CPU seconds": run.spent},
    )


def _stack_seconds(spent: dict[str, float]) -> float:
    return sum(seconds for name, seconds in spent.items() if name not in (cpu.OURSELVES, cpu.OTHERS))


if __name__ == "__main__":
    report.command("pipeline", measure)
