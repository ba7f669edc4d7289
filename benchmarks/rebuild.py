"""How quickly the stores are written again from the log and compared with it; how long the stack takes to start."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import NamedTuple

from benchmarks import decided, report, stage, start_up
from benchmarks.result import Figure, Result, Table, bars, number
from benchmarks.start_up import Start
from infra.native.paths import ROOT
from reconciliation.recovery import throw_away

COMMANDS = {
    "replay into Cassandra": ("replay", "--into", "cassandra"),
    "replay into Redis": ("replay", "--into", "redis"),
    "verify": ("verify",),
}


class Ended(NamedTuple):
    """A command that has run: seconds, CPU seconds, megabytes at most, exit status."""

    seconds: float
    cpu: float
    memory: float
    status: int


async def measure(quick: bool) -> Result:
    """The whole benchmark, on a stack that is down and has nothing stored."""
    count, rounds = (20_000, 1) if quick else (200_000, 3)
    starts = {"cold": await _times(rounds, "cold start", start_up.cold)}
    print(f"writing {count:,} decided transactions into the log ...", flush=True)
    await decided.in_the_log(count)
    runs: dict[str, list[Ended]] = {name: [] for name in COMMANDS}
    for _ in range(rounds):
        await asyncio.to_thread(throw_away)
        for name, arguments in COMMANDS.items():
            runs[name].append(await asyncio.to_thread(_run, *arguments))
    starts["warm"] = await _times(rounds, "warm start", start_up.warm)
    return _result(count, rounds, runs, starts)


async def _times(rounds: int, what: str, start: Callable[[], Start]) -> list[Start]:
    found = []
    for turn in range(rounds):
        print(f"{what}, round {turn + 1} ...", flush=True)
        found.append(await asyncio.to_thread(start))
    return found


def _run(*arguments: str) -> Ended:
    print(f"faust -A app.main {' '.join(arguments)}", flush=True)
    began = time.monotonic()
    process = subprocess.Popen([sys.executable, "-m", "faust", "-A", "app.main", *arguments], cwd=ROOT)
    _, status, usage = os.wait4(process.pid, 0)
    ended = Ended(
        time.monotonic() - began,
        usage.ru_utime + usage.ru_stime,
        usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6,
        os.waitstatus_to_exitcode(status),
    )
    print(f"    {ended.seconds:.1f} s, {ended.cpu:.1f} s of CPU, {ended.memory:.0f} MB at most", flush=True)
    return ended


def _result(count: int, rounds: int, runs: dict[str, list[Ended]], starts: dict[str, list[Start]]) -> Result:
    rates = {name: [count / one.seconds for one in ended] for name, ended in runs.items()}
    commands = [Figure(name, values, "a second") for name, values in rates.items()]
    ups = [
        Figure(f"`make up`, {kind}", [one.seconds for one in of_kind], "s")
        for kind, of_kind in starts.items()
    ]
    rows = [
        [name, *(number(max(values)) for values in list(zip(*ended, strict=True))[:3])]
        for name, ended in runs.items()
    ]
    return Result(
        "Replay and start-up",
        {"transactions": count, "rounds": rounds, "a second, in their ids": decided.DENSITY},
        [*commands, *ups],
        [
            Table("The most of all rounds", ["command", "s", "CPU, s", "memory, MB"], rows),
            start_up.table(starts),
        ],
        [f"{name} ended with status {one.status}" for name, ended in runs.items() for one in ended if one.status],
        {
            "commands (s, CPU s, MB, status)": runs,
            "starts (s, by process)": {kind: [tuple(vars(one).values()) for one in s] for kind, s in starts.items()},
        },
        [
            bars("rates", "Replay and verify", "a second", {one.name: one.value for one in commands}),
            bars("start", "From `make up` to ready", "s", {one.name: one.value for one in ups}),
        ],
    )  # fmt: skip


if __name__ == "__main__":
    report.command("rebuild", measure, stage.nothing_stored, warm=False)
