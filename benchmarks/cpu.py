"""CPU seconds that each process of the stack has used so far."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import psutil

from infra.native import processes

OURSELVES = "(the benchmark)"
OTHERS = "(everything else on the machine)"
#: What Cassandra is, together.
CASSANDRA = ("cassandra-1", "cassandra-2", "cassandra-3")

Seconds = Mapping[str, float]


def used(others: Mapping[str, int] | None = None) -> dict[str, float]:
    """CPU seconds by process name, ours, those of `others` (name, pid) and the rest of the machine's among them."""
    pids = {name: part.pid for name, part in processes.states().items() if part.pid} | dict(others or {})
    found = {name: _of(psutil.Process(pid)) for name, pid in pids.items()}
    found[OURSELVES] = _of(psutil.Process())
    found[OTHERS] = _of_machine() - sum(found.values())
    return found


def _of_machine() -> float:
    """Also what interrupts have taken, where the system tells it apart: it counts some of a process's time there."""
    times = psutil.cpu_times()
    kinds = ("user", "nice", "system", "irq", "softirq")
    return sum(float(getattr(times, kind, 0.0)) for kind in kinds)


def _of(process: psutil.Process) -> float:
    """With its children's, once they have ended."""
    times = process.cpu_times()
    return times.user + times.system + times.children_user + times.children_system


def between(before: Seconds, after: Seconds) -> dict[str, float]:
    """Seconds by process from one look to another, the most first; only processes that lived at both."""
    spent = {name: after[name] - before[name] for name in after if name in before}
    return dict(sorted(spent.items(), key=lambda item: -item[1]))


def of_the_stack(spent: Seconds) -> Seconds:
    """Those of all that does the work: neither the benchmark's nor strangers'."""
    return {name: seconds for name, seconds in spent.items() if name not in (OURSELVES, OTHERS)}


class Threads(NamedTuple):
    """CPU time of a process by kind of thread: Python's main one, Python's others, those of its libraries."""

    main: float
    others: float
    native: float


def by_thread(pid: int) -> Threads:
    """Seconds so far. Python's threads have the process's name, gRPC gives its own ones names of their own."""
    seconds = {one.id: one.user_time + one.system_time for one in psutil.Process(pid).threads()}
    native = sum(spent for thread, spent in seconds.items() if _name(pid, thread) != _name(pid, pid))
    return Threads(seconds[pid], sum(seconds.values()) - seconds[pid] - native, native)


def _name(pid: int, thread: int) -> str:
    """Empty where a system does not tell."""
    file = Path(f"/proc/{pid}/task/{thread}/comm")
    return file.read_text() if file.exists() else ""
