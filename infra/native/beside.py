"""Processes beside the stack, run only when asked for: `make up WITH=prometheus`.

`make demo` and `make test` need none of them. They are no part of the Procfile, where `honcho start` would run them.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable

from infra.native.wording import WrongWord

#: Name -> command, as a line of the Procfile.
COMMANDS = {"prometheus": "python -m infra.native.serve prometheus"}
#: Those that setup does not bring: the program on PATH that each needs, and how to get it.
PROGRAMS = {
    "prometheus": "apt install prometheus, brew install prometheus, or https://prometheus.io/download",
}


def chosen(text: str) -> list[str]:
    """The names that WITH= lists, comma separated; WrongWord, and SystemExit for a program that is missing."""
    names = text.replace(",", " ").split()
    if unknown := [name for name in names if name not in COMMANDS]:
        raise WrongWord(
            f"nothing that can run beside the stack is called {unknown[0]}; say WITH={','.join(COMMANDS)}"
        )
    check(names)
    return names


def check(names: Iterable[str]) -> None:
    """SystemExit with one line per program that is not on PATH."""
    missing = [name for name in names if name in PROGRAMS and not shutil.which(name)]
    if missing:
        raise SystemExit(
            "\n".join(f"WITH={name} needs the program {name}: {PROGRAMS[name]}" for name in missing)
        )
