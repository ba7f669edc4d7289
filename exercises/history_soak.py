"""`make soak-history`: a million transactions, while the worker is killed 50 times and its partitions move 20 times.

By the bff's clock they are DAYS days, so that customers' longer windows and merchants' days have something to count. At
the end every feature on record is computed again from the log: none may differ. It takes a quarter of an hour.
"""

from __future__ import annotations

import asyncio
import random
import re
import threading
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import progress, traffic
from exercises.context import AGREE, DIFFER, said_in_json, say
from exercises.faults import PartLog
from history.transactions import DAY
from infra.native import stack
from infra.native.wording import Parser, run
from reconciliation import demo
from reconciliation.summary import percentile

PATH = Path(__file__).with_name("history_soak.md")
WORKER, TWO = "transactions", 2
COUNT, KILLS, MOVES = 1_000_000, 50, 20
#: Of the moves so many, in which a worker is killed while partitions move.
AT_ONCE_SHARE = 4
CHUNK, AHEAD = 10_000, 40_000  # records fed at a time, and decided later than fed at most
CUSTOMERS = 100_000
RATE = 3_000.0  # a second, in the ids' times
DAYS, MERCHANTS = 40, 1_500
STUCK = 300.0  # seconds without a commit
KNOWN = re.compile(r"are known after ([\d.]+) s")


class Blow(NamedTuple):
    """What is done to the workers when so many transactions are decided."""

    at: int
    what: str


@dataclass(frozen=True)
class Outcome:
    """What was done, and what `verify --features` counts."""

    seed: int
    done: Counter[str]
    fed: int
    minutes: float
    counts: dict[str, int]
    customers: int
    known_after: list[float]  # seconds of each reading of a partition's histories

    @property
    def good(self) -> bool:
        """Whether every transaction was compared, and none differs."""
        return self.counts.get("differ") == 0 and self.counts.get("same", 0) >= self.fed


def schedule(seed: int, count: int, kills: int, moves: int) -> list[Blow]:
    """Evenly spread, in an order by chance; each "both" is a kill and a move."""
    both = moves // AT_ONCE_SHARE
    order = ["both"] * both + ["kill"] * (kills - both) + ["move"] * (moves - both)
    random.Random(seed).shuffle(order)
    return [Blow(count * (n + 1) // (len(order) + 1), what) for n, what in enumerate(order)]


def perform(seed: int, count: int, kills: int, moves: int, customers: int) -> Outcome:
    """Feed and strike, wait until all is decided, compare."""
    began, log = time.monotonic(), PartLog(WORKER)
    done = asyncio.run(_under_load(seed, count, kills, moves, customers))
    if stack.current_scale("transactions") == TWO:
        stack.scale("transactions", 1)
    say("faust -A app.main verify --features")
    counts = said_in_json("verify", "--features", agree=(AGREE, DIFFER))["counts"]
    minutes = (time.monotonic() - began) / 60
    known_after = [float(took) for took in re.findall(KNOWN, "\n".join(log.lines("are known after")))]
    return Outcome(seed, done, count, minutes, counts, customers, known_after)


async def _under_load(seed: int, count: int, kills: int, moves: int, customers: int) -> Counter[str]:
    rng, done = random.Random(seed), Counter[str]()
    async with progress.group() as group:
        before = await group.committed()
        feeding = asyncio.create_task(_feed(group, count, seed, customers))
        for blow in schedule(seed, count, kills, moves):
            await _until(group, before + blow.at)
            say(f"{blow.at:9,} decided: {blow.what}")
            await asyncio.to_thread(BLOWS[blow.what], rng)
            done[blow.what] += 1
        await feeding
        await _until(group, await group.end())
    return done


async def _until(group: progress.Group, records: int) -> None:
    """Wait until so many are committed; SystemExit when there is no progress."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(STUCK) as bound:
            async for _ in group.until(records):
                bound.reschedule(loop.time() + STUCK)
    except TimeoutError:
        raise SystemExit(f"nothing was committed for {STUCK:.0f} s; see make logs NAME={WORKER}") from None


async def _feed(group: progress.Group, count: int, seed: int, customers: int) -> None:
    """As fast as the workers follow."""
    rng = random.Random(seed)
    for start in range(0, count, CHUNK):
        while await group.end() - await group.committed() > AHEAD:  # noqa: ASYNC110  # the workers' state
            await asyncio.sleep(0.5)
        made = traffic.arrived(CHUNK, RATE, seed + start)
        some = (_at(one, (start + n) / count, rng, customers) for n, one in enumerate(made))
        await traffic.feed(await asyncio.to_thread(list, traffic.encoded(some)))


def _at(transaction: dict[str, Any], passed: float, rng: random.Random, customers: int) -> dict[str, Any]:
    """The same when that share of DAYS is over; half of them are of the generator's hundred customers."""
    then: dict[str, Any] = {"event_timestamp": int(time.time() - (1 - passed) * DAYS * DAY)}
    then |= {"merchant_id": f"merchant {rng.randrange(MERCHANTS)}"}
    if rng.random() < 1 / 2:
        then |= {"customer_id": f"customer {rng.randrange(customers)}"}
    return {**transaction, **then}


def _kill(rng: random.Random) -> None:
    """One of the workers dies and comes back."""
    names = [WORKER, f"{WORKER}-2"][: stack.current_scale("transactions")]
    _killed(rng.choice(names))


def _killed(name: str) -> None:
    stack.kill(name)
    stack.start(name)


def _move(_: random.Random) -> None:
    """A second worker comes, or goes: half of the partitions change hands."""
    stack.scale("transactions", 1 if stack.current_scale("transactions") == TWO else TWO)


def _both(rng: random.Random) -> None:
    """The first worker dies while partitions are on their way."""
    moving = threading.Thread(target=_move, args=(rng,))
    moving.start()
    time.sleep(rng.uniform(0.5, 8))
    _killed(WORKER)
    moving.join()


BLOWS = {"kill": _kill, "move": _move, "both": _both}


def text(outcome: Outcome) -> str:
    """The report."""
    done, counts = outcome.done, ", ".join(f"{name} {count:,}" for name, count in outcome.counts.items())
    return (
        f"# Histories under kills\n\n    make soak-history SEED={outcome.seed}\n\n"
        f"{time.strftime('%Y-%m-%d %H:%M UTC', time.gmtime())}. {outcome.fed:,} transactions in "
        f"{outcome.minutes:.0f} minutes, under a backlog all the time; workers killed: {done['kill'] + done['both']}, "
        f"partitions moved: {done['move'] + done['both']}, both at once among these: {done['both']}.\n\n"
        f"`faust -A app.main verify --features`: {counts}.\n\n"
        f"{outcome.customers:,} customers. Each time a worker took a partition, its histories were known after "
        f"{percentile(outcome.known_after, 50):.1f} s (median), at most {max(outcome.known_after):.1f} s.\n\n"
        f"Features that differ from those of the log: **{outcome.counts.get('differ')}**\n"
    )


def main() -> int:
    """What the command line says."""
    parser = Parser(prog="python -m exercises.history_soak", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="another order of kills and moves (%(default)s)")
    parser.add_argument("--count", type=int, default=COUNT, help="transactions (%(default)s)")
    parser.add_argument("--kills", type=int, default=KILLS, help="%(default)s")
    parser.add_argument("--customers", type=int, default=CUSTOMERS, help="%(default)s")
    parser.add_argument("--moves", type=int, default=MOVES, help="%(default)s")
    given = parser.parse_args()
    with demo.undisturbed():
        count = stack.current_scale("transactions")
        try:
            outcome = perform(given.seed, given.count, given.kills, given.moves, given.customers)
        finally:
            if stack.is_up() and stack.current_scale("transactions") != count:
                stack.scale("transactions", count)
    report = text(outcome)
    say(f"\n{report}")
    if given.count == COUNT:
        PATH.write_text(report)
    return 0 if outcome.good else 1


if __name__ == "__main__":
    run(main)
