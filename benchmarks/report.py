"""The report: each benchmark's result kept as JSON as soon as it is there, and all of them as one page."""

import argparse
import asyncio
import json
import sys
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks import stage
from benchmarks.machine import machine, versions
from benchmarks.page import page
from benchmarks.result import Figure, Result, number
from infra.native.folders import STATE

COMMITTED = Path(__file__).parent  # a full run's report
QUICK = STATE / "benchmarks"  # a quick one's: good for a look, not for comparing

Measure = Callable[[bool], Coroutine[Any, Any, Result]]


def command(name: str, measure: Measure) -> None:
    """One benchmark as a command: `python -m benchmarks.NAME [--quick]`."""
    run({name: measure}, f"python -m benchmarks.{name}")


def run(benchmarks: Mapping[str, Measure], said: str) -> None:
    """Measure one after another, write the report after each; ends with 1 when a count was wrong."""
    parser = argparse.ArgumentParser(prog=said, description=f"measures: {', '.join(benchmarks)}")
    parser.add_argument("--quick", action="store_true", help="few and short, into .stack/benchmarks/")
    quick: bool = parser.parse_args().quick
    wrong = False
    with stage.ready():
        for name, measure in benchmarks.items():
            context = _context(f"{said}{' --quick' if quick else ''}")
            print(f"\n== {name}", flush=True)
            result = asyncio.run(measure(quick))
            keep(QUICK if quick else COMMITTED, name, asdict(result) | _judged(result) | context)
            _print(result)
            wrong = wrong or bool(result.faults)
    print(f"\nthe report: {(QUICK if quick else COMMITTED) / 'report.md'}")
    sys.exit(1 if wrong else 0)


def _context(said: str) -> dict[str, Any]:
    date = datetime.now(UTC).isoformat(timespec="minutes")
    return {"date": date, "command": said, "machine": machine(), "versions": versions()}


def _judged(result: Result) -> dict[str, Any]:
    figures = [
        asdict(figure) | {"target": figure.target, "missed": figure.missed} for figure in result.figures
    ]
    return {"figures": figures}


def keep(folder: Path, name: str, result: dict[str, Any]) -> None:
    """Put one benchmark's result in the place of its last one; the others' stay."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "report.json"
    known: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    known[name] = result
    file.write_text(json.dumps(known, indent=1) + "\n")
    (folder / "report.md").write_text(page(known))


def _print(result: Result) -> None:
    for figure in result.figures:
        print(f"  {figure.name:<48}{number(figure.value):>10} {figure.unit:<10}{_word(figure)}")
    for fault in result.faults:
        print(f"  WRONG: {fault}")


def _word(figure: Figure) -> str:
    if not figure.target:
        return ""
    return f"({figure.target}: {'MISSED' if figure.missed else 'reached'})"
