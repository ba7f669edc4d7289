"""What is done to a part: it dies (SIGKILL), hangs (SIGSTOP), comes back; each act is shown, with its proof."""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Collection
from dataclasses import dataclass, field

from exercises import calls
from exercises.calls import RecordedCalls, wrapped
from exercises.load_client import Say
from generator.client import Answer
from infra.native import ports, processes, ready, stack, startup, supervisor
from infra.native.paths import LOGS


@dataclass
class Faults:
    """On the parts of the running stack; `restore` undoes what is left of them."""

    say: Say
    recorded_calls: RecordedCalls = field(default_factory=RecordedCalls)  # at work, the clients' own
    _changed: dict[str, tuple[dict[str, str], str | None]] = field(default_factory=dict)
    _counts: dict[str, int] = field(default_factory=dict)  # how many there were before

    def die(self, *names: str, shown: bool = True) -> float:
        """SIGKILL; shows the pid, the refused port and a client's calls meanwhile; gives the moment before it."""
        began = time.monotonic()
        pids = {name: stack.signal(name, signal.SIGKILL) for name in names}
        for name, pid in pids.items():
            while stack.pid(name) == pid:
                time.sleep(0.02)
            self.say(f"  kill -9 {name}, pid {pid}; {_refusal(name)}")
        if shown:
            self.client_now()
        return began

    def hang(self, *names: str, shown: bool = True) -> float:
        """SIGSTOP: its connections stay open and nothing answers; gives the moment before it."""
        began = time.monotonic()
        for name in names:
            pid = stack.signal(name, signal.SIGSTOP)
            self.say(f"  kill -STOP {name}, pid {pid}; asked, it says: {ready.is_ready(name)}")
        if shown:
            self.client_now()
        return began

    def back(self, *names: str) -> None:
        """Start or wake them, side by side, and wait until all are ready."""
        began = time.monotonic()
        for name in names:
            if stack.find(name).state == "paused":
                stack.signal(name, signal.SIGCONT)
            elif stack.pid(name) is None:
                supervisor.start(name, *self._changed.get(name, ({}, None)))
        until_ready(names)
        self.say(f"  back: {', '.join(names)}, ready after {time.monotonic() - began:.1f} s")

    def replace(
        self,
        *names: str,
        settings: dict[str, str] | None = None,
        command: str | None = None,
        start: bool = True,
    ) -> None:
        """Run parts with other settings, or another command in their place, until the end of the exercise."""
        for name in names:
            self._changed[name] = (settings or {}, command)
            if stack.pid(name) is not None:
                supervisor.stop(name)
            words = [f"{key}={value}" for key, value in (settings or {}).items()]
            self.say(f"  {name} is to run as: {' '.join([*words, command or 'usual'])}")
        if start:
            self.back(*names)

    def begin(self, name: str) -> None:
        """Start it and do not wait: it cannot become ready now."""
        supervisor.start(name, *self._changed.get(name, ({}, None)))
        self.say(f"  {name} is started, pid {stack.pid(name)}")

    def scale(self, name: str, count: int) -> None:
        """Run so many of a part, until the end of the exercise; says itself what it has done."""
        self._counts.setdefault(name, stack.current_scale(name))
        stack.scale(name, count)

    def stop(self, name: str) -> None:
        """SIGTERM: it ends as it likes to end."""
        pid, began = stack.pid(name), time.monotonic()
        supervisor.stop(name)
        self.say(f"  stopped {name}, pid {pid}, in {time.monotonic() - began:.1f} s; {_refusal(name)}")

    def client_now(self) -> Answer:
        """One POST and one GET, as a client sends them, both recorded; returns the answer to the POST."""
        self.recorded_calls.answers.append(post := calls.post())
        self._say("POST:", post.status, post.answered - post.sent, post.error)
        self.recorded_calls.gets.append(get := calls.get())
        self._say("GET: ", get.status, get.took, get.error or f"from {get.source}")
        return post

    def _say(self, call: str, status: int, took: float, said: str) -> None:
        self.say(wrapped(f"a client's {call} {status or 'no answer'} in {took * 1000:.0f} ms {said}"))

    def restore(self) -> None:
        """Every part as it was: awake, with its own command and settings, running and ready."""
        changed, self._changed = self._changed, {}
        for name, part in processes.states().items():
            if part.state == "paused":
                stack.signal(name, signal.SIGCONT)
            if name in changed and part.pid:
                supervisor.stop(name)
        for name, count in self._counts.items():
            if count != stack.current_scale(name):
                stack.scale(name, count)
        dead = [name for name, part in processes.states().items() if name != "generator" and not part.pid]
        if dead:
            self.say(f"\n> Restoring {', '.join(dead)}")
            self.back(*dead)


class PartLog:
    """What a part writes into its log from now on."""

    def __init__(self, part: str) -> None:
        self._path = LOGS / f"{part}.log"
        self._begin = self._path.stat().st_size

    def lines(self, *words: str) -> list[str]:
        """The lines with all of these words."""
        text = self._path.read_bytes()[self._begin :].decode(errors="replace")
        return [line for line in text.splitlines() if all(word in line for word in words)]


def control(name: str) -> str:
    """The command of a worker without one safeguard: a module of exercises/controls."""
    return f"faust -A exercises.controls.{name} worker --loglevel info"


def until_ready(names: Collection[str], within: float = 300.0) -> None:
    """Wait; a part that died, or takes longer, ends the exercise with the end of its log."""
    ends = time.monotonic() + within
    while waiting := [part for part in processes.asked(map(stack.find, names)) if part.why_not]:
        if time.monotonic() > ends or any(part.state != "running" for part in waiting):
            raise SystemExit("\n".join(startup.failure(part) for part in waiting))
        time.sleep(0.1)


def _refusal(name: str) -> str:
    """What a connection to its port gives now."""
    endpoint = ports.endpoints(name)[0]
    with socket.socket() as probe:
        probe.settimeout(1)
        try:
            probe.connect(endpoint)
        except ConnectionRefusedError:
            return f"{endpoint} refuses connections"
        except TimeoutError:
            return f"{endpoint} does not answer"
    return f"{endpoint} still takes connections"
