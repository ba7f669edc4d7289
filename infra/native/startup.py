"""Starts parts in order and waits until they are ready, showing the progress."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterable

import psutil

from infra.native import orphans, ports, processes, procfile, secure, supervisor
from infra.native.processes import Part

BOUND = 180.0  # seconds for the whole stack; Cassandra on a small busy machine takes longest
PART_BOUND = 90.0  # seconds for a single part
BATCHES = ((0, 1), (2,), (3,))  # stages that start together


def check_ports(names: Iterable[str]) -> None:
    """Exit with one line per port that is taken."""
    lines = [
        f"port {endpoint.port} on {endpoint.host}, which {name} needs, is in use{_holder(endpoint)}"
        for name in names
        for endpoint in ports.endpoints(name)
        if ports.in_use(endpoint)
    ]
    if lines:
        advice = "end that program, or give the part another address; then try again"
        raise SystemExit("\n".join([*lines, advice]))


def _holder(endpoint: ports.Endpoint) -> str:
    """Who listens there, as far as the system shows it."""
    there = [(host, endpoint.port) for host in (endpoint.host, f"::ffff:{endpoint.host}", "0.0.0.0", "::")]
    with contextlib.suppress(psutil.AccessDenied):  # macOS shows other programs' connections to root alone
        for found in psutil.net_connections("tcp"):
            if found.status == psutil.CONN_LISTEN and found.laddr in there and found.pid:
                return f" by {orphans.describe(found.pid)}"
    return " by a program that only its owner can see"


def bring_up(names: Iterable[str]) -> None:
    """Start what does not run, servers first, each batch once the one before is ready."""
    began, known, names = time.monotonic(), processes.states(), sorted(names, key=procfile.stage)
    before = [part.name for part in processes.asked(known[name] for name in names) if not part.why_not]
    if before:
        print(f"ready already: {' '.join(before)}")
    for batch in BATCHES:
        chosen = [name for name in names if procfile.stage(name) in batch and name not in before]
        for name in chosen:
            if known[name].pid is None:
                supervisor.start(name)
        wait(chosen, began, BOUND, before)
        if secure.is_on() and batch == BATCHES[0] and any(name.startswith("cassandra-") for name in names):
            from infra.native import roles  # with Cassandra's driver, which takes a moment to load

            roles.ensure()  # also where an earlier start did not come so far
        before += chosen
    print(f"{len(names)} ready after {time.monotonic() - began:.1f} s; look: make ps, end: make down")


def wait(names: list[str], began: float, bound: float, before: Iterable[str] = ()) -> None:
    """Wait until all are ready; exit at once when one of them, or of those that were ready before, has ended."""
    waiting, shown = names, dict[str, str]()
    while waiting:
        known = processes.states()
        found = processes.asked(known[name] for name in waiting)
        for part in found:
            if not part.why_not:
                _say(f"{part.name} ready after {time.monotonic() - began:.1f} s")
        waiting = [part.name for part in found if part.why_not]
        late = time.monotonic() > began + bound
        lost = [known[name] for name in before if known[name].state != "running"]
        if lost := lost + [part for part in found if part.why_not and (late or part.state != "running")]:
            _say("", passing=True)
            raise SystemExit("\n".join(failure(part) for part in lost))
        if waiting:
            _print_what_for(waiting, shown)
            _say(f"waiting for {' '.join(waiting)} ({time.monotonic() - began:.0f} s)", passing=True)
            time.sleep(0.2)


def _print_what_for(names: Iterable[str], shown: dict[str, str]) -> None:
    """What a worker itself waits for: a broker that does not answer is shown at once, not at the deadline."""
    for name in names:
        if (words := processes.waits_for(name)) and words.partition(":")[0] != shown.get(name):
            shown[name] = words.partition(":")[0]
            _say(f"{name}: {words}")


def failure(part: Part) -> str:
    """Why a part did not become ready, with the end of its log."""
    if part.state == "paused":
        return f"{part.name} is paused; let it go on with: make resume NAME={part.name}"
    state = f"running, but {part.why_not}" if part.state == "running" else part.state
    words = processes.last_words(part.name)
    return f"{part.name} is not ready ({state}); the end of its log (make logs NAME={part.name}):\n{words}"


def _say(text: str, passing: bool = False) -> None:
    """Print a line; a passing one only on a terminal, where the next line overwrites it."""
    if sys.stdout.isatty():
        print(f"\r\033[K{text}", end="" if passing else "\n", flush=True)
    elif not passing:
        print(text, flush=True)
