"""The reasons of the served model are what its rejections hang on, on days of commerce that no training has seen."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from antifraud.model import Model, load
from antifraud.reasons import GROUNDS, Reason, reasons
from antifraud.settings import Settings
from antifraud.training.commerce import Weeks, commerce
from antifraud.training.rows import Rows
from commerce.world import World
from history.features import FEATURES

THRESHOLD = Settings().approved_threshold
SEED = 7  # of another world than the one that the model was trained in
Columns = dict[str, Any]


class Rejection(NamedTuple):
    """A rejected transaction, its score, and the score with each reason's ground by itself set to the usual."""

    score: float
    alone: list[float]  # in the order of the reasons


@pytest.fixture(scope="module")
def model() -> Model:
    return load()


@pytest.fixture(scope="module")
def days() -> Rows:
    """Four weeks of a thousand customers whose histories have filled for five."""
    return commerce(World.made(SEED, 1_000), Weeks(fill=35, training=0, validation=0, test=14))


def columns_of(days: Rows) -> Columns:
    names = ("value_in_cents", "transaction_timestamp", "latitude", "longitude", "history")
    return dict(zip(names, days.columns(), strict=True))


def rejections(model: Model, days: Rows) -> list[Rejection]:
    columns = columns_of(days)
    scores = model.score(**columns)
    rejected = np.flatnonzero(scores < THRESHOLD)
    by_row: dict[int, list[Reason]] = {int(row): [] for row in rejected}
    for one in reasons(model.score, columns, scores, rejected, THRESHOLD):
        by_row[one.row].append(one)
    cases = [(row, one.feature) for row, named in by_row.items() for one in named]
    anew = iter(scores_with_usual(model, columns, cases).tolist())
    return [Rejection(scores[row], [next(anew) for _ in named]) for row, named in by_row.items()]


def scores_with_usual(model: Model, columns: Columns, cases: list[tuple[int, str]]) -> NDArray[np.float64]:
    """The score of each row with the ground of this feature, and nothing else, set to what is usual."""
    changed = {name: column[[row for row, _ in cases]] for name, column in columns.items()}
    for place, (_, feature) in enumerate(cases):
        set_usual(
            changed["value_in_cents"][place : place + 1], changed["history"][place : place + 1], feature
        )
    return model.score(**changed)


def set_usual(amounts: NDArray[np.int64], history: NDArray[np.int64], feature: str) -> None:
    row = dict(zip(FEATURES, history[0].tolist(), strict=True)) | {"amount": int(amounts[0])}
    for ground in GROUNDS:
        if ground.applies(amounts, history)[0] and ground.says(row.__getitem__)[0] == feature:
            ground.usual(amounts, history)


def risen(found: list[Rejection]) -> float:
    """Of all reasons, those without whose ground the score is higher."""
    return float(np.mean([score > one.score for one in found for score in one.alone]))


def crossed_by_each(found: list[Rejection]) -> float:
    """Of all reasons, those without whose ground alone the transaction is accepted."""
    return float(np.mean([score >= THRESHOLD for one in found for score in one.alone]))


def measured(found: list[Rejection]) -> tuple[float, float]:
    shares = risen(found), crossed_by_each(found)
    print(len(found), "rejections,", sum(len(one.alone) for one in found), "reasons,", shares)  # noqa: T201
    return shares


@pytest.mark.parametrize("knows_merchants", [True, False])
def test_each_reason_raises_the_score_and_most_alone_would_have_had_it_accepted(
    model: Model, days: Rows, knows_merchants: bool
) -> None:
    found = rejections(model, days if knows_merchants else days.without_merchants())
    assert len(found) > 80
    rises, crosses = measured(found)
    assert rises >= 0.95
    assert crosses >= 0.70
