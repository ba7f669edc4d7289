"""Commands that only look: ps, logs, cqlsh."""

from __future__ import annotations

import os
import sys

from infra.native import ports, processes, procfile
from infra.native.paths import BIN, LOGS


def ps() -> None:
    """One line a part."""
    found = processes.asked(processes.states().values())
    print(f"{'NAME':<16} {'STATE':<12} {'PID':>8} {'PORT':>6}  READY")
    for part in found:
        why_not = "" if part.why_not == part.state else f": {part.why_not}"
        ready = f"no{why_not}" if part.why_not else "yes"
        print(f"{part.name:<16} {part.state:<12} {part.pid or '-':>8} {part.port:>6}  {ready}")
    if any(part.state == "left over" for part in found):
        print("the supervisor has crashed; make down ends what it left, make up starts anew")


def logs(name: str, follow: bool) -> None:
    """The last 50 lines of a part's log; then what is added to it."""
    path = LOGS / f"{procfile.check(name, processes.states())}.log"
    if not path.exists():
        raise SystemExit(f"{name} has written no log yet")
    _become(["tail", "-n", "50", *(["-F"] if follow else []), str(path)])


def cqlsh(name: str, statement: str) -> None:
    """A real cqlsh on one node."""
    nodes = [known for known in procfile.read() if known.startswith("cassandra-")]
    node = ports.endpoints(procfile.check(name, nodes))[0]
    execute = ["-e", statement] if statement else []
    _become([str(BIN / "cqlsh"), *execute, node.host, str(node.port)])


def _become(command: list[str]) -> None:
    sys.stdout.flush()
    os.execvp(command[0], command)  # noqa: S606 - no shell
