"""Days of the world that a model was trained on, each transaction with its history: what a worker would ask.

The histories run on the world's own clock, so a day can be played in seconds and is still the same day to the model.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from commerce.changes import Change, changed
from commerce.purchases import DAY, EPOCH, Purchases
from commerce.stream import first_days
from commerce.world import World
from history.features import VERSION
from history.fold import Ints, Labels, fold
from history.transactions import Transactions
from infra.native.paths import ROOT
from schemas.proto import antifraud_pb2 as pb

TRAINED = ROOT / "antifraud" / "trained"
LONGEST = 38  # days that a history looks back: 30, and 7 until labels count


@dataclass(frozen=True)
class Played:
    """Days in order of time, the last one perhaps changed."""

    bought: Purchases
    history: Ints  # rows x features
    last_day: int  # its first row

    def __len__(self) -> int:
        return len(self.bought)

    def seconds(self) -> Ints:
        """Return when each was bought, since 1970."""
        return EPOCH + self.bought.second

    def hour(self, row: int) -> float:
        """Return the hours from the first of these days to a row."""
        return float((self.bought.second[row] - self.bought.second[0] // DAY * DAY) / 3_600)

    def request(self, start: int, end: int) -> Any:
        """Return the question about some rows, as a worker asks it."""
        some = self.bought.rows(slice(start, end))
        return pb.AntifraudAssesmentBatchRequest(
            value_in_cents=some.cents.tolist(),
            transaction_timestamp=(EPOCH + some.second).tolist(),
            latitude=some.latitude.tolist(),
            longitude=some.longitude.tolist(),
            history=self.history[start:end].ravel().tolist(),
            history_version=VERSION,
        )


def folder_of(model: str) -> Path:
    """Return where a model lies: the folder itself, or one in it."""
    for file in (TRAINED / "model.json", *TRAINED.glob("*/model.json")):
        if json.loads(file.read_text())["version"] == model:
            return file.parent
    raise SystemExit(f"there is no model {model} in {TRAINED}")


def after_training(model: str, days: int, change: Change | None) -> Played:
    """Return the first days after the model's training weeks, the last of them changed."""
    about = json.loads((folder_of(model) / "evaluation.json").read_text())
    day = about["weeks"]["fill"] + about["weeks"]["training"]
    world = World.made(about["seed"], about["customers"])
    bought = first_days(world, day + days)
    bought = bought.rows(bought.day >= day - LONGEST)
    if change:
        bought = changed(bought, change, day + days - 1)
    first = int(np.searchsorted(bought.second, day * DAY))
    labels = Labels(bought.fraud, EPOCH + bought.known_at)
    history = fold(Transactions(*world.columns_of(bought)), labels, first)
    bought = bought.rows(slice(first, None))
    return Played(bought, history, int(np.searchsorted(bought.second, (day + days - 1) * DAY)))
