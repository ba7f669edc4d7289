"""The Procfile: the parts, their commands, and the order in which they start and stop."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from infra.native import beside, ports
from infra.native.paths import ROOT
from infra.native.wording import WrongWord

#: Deployment modes: bff and transactions as two processes, or both in one; and their former names.
MODES = ("split", "combined")
OLD_NAMES = {"two": "split", "one": "combined"}
# Both workers in one process. Not in the Procfile, where `honcho start` would run it beside them.
MAIN = "faust -A app.main worker --loglevel info"
#: What there can be several of while the stack is up.
SCALABLE = ("bff", "transactions")

# Servers start first, clients last; they stop in the reverse order.
STAGES = {"antifraud": 1, "envoy": 1, "bff": 2, "transactions": 2, "main": 2, "generator": 3}
# Seconds to end before SIGKILL, by stage: a worker finishes its micro-batch, a server writes its data.
GRACE = {3: 3.0, 2: 12.0, 1: 4.0, 0: 25.0}


def parse(text: str) -> dict[str, str]:
    """Name -> command, in the order of the lines."""
    parts: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        found = re.fullmatch(r"([A-Za-z0-9_-]+):\s*(\S.*)", line.rstrip())
        if not found or found[1] in parts:
            raise SystemExit(f"Procfile, line {number}: expected a new 'name: command', found {line!r}")
        parts[found[1]] = found[2]
    return parts


def read() -> dict[str, str]:
    """The parts of this repository's Procfile."""
    return parse((ROOT / "Procfile").read_text())


def names(mode: str = "split", counts: Mapping[str, int] | None = None) -> list[str]:
    """The parts of a deployment mode; `counts`: how many there are of a part, where that is not one."""
    counts = {name: n for name, n in (counts or {}).items() if mode == "split" or name not in SCALABLE}
    found = [one for name in read() for one in ports.numbered(name, counts.get(name, 1))]
    instead = {"bff": ["main"], "transactions": []} if mode == "combined" else {}
    return [chosen for name in found for chosen in instead.get(name, [name])]


def command(name: str) -> str:
    """The command of a part; a further worker runs the same one as the first, a further broker is told which it is."""
    lines = {"main": MAIN} | beside.COMMANDS | read()
    if not (further := ports.further(name)):
        return lines[name]
    kind, number = further
    return lines[kind] + (f"-{number}" if kind == "kafka" else "")


def environment(name: str) -> dict[str, str]:
    """The ports that a worker needs for itself, and the name where it is a further one."""
    kind, number = ports.further(name) or (name, 1)
    if kind not in SCALABLE:
        return {}
    found = {"WEB_PORT": str(ports.endpoints(name)[0].port), "WORKER_INSTANCE": name} if number > 1 else {}
    management = ports.management(name)
    return found | ({"MANAGEMENT_PORT": str(management.port)} if management else {})


def stage(name: str) -> int:
    """When a part starts: 0 servers, 1 antifraud and Envoy, 2 workers, 3 generator."""
    return STAGES.get(re.sub(r"-\d+$", "", name), 0)


def check_mode(mode: str) -> str:
    """The deployment mode, or an empty one; WrongWord lists the modes."""
    mode = OLD_NAMES.get(mode, mode)
    if mode not in ("", *MODES):
        raise WrongWord(f"no mode is called {mode}; say MODE={' or MODE='.join(MODES)}")
    return mode


def check(name: str, known: Iterable[str]) -> str:
    """The name; WrongWord lists the known ones."""
    if name not in (known := list(known)):
        said = f"no part is called {name}" if name else "which part? say NAME=…"
        raise WrongWord(f"{said}; the parts are: {' '.join(known)}")
    return name
