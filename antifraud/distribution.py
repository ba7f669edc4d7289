"""How a model's inputs and score were distributed in training: the file distribution.json beside its model.json.

A replica compares what it is asked with it (drift.py). It is no part of the model: without it nothing is compared.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

FILE = "distribution.json"
SCORE = "score"  # beside the inputs' own names
#: Hours of the day, UTC, each with shares of its own: at night others buy, and other things, and that is no change.
HOURS = 24
STEP = 2.0**-12  # inputs are multiples of it
#: Bins end at these shares of the training rows, as far as the values there differ.
SHARES = (0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)

#: Inputs that differ from training although nothing has changed: some minutes are always one hour of one day, and the
#: day before was one weekday; the others grow with every day that a log has.
NOT_COMPARED = (
    "hour_sin", "hour_cos", "weekend", "merchant_count_1d",
    "known", "merchant_customers", "merchant_frauds",
    "merchant_days_since_first_fraud", "merchant_days_since_last_fraud",
)  # fmt: skip


@dataclass(frozen=True)
class Bins:
    """Of one input: bin i has the values from edges[i - 1] to below edges[i]."""

    name: str
    edges: Floats
    rows: Ints  # HOURS x bins

    def to_json(self) -> dict[str, Any]:
        """Return the bins as JSON's lists."""
        return {"name": self.name, "edges": self.edges.tolist(), "rows": self.rows.tolist()}

    @classmethod
    def from_json(cls, saved: dict[str, Any]) -> Bins:
        """Return the bins of to_json; ValueError for what are none."""
        edges, rows = np.array(saved["edges"], np.float64), np.array(saved["rows"], np.int64)
        if rows.shape != (HOURS, len(edges) + 1) or (np.diff(edges) <= 0).any() or not rows.any():
            raise ValueError(f"{saved['name']}: no bins of {HOURS} hours")
        return cls(saved["name"], edges, rows)


@dataclass(frozen=True)
class Distribution:
    """Of one model's training rows."""

    model_version: str
    bins: Sequence[Bins]


def distribution(
    model_version: str,
    names: Sequence[str],
    values: Floats,
    hours: Ints,
    not_compared: Sequence[str] = NOT_COMPARED,
) -> Distribution:
    """Return the distribution of rows: `values` are rows x names, `hours` each row's (hours_of)."""
    chosen = [
        (name, column) for name, column in zip(names, values.T, strict=True) if name not in not_compared
    ]
    return Distribution(model_version, [_bins(name, column, hours) for name, column in chosen])


def hours_of(timestamps: Any) -> Ints:
    """Return the hour of the day, UTC, of seconds since 1970."""
    hours: Ints = np.asarray(timestamps, np.int64) % 86_400 // 3_600
    return hours


def save(found: Distribution, folder: Path) -> None:
    """Write the file; the same distribution gives the same bytes."""
    lines = ",\n".join(json.dumps(bins.to_json(), separators=(",", ":")) for bins in found.bins)
    (folder / FILE).write_text(f'{{"model_version": "{found.model_version}", "bins": [\n{lines}\n]}}\n')


def load(folder: Path, model_version: str) -> Distribution | None:
    """Return what is saved beside the model, None if there is no file; another model's or a damaged one: ValueError."""
    if not (folder / FILE).exists():
        return None
    try:
        saved = json.loads((folder / FILE).read_text())
        found = Distribution(saved["model_version"], [Bins.from_json(one) for one in saved["bins"]])
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{folder / FILE}: {error}") from error
    if found.model_version != model_version:
        raise ValueError(f"{folder / FILE}: is of {found.model_version}, not of {model_version}")
    return found


def _bins(name: str, column: Floats, hours: Ints) -> Bins:
    edges = np.unique(np.quantile(column, SHARES, method="higher"))
    edges = edges[edges > column.min()]
    if not len(
        edges
    ):  # nearly all rows have the least value: one bin for it, one for all others, though none was there
        edges = np.unique(np.append(column, column.max() + STEP))[1:2]
    place = hours * (len(edges) + 1) + np.searchsorted(edges, column, side="right")
    rows = np.bincount(place, minlength=HOURS * (len(edges) + 1)).reshape(HOURS, -1)
    return Bins(name, edges, rows.astype(np.int64))
