"""The distribution of a model's training weeks, which a replica compares with what it is asked (antifraud.drift)."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from antifraud.distribution import SCORE, Distribution, distribution, hours_of, save
from antifraud.model import Model, load
from antifraud.training.commerce import Weeks, commerce
from antifraud.training.rows import AT_ONCE, Rows
from commerce.world import World


def of_training(model: Model, training: Rows) -> Distribution:
    """Return the distribution of the training weeks as they were: nothing lost on purpose, no other traffic."""
    parts = []
    for start in range(0, len(training), AT_ONCE):
        some = training.rows(np.arange(start, min(start + AT_ONCE, len(training))))
        names = ("value_in_cents", "transaction_timestamp", "latitude", "longitude", "history")
        scores, inputs = model.score_and_inputs(**dict(zip(names, some.columns(), strict=True)))
        parts.append(np.column_stack([inputs, scores]))
    values, hours = np.concatenate(parts), hours_of(training.transaction_timestamp)
    return distribution(model.version, [*model.input_names, SCORE], values, hours)


def write_again(folder: Path) -> None:
    """Write the file for a model that is there, from the same weeks of the same world: the same bytes each time."""
    report, model = json.loads((folder / "evaluation.json").read_text()), load(folder)
    weeks = Weeks(**report["weeks"])
    rows = commerce(World.made(report["seed"], report["customers"]), weeks.until_training_ends())
    save(of_training(model, rows.rows(weeks.of_training(rows))), folder)
