"""Runs supervisord and calls it over its own socket: which parts it knows, starting and stopping them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from http.client import HTTPException
from pathlib import Path
from string import Template
from typing import Any
from xmlrpc.client import Fault

from supervisor.childutils import getRPCInterface

from infra.native import beside, brokers, lockfile, orphans, ports, procfile, prometheus, secure
from infra.native.paths import BIN, DATA, INFRA, LOGS, ROOT, SUPERVISOR, make_private, socket_dir

CONFIG = SUPERVISOR / "supervisord.conf"
# Paths that supervisord.conf names as %(ENV_…)s: what is in them is not expanded again.
NAMED_IN_CONFIG = {"PYTHON": sys.executable, "LAUNCH": str(INFRA / "native" / "launch.py")}

# Variables between make and the shell are not settings of a part. Nor are those set for other programs: parts talk to
# each other directly, without a proxy, and run on the Java and Python that setup installed.
NOT_PASSED_ON = re.compile(
    f"(?i:.*_proxy)|MAKE(FLAGS|LEVEL|OVERRIDES)|MFLAGS|NAME|N|KAFKA|SECURE|ONLY|WITH|MODE|FORM|CQL|{lockfile.MARK}|"
    "JAVA_TOOL_OPTIONS|_JAVA_OPTIONS|CLASSPATH|PYTHON(HOME|SAFEPATH|STARTUP|WARNINGS|OPTIMIZE)"
)

#: What a worker must not lose because somebody starts it with fewer words than before.
ACCESS = ("TOKENS_FILE", "TLS_CERTIFICATE")


def socket() -> Path:
    """The supervisor's socket."""
    return socket_dir() / "supervisor.sock"


def server() -> Any:
    """supervisord's XML-RPC interface (supervisord.org/api.html)."""
    return getRPCInterface({"SUPERVISOR_SERVER_URL": f"unix://{socket()}"}).supervisor


def answers() -> bool:
    """True if supervisord runs; SystemExit where its socket's folder is not ours alone."""
    if socket_dir().is_symlink() or socket_dir().exists():
        make_private(socket_dir())
    try:
        return bool(server().getState())
    except (OSError, HTTPException):
        return False


def configure(parts: Iterable[str]) -> None:
    """Write the configuration for these parts, and what Prometheus is to ask if it runs."""
    parts = list(parts)
    for folder in (SUPERVISOR, LOGS):
        folder.mkdir(parents=True, exist_ok=True)
    SUPERVISOR.chmod(0o700)
    prometheus.write_targets(parts)
    text = (INFRA / "native" / "supervisord.conf").read_text()
    common, part = (Template(piece) for piece in re.split(r"(?=^\[program:)", text, flags=re.MULTILINE))
    sections = [part.substitute(name=name, grace=int(procfile.GRACE[procfile.stage(name)])) for name in parts]
    CONFIG.write_text("\n".join([common.substitute(socket=socket()), *sections]))


def names() -> list[str]:
    """The parts that supervisord knows, in order; those of the Procfile while it does not run."""
    if not CONFIG.exists():
        return list(procfile.read())
    return re.findall(r"^\[program:(.+)\]$", CONFIG.read_text(), re.MULTILINE)


def launch(parts: Iterable[str]) -> None:
    """Start supervisord in the background, with no part running yet."""
    make_private(socket_dir())
    configure(parts)
    command = [sys.executable, "-m", "supervisor.supervisord", "-c", str(CONFIG)]
    environment = os.environ | {orphans.STACK: str(ROOT)} | NAMED_IN_CONFIG
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:  # it listens before it goes into the background
        raise SystemExit(f"the supervisor did not start: {(done.stderr or done.stdout).strip()}")


def reload(parts: Iterable[str]) -> None:
    """Make supervisord know these parts; those that stay are not touched."""
    configure(parts)
    added, _, removed = server().reloadConfig()[0]
    for name in removed:
        stop(name)
        server().removeProcessGroup(name)
    for name in added:
        server().addProcessGroup(name)


def is_passed_on(variable: str) -> bool:
    """Whether a part inherits the variable from the command that starts it."""
    return not NOT_PASSED_ON.fullmatch(variable)


def check_access(name: str, environment: Mapping[str, str]) -> None:
    """SystemExit where the part, or the first of its kind, had tokens or TLS and this start would be without a word."""
    kind, _ = ports.further(name) or (name, 1)
    last = next((file for one in (name, kind) if (file := SUPERVISOR / f"{one}.json").exists()), None)
    before = json.loads(last.read_text())["environment"] if last else {}
    for setting in ACCESS:
        spellings = {setting, f"PAYMENTS_{setting}"}
        for had in spellings & {variable for variable, value in before.items() if value}:
            if not spellings & environment.keys():
                raise SystemExit(
                    f"{name} would start without {had}, which its last start had: say {had}={before[had]} again, "
                    f"or {had}= if it is to start without"
                )


def start(name: str, extra: dict[str, str] | None = None, command: str | None = None) -> None:
    """Start one part with the environment of this command; `command` replaces the Procfile's."""
    check_access(name, os.environ | (extra or {}))
    kept = {key: value for key, value in os.environ.items() if is_passed_on(key)}
    environment = (
        brokers.environment()
        | secure.environment()
        | beside.environment(names())
        | kept
        | procfile.environment(name)
        | (extra or {})
    )
    environment = {"PAYMENTS_HISTORY_DIR": str(DATA / "history")} | environment
    environment |= {orphans.STACK: str(ROOT), orphans.PART: name, "PYTHONUNBUFFERED": "1"}
    environment["PATH"] = f"{BIN}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    wanted = {"name": name, "command": command or procfile.command(name), "environment": environment}
    (SUPERVISOR / f"{name}.json").write_text(json.dumps(wanted))  # launch.py reads it; nobody else can
    try:
        server().startProcess(name, False)
    except Fault as fault:
        if "ALREADY_STARTED" not in fault.faultString:  # by another command
            raise


def stop(name: str) -> None:
    """Ask one part to end, and wait; no-op if it does not run."""
    try:
        server().signalProcess(name, "CONT")  # a paused one would not get the SIGTERM
        server().stopProcess(name)
    except Fault as fault:
        if "NOT_RUNNING" not in fault.faultString:
            raise


def forget() -> None:
    """Remove the files and the socket of a supervisord that has ended."""
    shutil.rmtree(SUPERVISOR, ignore_errors=True)
    shutil.rmtree(socket_dir(), ignore_errors=True)
