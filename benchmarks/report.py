"""The report: each benchmark's result kept as JSON as soon as it is there, and all of them as one page with plots."""

import argparse
import asyncio
import json
import re
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AbstractContextManager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from benchmarks import environment, feeding
from benchmarks.machine import machine, versions
from benchmarks.page import page
from benchmarks.result import Figure, Result, number
from benchmarks.stage import ready
from infra.native.paths import CODE, STATE

COMMITTED = Path(__file__).parent  # a full run's report
QUICK = STATE / "benchmarks"  # a quick one's: good for a look, not for comparing
#: Each benchmark's own bound, full and quick, in the order of the report, for its measuring alone. With two warm-ups
#: (the first one's and growth's) all of them take 133 and 24 minutes at most.
MINUTES = {
    "throughput": (29.0, 3.5),
    "http_load": (10.5, 1.5),
    "latency": (6.5, 1.5),
    "live": (3.0, 0.5),
    "growth": (18.0, 3.5),
    "cpu_time": (3.5, 1.5),
    "history": (17.0, 3.0),
    "assignment": (8.0, 2.0),
    "tracing": (25.0, 4.0),
    "rebuild": (11.5, 3.0),
}
FOR_A_WARM_UP = 4.0  # minutes

NUMBERS = re.compile(r"\[\s+[-+\d.e]+(?:,\s+[-+\d.e]+)*\s+\]")  # a list of them is one line

T = TypeVar("T")
Measure = Callable[[bool], Coroutine[Any, Any, Result]]
Stage = Callable[[], AbstractContextManager[None]]


def folder(quick: bool) -> Path:
    """Where the report is."""
    return QUICK if quick else COMMITTED


def command(name: str, measure: Measure, stage: Stage = ready, *, warm: bool = True) -> None:
    """One benchmark as a command: `python -m benchmarks.NAME [--quick]`; 1 when it failed or a count was wrong.

    `stage`: the stack as it needs it, and unless it is a quick one `warm`.
    """
    ends_in_order()
    said = f"python -m benchmarks.{name}"
    parser = argparse.ArgumentParser(prog=said, description=f"measures {name}")
    parser.add_argument("--quick", action="store_true", help="few and short, into .stack/benchmarks/")
    quick: bool = parser.parse_args().quick
    environment.ready()
    measured_on = context(f"{said}{' --quick' if quick else ''}")
    print(f"\n== {name}", flush=True)
    try:
        with stage():
            if warm and not quick:
                asyncio.run(_bounded(FOR_A_WARM_UP, "warm", feeding.warm_up()))
            result = asyncio.run(_bounded(MINUTES[name][quick], "done", measure(quick)))
    except (Exception, SystemExit) as failure:  # of whatever kind: told, and the others go on
        keep(folder(quick), name, _failed(name, _words(failure)) | measured_on)
        raise
    pictures = [asdict(plot) | {"file": f"plots/{name}-{plot.name}.svg"} for plot in result.plots]
    keep(folder(quick), name, asdict(result) | {"plots": pictures} | _judged(result) | measured_on)
    _print(result)
    print(f"\nthe report: {folder(quick) / 'report.md'}")
    sys.exit(1 if result.faults else 0)


def ends_in_order() -> None:
    """SIGTERM is as Ctrl-C: what was started is ended, what was laid aside is put back. In the background too."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's `&` has it ignored
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))


async def _bounded(minutes: float, what: str, work: Awaitable[T]) -> T:
    bound = asyncio.timeout(60 * minutes)
    try:
        async with bound:
            return await work
    except TimeoutError:
        if bound.expired():
            raise TimeoutError(f"not {what} within its {minutes:g} minutes") from None
        raise


def report_failed(name: str, quick: bool, said: str, why: str) -> None:
    """For a benchmark that could not say so itself."""
    keep(folder(quick), name, _failed(name, why) | context(said))


def _words(failure: BaseException) -> str:
    """Its first line, of a group its first one's; the rest is on the terminal."""
    while isinstance(failure, BaseExceptionGroup):
        failure = failure.exceptions[0]
    return f"{type(failure).__name__}: {failure}".splitlines()[0]


def _failed(name: str, why: str) -> dict[str, Any]:
    return asdict(Result(name, {}, [])) | {"failed": why}


def context(said: str) -> dict[str, Any]:
    """When, with which command, on what machine and versions."""
    date = datetime.now(UTC).isoformat(timespec="minutes")
    return {"date": date, "command": said, "machine": machine(), "versions": versions()}


def _judged(result: Result) -> dict[str, Any]:
    figures = [
        asdict(figure) | {"value": figure.value, "target": figure.target, "missed": figure.missed}
        for figure in result.figures
    ]
    return {"figures": figures}


def kept(folder: Path) -> dict[str, Any]:
    """Each benchmark's last result."""
    file = folder / "report.json"
    known: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    return known


def keep(folder: Path, name: str, result: dict[str, Any]) -> None:
    """Put one benchmark's result in the place of its last one; the others' stay, in the report's order."""
    plots = folder / "plots"
    plots.mkdir(parents=True, exist_ok=True)
    known = kept(folder) | {name: result}
    known = {name: known[name] for name in MINUTES if name in known}
    for old in plots.glob(f"{name}-*.svg"):
        old.unlink()
    text = NUMBERS.sub(lambda found: re.sub(r"\s+", " ", found[0]), json.dumps(known, indent=1))
    (folder / "report.json").write_text(text + "\n")
    _draw(folder)
    (folder / "report.md").write_text(page(known))


def _draw(folder: Path) -> None:
    """The plots, by the program that has matplotlib; a report without them is better than none."""
    done = subprocess.run([environment.PYTHON, "-m", "benchmarks.draw", folder], cwd=CODE, check=False)
    if done.returncode:
        print(f"no plots: they could not be drawn (exit status {done.returncode}, see above)")


def _print(result: Result) -> None:
    for figure in result.figures:
        print(f"  {figure.name:<48}{number(figure.value):>10} {figure.unit:<10}{_word(figure)}")
    for fault in result.faults:
        print(f"  WRONG: {fault}")


def _word(figure: Figure) -> str:
    if not figure.target:
        return ""
    return f"({figure.target}: {'MISSED' if figure.missed else 'reached'})"
