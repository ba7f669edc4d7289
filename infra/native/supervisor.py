"""The talk with supervisord over its own socket: which parts it knows, starting and stopping them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import Iterable
from http.client import HTTPException
from typing import Any

from supervisor.xmlrpc import SupervisorTransport

from infra.native import config, lockfile, orphans, procfile
from infra.native.paths import BIN, ROOT, SUPERVISOR, make_private, socket_dir

# What make and the shell say to each other is no setting of a part.
NOT_PASSED_ON = (
    "MAKEFLAGS",
    "MAKELEVEL",
    "MAKEOVERRIDES",
    "MFLAGS",
    "NAME",
    "ONLY",
    "MODE",
    "FORM",
    "CQL",
    lockfile.MARK,
)

# Nor is what somebody has set for other programs: the parts are each other's neighbours, so no proxy stands between
# them, and Java and Python are the ones that setup brought.
FOR_OTHERS = (
    "JAVA_TOOL_OPTIONS",
    "_JAVA_OPTIONS",
    "CLASSPATH",
    "PYTHONHOME",
    "PYTHONSAFEPATH",
    "PYTHONSTARTUP",
    "PYTHONWARNINGS",
    "PYTHONOPTIMIZE",
)


def server() -> Any:
    """The supervisor's interface (its methods: supervisord.org/api.html)."""
    transport = SupervisorTransport("", "", f"unix://{config.socket()}")
    return xmlrpc.client.ServerProxy("http://supervisor", transport=transport).supervisor


def answers() -> bool:
    """True if the supervisor runs."""
    try:
        return bool(server().getState())
    except (OSError, HTTPException):
        return False


def infos() -> list[dict[str, Any]]:
    """What the supervisor knows of each part."""
    found: list[dict[str, Any]] = server().getAllProcessInfo()
    return found


def launch(parts: Iterable[str]) -> None:
    """Start the supervisor, with no part running yet; it goes on in the background."""
    make_private(socket_dir())
    config.write(parts)
    command = [sys.executable, "-m", "supervisor.supervisord", "-c", str(config.CONFIG)]
    mark = os.environ | {orphans.STACK: str(ROOT)}
    done = subprocess.run(command, env=mark, cwd=ROOT, capture_output=True, text=True, check=False)
    deadline = time.monotonic() + 10
    while not answers():
        if done.returncode or time.monotonic() > deadline:
            raise SystemExit(f"the supervisor did not start: {(done.stderr or done.stdout).strip()}")
        time.sleep(0.05)


def reload(parts: Iterable[str]) -> None:
    """Make the supervisor know these parts; those that stay are not touched."""
    config.write(parts)
    added, _, removed = server().reloadConfig()[0]
    for name in removed:
        stop(name)
        server().removeProcessGroup(name)
    for name in added:
        server().addProcessGroup(name)


def is_passed_on(variable: str) -> bool:
    """Whether a part gets it from the environment of the command that starts it."""
    is_proxy = variable.lower().endswith("_proxy")
    return variable not in NOT_PASSED_ON and variable not in FOR_OTHERS and not is_proxy


def start(name: str, extra: dict[str, str] | None = None, command: str | None = None) -> None:
    """Start one part with the environment of this command; another command than the Procfile's if one is given."""
    kept = {key: value for key, value in os.environ.items() if is_passed_on(key)}
    environment = kept | procfile.environment(name) | (extra or {})
    environment |= {
        orphans.STACK: str(ROOT),
        orphans.PART: name,
        "PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "PYTHONUNBUFFERED": "1",
    }
    file = os.open(config.start_file(name), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(file, "w") as out:
        json.dump(
            {"name": name, "command": command or procfile.command(name), "environment": environment}, out
        )
    try:
        server().startProcess(name, False)
    except xmlrpc.client.Fault as fault:
        if "ALREADY_STARTED" not in fault.faultString:  # two commands may want the same
            raise


def stop(name: str) -> None:
    """Ask one part to end, and wait; nothing if it does not run."""
    try:
        server().signalProcess(name, "CONT")  # a paused one could not hear it
        server().stopProcess(name)
    except xmlrpc.client.Fault as fault:
        if "NOT_RUNNING" not in fault.faultString:
            raise


def forget() -> None:
    """Remove what a supervisor that has ended left behind."""
    shutil.rmtree(SUPERVISOR, ignore_errors=True)
    shutil.rmtree(socket_dir(), ignore_errors=True)
