"""The supervisor's configuration, made from the Procfile; and what it says, once written."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterable
from pathlib import Path

from infra.native import procfile
from infra.native.paths import CODE, LOGS, ROOT, SUPERVISOR, socket_dir

CONFIG = SUPERVISOR / "supervisord.conf"


def text(names: Iterable[str]) -> str:
    """The configuration: nothing starts or restarts by itself, each part logs to a file of bounded size."""
    sections: dict[str, dict[str, object]] = {
        "unix_http_server": {"file": socket(), "chmod": "0600"},
        "rpcinterface:supervisor": {
            "supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"
        },
        "supervisord": {
            "logfile": _from_root(LOGS / "supervisord.log"),
            "logfile_maxbytes": "1MB",
            "logfile_backups": 1,
            "pidfile": _from_root(SUPERVISOR / "supervisord.pid"),
            "childlogdir": _from_root(LOGS),
        },
    }
    sections |= {f"program:{name}": _program(name) for name in names}
    lines: list[str] = []
    for section, values in sections.items():
        lines += [f"[{section}]", *(f"{key} = {value}" for key, value in values.items()), ""]
    return "\n".join(lines)


def _program(name: str) -> dict[str, object]:
    launch = CODE / "infra" / "native" / "launch.py"
    return {
        "command": quoted([sys.executable, "-IS", str(launch), str(start_file(name))]),
        "autostart": "false",
        "autorestart": "false",
        "startsecs": 0,  # running at once; whether it is ready is asked of the part itself
        "startretries": 0,
        "stopwaitsecs": int(procfile.GRACE[procfile.stage(name)]),
        "killasgroup": "true",
        "redirect_stderr": "true",
        "stdout_logfile": _from_root(LOGS / f"{name}.log"),
        "stdout_logfile_maxbytes": "10MB",
        "stdout_logfile_backups": 2,
    }


def quoted(command: Iterable[str]) -> str:
    """A command as supervisord reads it: it expands %, and takes a # or ; after a blank for a comment."""
    # shlex has put a word with a blank between single quotes: two more of them change nothing and stand between
    return re.sub(r"(?<=\s)([#;])", r"''\1", shlex.join(command)).replace("%", "%%")


def _from_root(path: Path) -> Path:
    # supervisord runs in the repository's folder, whose own name may have signs that it would expand
    return path.relative_to(ROOT)


def start_file(name: str) -> Path:
    """The command and the environment with which a part was last started; launch.py reads it."""
    return SUPERVISOR / f"{name}.json"


def socket() -> Path:
    """The supervisor's socket."""
    return socket_dir() / "supervisor.sock"


def write(names: Iterable[str]) -> None:
    """Write the configuration for these parts."""
    for folder in (SUPERVISOR, LOGS):
        folder.mkdir(parents=True, exist_ok=True)
    SUPERVISOR.chmod(0o700)
    CONFIG.write_text(text(names))


def names() -> list[str]:
    """The parts the supervisor knows of, in order; those of the Procfile while there is none."""
    if not CONFIG.exists():
        return list(procfile.read())
    return re.findall(r"^\[program:(.+)\]$", CONFIG.read_text(), re.MULTILINE)
