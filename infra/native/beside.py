"""Processes beside the stack, run only when asked for: `make up WITH=prometheus,traces`.

`make demo` and `make test` need none of them. They are no part of the Procfile, where `honcho start` would run them.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable

from infra.native import ports, zipkin
from infra.native.wording import WrongWord

#: Name -> command, as a line of the Procfile.
COMMANDS = {
    "prometheus": "python -m infra.native.serve prometheus",
    "traces": "python -m infra.native.traces",
}
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
    """SystemExit with one line per program that is not on PATH; what setup leaves out is fetched."""
    missing = [name for name in names if name in PROGRAMS and not shutil.which(name)]
    if missing:
        raise SystemExit(
            "\n".join(f"WITH={name} needs the program {name}: {PROGRAMS[name]}" for name in missing)
        )
    if "traces" in names:
        zipkin.fetch()


def environment(known: Iterable[str]) -> dict[str, str]:
    """What the parts are told while these are known, where the user's own variables do not say it."""
    if "traces" not in known:
        return {}
    page, receiver = ports.endpoints("traces")
    return {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{receiver}",
        "TRACE_URL": f"http://{page}/zipkin/traces/{{trace_id}}",
    }
