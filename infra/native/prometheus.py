"""Prometheus beside the stack: the files of infra/prometheus, and the targets of the parts that there are."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from infra.native import ports
from infra.native.paths import INFRA, SUPERVISOR, data

FILES = ("prometheus.yml", "alerts.yml")
GENERATOR = ports.Endpoint("127.0.0.1", 5016)  # its metrics: it serves nothing else
#: Which of its addresses has a part's metrics, and under which path, where that is not the first and /metrics.
ADDRESS = {"antifraud": 1, "envoy": 1}
WORKERS = ("bff", "transactions", "main")
PATHS = {"envoy": "/stats/prometheus"}
SCRAPED = ("antifraud", "envoy", "bff", "transactions", "main", "generator", "prometheus")
KEEP = ("--storage.tsdb.retention.time=15d", "--storage.tsdb.retention.size=1GB")


def folder() -> Path:
    """Where its configuration lies; `make down` removes it with the supervisor's."""
    return SUPERVISOR / "prometheus"


def command() -> list[str]:
    """The command that starts Prometheus."""
    binary = shutil.which("prometheus")
    if not binary:
        raise SystemExit("the program prometheus is not on PATH")
    folder().mkdir(parents=True, exist_ok=True)
    for name in FILES:
        shutil.copyfile(INFRA / "prometheus" / name, folder() / name)
    return [
        binary,
        f"--config.file={folder() / 'prometheus.yml'}",
        f"--storage.tsdb.path={data('prometheus')}",
        f"--web.listen-address={ports.endpoints('prometheus')[0]}",
        "--log.level=warn",
        *KEEP,
    ]


def targets(parts: Iterable[str]) -> list[dict[str, Any]]:
    """Prometheus' list of targets (file_sd): one for each of these parts that has metrics."""
    found = []
    for part in parts:
        kind = re.sub(r"-\d+$", "", part)
        if kind in SCRAPED:
            labels = {"job": kind, "instance": part}
            labels |= {"__metrics_path__": PATHS[kind]} if kind in PATHS else {}
            found.append({"targets": [str(_metrics_of(part, kind))], "labels": labels})
    return found


def _metrics_of(part: str, kind: str) -> ports.Endpoint:
    if kind == "generator":
        return GENERATOR
    if kind in WORKERS and (management := ports.management(part)):
        return management
    return ports.endpoints(part)[ADDRESS.get(kind, 0)]


def write_targets(parts: Iterable[str]) -> None:
    """For a Prometheus that runs or will run: it reads the file again when it changes."""
    folder().mkdir(parents=True, exist_ok=True)
    path = folder() / "targets.json"
    new = path.with_suffix(".new")
    new.write_text(json.dumps(targets(parts), indent=2) + "\n")
    new.replace(path)
