"""What is known of each part: its state, its process, whether it is ready, the end of its log."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, NamedTuple

from infra.native import orphans, ports, ready, supervisor
from infra.native.launch import MARK
from infra.native.paths import LOGS

#: A line of a worker that waits, as text or as JSON.
WAITS = re.compile(r'WARNING\] (Waiting for .{1,160})|"WARNING".*"message": "(Waiting for [^"]{1,160})')


class Part(NamedTuple):
    """One process of the stack, as `make ps` shows it."""

    name: str
    state: str  # running, paused, stopped, killed, exited N; left over: runs, and its supervisor has crashed
    pid: int | None = None
    why_not: str = ""  # why it is not ready; empty if it is

    @property
    def port(self) -> str:
        """The port its clients use."""
        return next((str(endpoint.port) for endpoint in ports.endpoints(self.name)), "-")


def states() -> dict[str, Part]:
    """Name, state and pid of every part; readiness is not checked."""
    known = {name: Part(name, "stopped") for name in supervisor.names()}
    found: Iterable[Part]
    if supervisor.answers():
        found = map(_part, supervisor.server().getAllProcessInfo())
    else:
        found = (Part(name, "left over", process.pid) for process, name in orphans.ours().items() if name)
    return known | {part.name: part for part in found}


def _part(info: dict[str, Any]) -> Part:
    name, pid = str(info["name"]), int(info["pid"])
    match info["statename"]:
        case "RUNNING" | "STARTING" | "STOPPING":
            return Part(name, "paused" if orphans.paused(pid) else "running", pid)
        case "EXITED" if info["exitstatus"] == -1:
            return Part(name, _ended_by(name))
        case "EXITED":
            return Part(name, f"exited {info['exitstatus']}")
        case _:
            return Part(name, "stopped")


def _ended_by(name: str) -> str:
    """Which signal: supervisord reports -1 for each of them and names it only in its log."""
    text = (LOGS / "supervisord.log").read_text(errors="replace")
    found = re.findall(rf"exited: {re.escape(name)} \(terminated by (SIG\w+)", text)
    return "killed" if not found or found[-1] == "SIGKILL" else f"ended by {found[-1]}"


def asked(parts: Iterable[Part]) -> list[Part]:
    """The same parts, with the readiness of those that run."""
    parts = list(parts)
    answers = ready.all_ready(part.name for part in parts if part.state == "running")
    return [part._replace(why_not=answers.get(part.name, part.state) or "") for part in parts]


def waits_for(name: str) -> str:
    """What a starting part says it waits for, if that is the last line of its log; else empty."""
    found = WAITS.search(last_words(name, 1))
    return (found[1] or found[2]) if found else ""


def last_words(name: str, count: int = 15) -> str:
    """The end of a part's log since its last start, and the last errors before these lines."""
    path = LOGS / f"{name}.log"
    text = path.read_text(errors="replace") if path.exists() else ""
    lines = text[text.rfind(MARK) :].splitlines()[1:] if MARK in text else text.splitlines()
    # a worker logs the end of each of its services, so the reason is not among the last lines
    errors = [line for line in lines[:-count] if re.search(r"\b(ERROR|CRITICAL|FATAL)\b", line)]
    shown = [*errors[-3:], "…"] * bool(errors) + lines[-count:]
    return "\n".join(f"    {line}" for line in shown or ["(it has written nothing)"])
