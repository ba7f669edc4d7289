"""How long `make up` takes until all is ready, and each process of it."""

import os
import re
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks import stage
from benchmarks.result import Table, number
from infra.native import stack
from infra.native.paths import CODE

WITHIN = 300.0
READY = re.compile(r"^(\S+) ready after ([\d.]+) s$", re.MULTILINE)


@dataclass(frozen=True)
class Start:
    """Seconds: of the whole command, and until each process was ready."""

    seconds: float
    by_process: dict[str, float]


def cold() -> Start:
    """From nothing."""
    stack.down()
    stage.forget()
    return _up()


def warm() -> Start:
    """With what is stored."""
    stack.down()
    return _up()


def _up() -> Start:
    """The generator is stopped at once: it is not to add to what is stored."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))
    }
    began = time.monotonic()
    done = subprocess.run(
        ["make", "up"],
        cwd=CODE,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        timeout=WITHIN,
        check=False,
    )
    took = time.monotonic() - began
    if done.returncode:
        raise SystemExit(f"make up failed: {done.stdout[-500:]}")
    stage.stop(stage.GENERATOR)
    found = {name: float(seconds) for name, seconds in READY.findall(done.stdout)}
    print(f"    ready after {took:.1f} s", flush=True)
    return Start(took, found)


def table(starts: Mapping[str, Sequence[Start]]) -> Table:
    """Median seconds by process, cold and warm."""
    names = list(starts["cold"][0].by_process)
    rows = [
        [name, *(number(median(one.by_process[name] for one in of_kind)) for of_kind in starts.values())]
        for name in names
    ]
    return Table("Ready after so many seconds", ["process", *starts], rows)
