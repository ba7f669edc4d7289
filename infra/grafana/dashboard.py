"""From a few lines per panel to the JSON that Grafana reads; sizes and colours are the same everywhere."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "dashboards"
DATASOURCE = {"type": "prometheus", "uid": "prometheus"}
COLUMNS, HEIGHT = 24, 8


@dataclass(frozen=True)
class Panel:
    """A chart; `unit` is Grafana's name of it (s, short, reqps, percentunit, bytes), `queries` legend -> PromQL."""

    title: str
    unit: str
    queries: Mapping[str, str]
    about: str = ""
    width: int = 8
    stacked: bool = False


@dataclass(frozen=True)
class Dashboard:
    """`name` is its file's and its uid."""

    name: str
    title: str
    panels: Sequence[Panel]


def as_text(dashboard: Dashboard) -> str:
    """The file: the same for the same description."""
    return json.dumps(_as_json(dashboard), indent=1) + "\n"


def _as_json(dashboard: Dashboard) -> dict[str, Any]:
    return {
        "uid": f"payments-{dashboard.name}",
        "title": dashboard.title,
        "tags": ["payments"],
        "schemaVersion": 39,
        "refresh": "5s",
        "time": {"from": "now-15m", "to": "now"},
        "graphTooltip": 1,  # one crosshair through all panels
        "links": [{"type": "dashboards", "tags": ["payments"], "title": "Payments", "keepTime": True}],
        "panels": _placed(dashboard.panels),
    }


def _placed(panels: Sequence[Panel]) -> list[dict[str, Any]]:
    """From left to right, row by row."""
    placed, x, y = list[dict[str, Any]](), 0, 0
    for number, panel in enumerate(panels, 1):
        if x + panel.width > COLUMNS:
            x, y = 0, y + HEIGHT
        place = {"x": x, "y": y, "w": panel.width, "h": HEIGHT}
        placed.append({"id": number, "gridPos": place, **_panel(panel)})
        x += panel.width
    return placed


def _panel(panel: Panel) -> dict[str, Any]:
    targets = [
        {"refId": chr(ord("A") + number), "datasource": DATASOURCE, "expr": expr, "legendFormat": legend}
        for number, (legend, expr) in enumerate(panel.queries.items())
    ]
    custom = {"fillOpacity": 10, "showPoints": "never", "spanNulls": False}
    if panel.stacked:
        custom |= {"fillOpacity": 40, "stacking": {"mode": "normal"}}
    return {
        "type": "timeseries",
        "title": panel.title,
        "description": panel.about,
        "datasource": DATASOURCE,
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0, "custom": custom}, "overrides": []},
        "options": {
            "legend": {"displayMode": "table", "placement": "bottom", "calcs": ["lastNotNull", "max"]},
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
        "targets": targets,
    }
