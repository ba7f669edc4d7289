"""Queries of dashboards and alerts: which there are, and which metrics they name."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import NamedTuple

import yaml

INFRA = Path(__file__).parents[2] / "infra"
RULES = INFRA / "prometheus" / "alerts.yml"
DASHBOARDS = sorted((INFRA / "grafana" / "dashboards").glob("*.json"))

_TEXT = re.compile(r'"[^"]*"|\{[^}]*\}|\[[^\]]*\]')
_LABELS = re.compile(r"\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)")
_FUNCTION = re.compile(r"\b[a-z_]+\s*(?=\()")
_WORD = re.compile(r"[A-Za-z_:][\w:]*")
_COMPARISON = re.compile(r"\s(?:[<>]=?|[=!]=)\s+[\d.]+")
_KEYWORDS = {"and", "or", "unless", "bool", "offset"}


class Query(NamedTuple):
    """Where it is, and what it asks."""

    where: str
    expr: str


def of_panels() -> list[Query]:
    """Every query of every panel of every dashboard."""
    return [
        Query(f"{path.stem}: {panel['title']}: {target['legendFormat']}", target["expr"])
        for path in DASHBOARDS
        for panel in json.loads(path.read_text())["panels"]
        for target in panel["targets"]
    ]


def rules() -> list[dict[str, str]]:
    """The alerts, as the file has them."""
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def of_alerts() -> list[Query]:
    """The expression of each alert."""
    return [Query(rule["alert"], rule["expr"]) for rule in rules()]


def without_comparisons(expr: str) -> str:
    """What an alert looks at, whatever its value is."""
    return _COMPARISON.sub("", expr)


def metrics_of(expr: str) -> set[str]:
    """The metrics that a query names: what is left without labels, functions, operators and texts."""
    for part in (_TEXT, _LABELS, _FUNCTION):
        expr = part.sub(" ", expr)
    return set(_WORD.findall(expr)) - _KEYWORDS
