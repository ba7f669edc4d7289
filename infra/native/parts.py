"""How each part is: its state, its process, whether it is ready, its last words."""

from __future__ import annotations

import re
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from infra.native import config, orphans, ports, procfile, ready, supervisor
from infra.native.folders import LOGS
from infra.native.launch import MARK


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
    stopped = {name: Part(name, "stopped") for name in procfile.read()}
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
    """The supervisor answers -1 for every signal and tells which one in its log alone."""
    text = (LOGS / "supervisord.log").read_text(errors="replace")
    found = re.findall(rf"exited: {re.escape(name)} \(terminated by (SIG\w+)", text)
    return "killed" if not found or found[-1] == "SIGKILL" else f"ended by {found[-1]}"


def asked(parts: Iterable[Part]) -> list[Part]:
    """The same parts, each asked whether it is ready; side by side, since one that hangs takes its time."""
    parts = list(parts)
    with ThreadPoolExecutor(max_workers=max(len(parts), 1)) as pool:
        return list(pool.map(_asked, parts))


def _asked(part: Part) -> Part:
    if part.state != "running":
        return part._replace(why_not=part.state)
    return part._replace(why_not=ready.is_ready(part.name) or "")


def last_words(name: str, lines: int = 15) -> str:
    """The end of a part's log, since it was last started, to be shown to a person."""
    path = LOGS / f"{name}.log"
    text = path.read_text(errors="replace") if path.exists() else ""
    since = text[text.rfind(MARK) :] if MARK in text else text
    shown = since.splitlines()[1:][-lines:]
    return "\n".join(f"    {line}" for line in shown or ["(it has written nothing)"])
