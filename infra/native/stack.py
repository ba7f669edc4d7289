"""The stack, handled as containers are: up, down, ps, and start, stop, kill, pause, logs of one part by name."""

from __future__ import annotations

import os
import shutil
import signal as signals
import sys
import time
from collections.abc import Iterable, Mapping

import psutil

from infra.native import (
    beside,
    brokers,
    interrupts,
    lockfile,
    orphans,
    ports,
    processes,
    procfile,
    secure,
    startup,
    supervisor,
)
from infra.native.interrupts import Hurry
from infra.native.paths import BIN, DATA, DATA_COPY, LOGS
from infra.native.processes import Part

DOWN_BOUND = 30.0  # seconds for all parts to end by themselves before they are killed
LOOKS = 5  # a process that was being started at the first look is found at the next
CRASHED = "the supervisor has crashed; make down ends what it left, make up starts anew"


def is_up() -> bool:
    """True if a supervisor runs (any of its parts may still be dead)."""
    return supervisor.answers()


@lockfile.held()
def up(
    only: Iterable[str] = (),
    mode: str | None = None,
    extra: Iterable[str] = (),
    kafka: int | None = None,
    secured: bool = False,
) -> None:
    """Start what does not run yet and wait until everything is ready; without a mode, keep the one that is up.

    `extra`: names of infra.native.beside to run too; those that are up stay. `kafka`: how many brokers, for new data;
    `secured`: whether those have passwords and TLS.
    """
    brokers.decide(kafka)
    secure.decide(secured, is_up=is_up())
    if not is_up():
        if left := orphans.ours():
            print(f"a crashed supervisor left {len(left)} processes; ending them first")
            with interrupts.noted() as hurry:
                _end_all(left, hurry)
        supervisor.forget()
    extra = list(dict.fromkeys([*current_beside(), *extra]))
    known = [*procfile.names(mode or current_mode(), _counts()), *extra]
    names = [*(procfile.check(name, known) for name in only), *extra] if only else known
    running = [name for name, part in processes.states().items() if part.pid]
    missing = [name for name in names if name not in running]
    if is_up():
        if others := [name for name in running if name not in known]:
            print(f"ending {' '.join(others)}: they belong to the other mode")
        supervisor.reload(known)  # frees the ports of the other mode
    startup.check_ports(missing)
    if not is_up():
        supervisor.launch(known)
    if running and missing:
        print(f"up already; starting {' '.join(missing)}")
    startup.bring_up(names)


def down() -> None:
    """End every process of the stack, workers first, and leave no socket and no lock behind.

    Ctrl-C does not interrupt it: what has not ended yet is killed.
    """
    with lockfile.held(), interrupts.noted() as hurry:
        began, ended, forced = time.monotonic(), 0, list[str]()
        for _ in range(LOOKS):
            if not (living := orphans.ours()):
                break
            ended += len(living)
            forced += _end_all(living, hurry)
        by_force = f" ({' '.join(sorted(forced))} by force)" if forced else ""
        took = f"{time.monotonic() - began:.1f} s"
        print(f"down: {ended} processes ended{by_force} in {took}" if ended else "nothing is up")
        supervisor.forget()


def _end_all(living: dict[psutil.Process, str], hurry: Hurry) -> list[str]:
    """End the parts, workers first, then the supervisor; return the names of those that had to be killed."""
    deadline = time.monotonic() + DOWN_BOUND
    forced: list[psutil.Process] = []
    for stage, grace in procfile.GRACE.items():
        chosen = [process for process, name in living.items() if name and procfile.stage(name) == stage]
        forced += orphans.end(chosen, min(grace, deadline - time.monotonic()), hurry)
    forced += orphans.end([process for process, name in living.items() if not name], 10, hurry)
    return [living[process] or "supervisord" for process in forced]


@lockfile.held()
def clean() -> None:
    """Take the stack down and delete its data and logs; downloads are kept."""
    down()
    for folder in (DATA, DATA_COPY, LOGS):
        try:
            shutil.rmtree(folder)
        except FileNotFoundError:
            pass
        except OSError as exc:
            raise SystemExit(f"{folder} could not be deleted: {exc}") from exc
    print("data and logs are gone; the downloads are kept")


def current_mode() -> str:
    """The deployment mode that is up; split if none is."""
    return "combined" if "main" in supervisor.names() else "split"


def current_scale(name: str) -> int:
    """How many there are of a part that can be several."""
    return 1 + sum(known.startswith(f"{name}-") for known in supervisor.names())


def _counts() -> Mapping[str, int]:
    return {"kafka": brokers.count()} | {name: current_scale(name) for name in procfile.SCALABLE}


def current_beside() -> list[str]:
    """What runs beside the stack, or was stopped and may be started again."""
    return [name for name in supervisor.names() if name in beside.COMMANDS]


def find(name: str) -> Part:
    """The current state of a part; WrongWord for an unknown name."""
    known = processes.states()
    return known[procfile.check(name, known)]


def pid(name: str) -> int | None:
    """The process id of a part, if it runs."""
    return find(name).pid


@lockfile.held()
def start(name: str, environment: dict[str, str] | None = None) -> None:
    """Start one part and wait until it is ready."""
    part = find(name)
    if not is_up():
        raise SystemExit(f"nothing is up; start this part alone with: make up ONLY={name}")
    if part.state == "paused":
        raise SystemExit(startup.failure(part))
    if part.pid:
        print(f"{name} runs already (pid {part.pid})")
        return
    startup.check_ports([name])
    supervisor.start(name, environment)
    startup.wait([name], time.monotonic(), startup.PART_BOUND)


@lockfile.held()
def stop(name: str) -> None:
    """Ask one part to end and wait until it has."""
    part = find(name)
    if not part.pid:
        print(f"{name} does not run ({part.state})")
        return
    if not is_up():
        raise SystemExit(CRASHED)
    supervisor.stop(name)
    print(f"{name} stopped (pid {part.pid}); start it again with: make start NAME={name}")


@lockfile.held()
def restart(name: str) -> None:
    """Stop one part and start it again."""
    find(name)
    supervisor.check_access(name, os.environ)  # before it is down
    if is_up():
        supervisor.stop(name)
    start(name)


@lockfile.held()
def kill(name: str) -> None:
    """SIGKILL: as in a crash, the part gets no chance to clean up."""
    number = signal(name, signals.SIGKILL)
    while pid(name) == number:
        time.sleep(0.02)
    print(f"{name} killed (pid {number}); start it again with: make start NAME={name}")


@lockfile.held()
def pause(name: str) -> None:
    """SIGSTOP: the part hangs; its connections stay open and get no answer."""
    number = signal(name, signals.SIGSTOP)
    print(f"{name} paused (pid {number}); let it go on with: make resume NAME={name}")


@lockfile.held()
def resume(name: str) -> None:
    """SIGCONT: a paused part goes on."""
    print(f"{name} goes on (pid {signal(name, signals.SIGCONT)})")


def signal(name: str, number: signals.Signals) -> int:
    """Send a signal to a running part and what it has started; return its pid."""
    part = find(name)
    if not part.pid:
        raise SystemExit(f"{name} does not run ({part.state}); start it with: make start NAME={name}")
    # The supervisor's signalProcess would reach the part alone, not its children; each part leads a process group.
    os.killpg(part.pid, number)
    return part.pid


@lockfile.held()
def scale(name: str, count: int) -> None:
    """Run that many of a part that can be several; those that stay are not touched."""
    if not is_up() or current_mode() != "split":
        raise SystemExit("scale needs a stack that is up with MODE=split")
    known = [*procfile.names("split", {**_counts(), name: count}), *current_beside()]
    new = [one for one in known if one not in supervisor.names()]
    startup.check_ports(new)
    supervisor.reload(known)
    startup.bring_up(new)
    print(f"{name}: {count} of them; the others were not touched")


def ps() -> None:
    """One line per part."""
    found = processes.asked(processes.states().values())
    print(f"{'NAME':<16} {'STATE':<12} {'PID':>8} {'PORT':>6}  READY")
    for part in found:
        why_not = "" if part.why_not == part.state else f": {part.why_not}"
        ready = f"no{why_not}" if part.why_not else "yes"
        print(f"{part.name:<16} {part.state:<12} {part.pid or '-':>8} {part.port:>6}  {ready}")
    if any(part.state == "left over" for part in found):
        print(CRASHED)


def logs(name: str, follow: bool) -> None:
    """The last 50 lines of a part's log; then, with follow, what is added to it."""
    path = LOGS / f"{procfile.check(name, processes.states())}.log"
    if not path.exists():
        raise SystemExit(f"{name} has written no log yet")
    _become(["tail", "-n", "50", *(["-F"] if follow else []), str(path)])


def cqlsh(name: str, statement: str) -> None:
    """cqlsh on one node."""
    nodes = [known for known in procfile.read() if known.startswith("cassandra-")]
    node = ports.endpoints(procfile.check(name, nodes))[0]
    execute = ["-e", statement] if statement else []
    _become([str(BIN / "cqlsh"), *secure.cqlsh(), *execute, node.host, str(node.port)])


def _become(command: list[str]) -> None:
    sys.stdout.flush()
    os.execvp(command[0], command)  # noqa: S606 - no shell
