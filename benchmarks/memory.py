"""Memory that each process of the stack holds now."""

import psutil

from infra.native import processes


def resident() -> dict[str, float]:
    """Megabytes (resident set) by process name."""
    pids = {name: part.pid for name, part in processes.states().items() if part.pid}
    return {name: psutil.Process(pid).memory_info().rss / 1e6 for name, pid in pids.items()}
