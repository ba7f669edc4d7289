"""How each part is: its state, its process, whether it is ready, its last words."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, NamedTuple

from infra.native import config, orphans, ports, procfile, ready, supervisor
from infra.native.launch import MARK
from infra.native.paths import LOGS


class Part(NamedTuple):
    """One process as a person wants to see it."""

    name: str
    state: str  # running, paused, stopped, killed, exited N; left over: runs, and its supervisor has crashed
    pid: int | None = None
    why_not: str = ""  # why it is not ready; empty if it is

    @property
    def port(self) -> str:
        """The port its clients use."""
        try:
            return str(ports.endpoints(self.name)[0].port)
        except (KeyError, IndexError):
            return "-"


def states() -> dict[str, Part]:
    """Name, state and pid of every part; asks no part anything."""
    if supervisor.answers():
        known = {part.name: part for part in (_part(info) for info in supervisor.infos())}
        return {name: known[name] for name in config.names() if name in known}
    left = {name: process.pid for process, name in orphans.ours().items() if name}
    stopped = {name: Part(name, "stopped") for name in config.names()}
    return stopped | {name: Part(name, "left over", pid) for name, pid in left.items()}


def _part(info: dict[str, Any]) -> Part:
    name, pid = str(info["name"]), int(info["pid"])
    match info["statename"]:
        case "RUNNING" | "STARTING" | "STOPPING":
            return Part(name, "paused" if orphans.paused(pid) else "running", pid)
        case "EXITED" if info["exitstatus"] == -1:
            return Part(name, _signalled(name))
        case "EXITED":
            return Part(name, f"exited {info['exitstatus']}")
        case _:
            return Part(name, "stopped")


def _signalled(name: str) -> str:
    """The supervisor answers -1 for every signal and names it in its log alone."""
    text = (LOGS / "supervisord.log").read_text(errors="replace")
    found = re.findall(rf"exited: {re.escape(name)} \(terminated by (SIG\w+)", text)
    return "killed" if not found or found[-1] == "SIGKILL" else f"ended by {found[-1]}"


def asked(parts: Iterable[Part]) -> list[Part]:
    """The same parts, each that runs asked whether it is ready."""
    parts = list(parts)
    running = [part.name for part in parts if part.state == "running"]
    answers = ready.all_ready(name for name in running if has_port(name))
    return [part._replace(why_not=_why_not(part, answers)) for part in parts]


def _why_not(part: Part, answers: dict[str, str | None]) -> str:
    return (answers.get(part.name) or "") if part.state == "running" else part.state


def has_port(name: str) -> bool:
    """True for a part that ports.py knows; one that a user adds to the Procfile is ready when it runs."""
    return name in ports.table() or bool(procfile.environment(name))


def waits_for(name: str) -> str:
    """What a part that starts says it waits for, if it says so last; empty if not."""
    found = re.search(r"WARNING\] (Waiting for .{1,160})", last_words(name, 1))
    return found[1] if found else ""


def last_words(name: str, count: int = 15) -> str:
    """The end of a part's log, since it was last started; and what it called an error before that."""
    path = LOGS / f"{name}.log"
    text = path.read_text(errors="replace") if path.exists() else ""
    lines = text[text.rfind(MARK) :].splitlines()[1:] if MARK in text else text.splitlines()
    # a worker that ends says so for each of its services, and the reason has long scrolled away
    errors = [line for line in lines[:-count] if re.search(r"\b(ERROR|CRITICAL|FATAL)\b", line)]
    shown = [*errors[-3:], "…"] * bool(errors) + lines[-count:]
    return "\n".join(f"    {line}" for line in shown or ["(it has written nothing)"])
