"""CPU seconds that each process of the stack has used so far."""

from collections.abc import Mapping

import psutil

from infra.native import parts

OURSELVES = "(the benchmark)"
OTHERS = "(everything else on the machine)"

Seconds = Mapping[str, float]


def used(others: Mapping[str, int] | None = None) -> dict[str, float]:
    """CPU seconds by process name, ours, those of `others` (name, pid) and the rest of the machine's among them."""
    pids = {name: part.pid for name, part in parts.states().items() if part.pid} | dict(others or {})
    found = {name: _of(psutil.Process(pid)) for name, pid in pids.items()}
    found[OURSELVES] = _of(psutil.Process())
    machine = psutil.cpu_times()
    found[OTHERS] = machine.user + machine.system + machine.nice - sum(found.values())
    return found


def _of(process: psutil.Process) -> float:
    """With its children's, once they have ended."""
    times = process.cpu_times()
    return times.user + times.system + times.children_user + times.children_system


def between(before: Seconds, after: Seconds) -> dict[str, float]:
    """Seconds by process from one look to another, the most first; only processes that lived at both."""
    spent = {name: after[name] - before[name] for name in after if name in before}
    return dict(sorted(spent.items(), key=lambda item: -item[1]))
