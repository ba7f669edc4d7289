"""`make soak`: load at half of the capacity, and a random part killed every 20 seconds; at the end, four zeros.

The same seed kills the same parts at the same moments for as long. The client outside records every 201.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from exercises import soak_report
from exercises.calls import RecordedCalls
from exercises.context import say, verified
from exercises.faults import Faults
from exercises.load_client import LoadClient, for_seconds, post_each
from exercises.soak_report import FINAL_WITHIN, SAMPLE, Death, Outcome
from infra.native import beside, processes, stack, supervisor
from infra.native.wording import Parser, run
from reconciliation import demo, readers

EVERY = 20.0
DEAD_FOR = (5.0, 15.0)
CALM_AFTER_LAST = 20.0
CAPACITY_WITHIN = 120.0
NOT_KILLED = ("generator", *beside.COMMANDS)


def schedule(seed: int, seconds: float, parts: Iterable[str]) -> list[Death]:
    """Who dies when, and for how long: every part as often as there is time for, none again soon after."""
    rng = random.Random(seed)
    names = [name for name in parts if name not in NOT_KILLED]
    count = int((seconds - CALM_AFTER_LAST) // EVERY)
    rounds, more = divmod(count, len(names))
    while True:
        order = [*names * rounds, *rng.sample(names, more)]
        rng.shuffle(order)
        if all(name not in order[i + 1 : i + 4] for i, name in enumerate(order)):
            return [
                Death(EVERY * n + EVERY / 2, name, rng.uniform(*DEAD_FOR)) for n, name in enumerate(order)
            ]


@dataclass
class Soak:
    """One run: the parts that are dead now, and those that ended without us."""

    faults: Faults = field(default_factory=lambda: Faults(say))
    dead: dict[str, float] = field(default_factory=dict)
    ended: list[str] = field(default_factory=list)  # by themselves: a fault

    def run(self, deaths: list[Death], clients: LoadClient, seconds: float) -> None:
        """Kill and start by the clock."""
        began, waiting = time.monotonic(), list(deaths)
        while (now := time.monotonic() - began) < seconds:
            if waiting and waiting[0].at <= now:
                self._kill(waiting.pop(0), clients, now)
            for name in [name for name, until in self.dead.items() if until <= now]:
                del self.dead[name]
                supervisor.start(name)
            time.sleep(0.1)

    def _kill(self, death: Death, clients: LoadClient, now: float) -> None:
        self._look_for_the_dead()
        lag = clients.lags[-1][1] if clients.lags else None
        say(f"{now:6.0f} s  taken so far {len(clients.ids):7d}, lag {lag}; for {death.dead_for:.1f} s:")
        if stack.pid(death.part) is not None:
            self.faults.die(death.part, shown=False)
        self.dead[death.part] = now + death.dead_for

    def _look_for_the_dead(self) -> None:
        for name, part in processes.states().items():
            if part.pid is None and name not in self.dead and name not in NOT_KILLED:
                self.ended.append(f"{name}: {part.state}")
                supervisor.start(name)


def capacity() -> tuple[float, list[str]]:
    """Transactions a second, from the first POST of ten seconds until the last is decided and stored."""
    began = time.monotonic()
    ids = asyncio.run(post_each(readers.bff_url(), for_seconds(10))).ids
    while not ids or len(asyncio.run(readers.stored(ids[-100:]))) < len(ids[-100:]):
        if time.monotonic() - began > CAPACITY_WITHIN:
            raise SystemExit(
                f"what was sent first is not decided within {CAPACITY_WITHIN:.0f} s: make ps, make lag"
            )
        time.sleep(0.1)
    return len(ids) / (time.monotonic() - began), ids


def perform(seed: int, minutes: float) -> Outcome:
    """Measure, load and kill, bring back, count."""
    say("measuring the capacity")
    able, ids = capacity()
    deaths, soak = schedule(seed, minutes * 60, supervisor.names()), Soak()
    say(f"{able:.0f} a second; the load is half of that; {len(deaths)} parts are going to die (seed {seed})")
    with LoadClient(lambda _: None, able / 2).at_work() as clients:
        try:
            soak.run(deaths, clients, minutes * 60)
        finally:
            soak.faults.restore()
        back = time.monotonic()
        final = _final_after(clients, back)
    ids += clients.ids
    say(f"counting {len(ids)} transactions that were answered 201")
    counts = asyncio.run(soak_report.counted(ids, random.Random(seed)))
    wrong = verified(ids)
    return Outcome(seed, minutes, able, deaths, clients.answers, ids, counts, final, soak.ended, wrong)


def _final_after(clients: RecordedCalls, back: float) -> float:
    """Seconds from the last part's return until everything posted by then is decided and shown."""
    posted = clients.ids[-SAMPLE:]
    while time.monotonic() < back + 4 * FINAL_WITHIN:
        shown = asyncio.run(readers.shown(posted))
        if len(shown) == len(posted) and "pending" not in shown.values():
            break
        time.sleep(0.2)
    return time.monotonic() - back


def main() -> int:
    """What the command line says."""
    parser = Parser(prog="python -m exercises.soak", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="other parts die at other moments (%(default)s)")
    parser.add_argument("--minutes", type=float, default=10, help="%(default)s")
    given = parser.parse_args()
    with demo.undisturbed():
        outcome = perform(given.seed, given.minutes)
    report = soak_report.text(outcome)
    say(f"\n{report}")
    soak_report.PATH.write_text(report)
    return 0 if outcome.good else 1


if __name__ == "__main__":
    run(main)
