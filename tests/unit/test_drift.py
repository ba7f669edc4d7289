"""Drift: how far what a model is asked is from its training. The same world is no drift, a changed one is, soon."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from antifraud import distribution, drift
from antifraud.distribution import HOURS, NOT_COMPARED, Distribution
from antifraud.drift import LEAST, MOST, PARTS, Window
from antifraud.model import Model, load
from antifraud.training.commerce import Weeks, commerce
from antifraud.training.distributions import write_again
from commerce.changes import CHANGES
from commerce.world import World
from exercises.simulated import Played, after_training, folder_of

V2 = folder_of("v2-50dffdac")
ALERT = 0.25
CALL = 50  # transactions
#: As the exercise plays it, half of it a replica: 10 minutes of that are a hundred times as many.
SOON = 3_000


@pytest.fixture(scope="module")
def model() -> Model:
    return load(V2)


@pytest.fixture(scope="module")
def then(model: Model) -> Distribution:
    found = distribution.load(V2, model.version)
    assert found
    return found


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def made(values: list[float], names: tuple[str, ...] = ("x",), hour: int = 0) -> Distribution:
    column = np.array(values)
    return distribution.distribution(
        "v2-x", names, np.column_stack([column] * len(names)), np.full(len(values), hour)
    )


def watched(then: Distribution, values: list[float], clock: Clock | None = None) -> Window:
    window = Window(then, [bins.name for bins in then.bins], clock or Clock())
    add(window, then, values)
    return window


def add(window: Window, then: Distribution, values: list[float], hour: int = 0) -> None:
    for start in range(0, len(values), CALL):
        some = np.array(values[start : start + CALL])
        inputs = np.column_stack([some] * len(then.bins))
        window.count(inputs, np.zeros(len(some)), np.full(len(some), hour * 3_600))


def test_the_index_is_the_sum_over_bins_of_the_difference_times_the_logarithm_of_the_ratio() -> None:
    then = made([0.0] * 500 + [1.0] * 500)
    psi = watched(then, [0.0, 0.0, 0.0, 1.0, 0.0] * 200).psi()
    assert psi == {"x": pytest.approx(0.3 * math.log(0.8 / 0.5) - 0.3 * math.log(0.2 / 0.5))}


def test_the_same_shares_are_no_drift_and_a_value_never_seen_before_is_much() -> None:
    then = made([0.0, 1.0, 2.0, 3.0] * 250)
    assert watched(then, [0.0, 1.0, 2.0, 3.0] * 250).psi()["x"] == pytest.approx(0)
    assert 1 < watched(then, [99.0] * 1_000).psi()["x"] < 10


def test_an_hour_is_compared_with_the_same_hour() -> None:
    """Who buys by night buys other things: that is no change. By day it is one."""
    values = np.array([0.0] * 1_000 + [1.0] * 1_000)
    then = distribution.distribution("v2-x", ["x"], values[:, None], np.repeat([3, 15], 1_000))
    for hour, expected in ((3, 0.0), (15, 1.0)):
        for value in (0.0, 1.0):
            window = watched(then, [])
            add(window, then, [value] * LEAST, hour)
            assert (window.psi()["x"] > ALERT) == (value != expected)


def test_an_hour_without_training_is_compared_with_the_whole_day() -> None:
    then = made([0.0] * 500 + [1.0] * 500, hour=7)
    window = watched(then, [])
    add(window, then, [0.0, 1.0] * 500, hour=8)
    assert window.psi()["x"] == pytest.approx(0)


def test_too_few_transactions_say_nothing() -> None:
    then = made([0.0, 1.0] * 500)
    assert watched(then, [5.0] * (LEAST - 1)).psi() == {}
    window = watched(then, [5.0] * LEAST)
    assert window.rows == LEAST
    assert window.psi()["x"] > ALERT


def test_only_the_newest_transactions_are_looked_at_and_memory_is_bounded() -> None:
    then = made([0.0, 1.0] * 500)
    window = watched(then, [5.0] * 10_000)
    assert MOST - MOST / PARTS <= window.rows <= MOST + CALL
    add(window, then, [0.0, 1.0] * (MOST // 2))
    assert window.psi()["x"] < 0.1


def test_what_is_older_than_a_day_is_forgotten() -> None:
    then, clock = made([0.0, 1.0] * 500), Clock()
    window = watched(then, [5.0] * MOST, clock)
    clock.now = drift.KEPT - 1
    assert window.psi() != {}
    clock.now = drift.KEPT + 1
    assert (window.rows, window.psi()) == (0, {})


def test_of_a_large_call_some_are_counted_evenly_spread_over_it() -> None:
    then = made([float(value) for value in range(1_000)])
    window = Window(then, ["x"], Clock())
    for _ in range(LEAST // 100):
        rows = np.arange(1_000.0)
        window.count(rows[:, None], rows, np.zeros(1_000, np.int64))
    assert window.rows <= drift.MOST_OF_A_CALL * LEAST // 100
    assert window.psi()["x"] < 0.01


def test_an_input_that_the_model_does_not_have_is_refused(then: Distribution) -> None:
    with pytest.raises(ValueError, match="v2-50dffdac has no inputs amount"):
        Window(then, [bins.name for bins in then.bins if bins.name != "amount"])


# The file


def test_a_distribution_is_read_as_it_was_written(then: Distribution, tmp_path: Path) -> None:
    distribution.save(then, tmp_path)
    assert (tmp_path / distribution.FILE).read_bytes() == (V2 / distribution.FILE).read_bytes()


def test_a_model_without_the_file_has_nothing_to_compare_with(tmp_path: Path) -> None:
    assert distribution.load(tmp_path, "v2-x") is None


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "distribution.json: "),
        ('{"model_version": "v2-x", "bins": [{"name": "x", "edges": [1], "rows": [[1, 2]]}]}', "x: no bins"),
        ('{"model_version": "v2-y", "bins": []}', "is of v2-y, not of v2-x"),
    ],
)
def test_a_file_that_is_damaged_or_another_models_is_refused(text: str, why: str, tmp_path: Path) -> None:
    (tmp_path / distribution.FILE).write_text(text)
    with pytest.raises(ValueError, match=why):
        distribution.load(tmp_path, "v2-x")


def test_every_input_is_compared_but_those_that_change_by_themselves(
    model: Model, then: Distribution
) -> None:
    names = [bins.name for bins in then.bins]
    assert names == [name for name in (*model.input_names, "score") if name not in NOT_COMPARED]
    assert set(NOT_COMPARED) < set(model.input_names)
    assert all(bins.rows.shape[0] == HOURS for bins in then.bins)


def test_an_input_with_one_rare_value_has_a_bin_for_it() -> None:
    (bins,) = made([0.0] * 9_999 + [1.0]).bins
    assert (bins.edges.tolist(), bins.rows[0].tolist()) == ([1.0], [9_999, 1])


def test_a_value_that_training_never_had_is_noticed_where_it_had_but_one() -> None:
    assert watched(made([0.0] * 500), [0.0, 0.0, 1.0, 0.0] * 250).psi()["x"] > ALERT


# The world


def indices(model: Model, window: Window, played: Played, start: int, end: int) -> Iterator[dict[str, float]]:
    """What a replica that is asked about these rows would show after each call."""
    for row in range(start, end, CALL):
        asked = played.bought.rows(slice(row, min(row + CALL, end)))
        seconds = played.seconds()[row : min(row + CALL, end)]
        scores, inputs = model.score_and_inputs(
            value_in_cents=asked.cents,
            transaction_timestamp=seconds,
            latitude=asked.latitude,
            longitude=asked.longitude,
            history=played.history[row : min(row + CALL, end)],
        )
        window.count(inputs, scores, seconds)
        yield window.psi()


@pytest.mark.parametrize("change", CHANGES)
def test_a_day_of_the_same_world_is_no_drift_and_a_changed_world_soon_is(
    change: str, model: Model, then: Distribution
) -> None:
    played = after_training(model.version, 2, CHANGES[change])
    window = Window(then, model.input_names, Clock())
    before = [psi for psi in indices(model, window, played, 0, played.last_day) if psi]
    assert len(before) > 50
    assert max(max(psi.values()) for psi in before) < 0.15
    after = indices(model, window, played, played.last_day, played.last_day + SOON)
    assert any(max(psi.values()) > ALERT for psi in after)


@pytest.mark.long
def test_the_file_is_what_the_command_writes(tmp_path: Path) -> None:
    shutil.copytree(V2, tmp_path, dirs_exist_ok=True)
    (tmp_path / distribution.FILE).unlink()
    write_again(tmp_path)
    assert (tmp_path / distribution.FILE).read_bytes() == (V2 / distribution.FILE).read_bytes()


@pytest.mark.long
def test_three_weeks_of_the_same_world_a_month_after_training_are_no_drift(
    model: Model, then: Distribution
) -> None:
    about = json.loads((V2 / "evaluation.json").read_text())
    weeks = Weeks(**about["weeks"])
    rows = commerce(World.made(about["seed"], about["customers"]), weeks)
    rows = rows.rows(weeks.of_test(rows))
    window, highest = Window(then, model.input_names, Clock()), 0.0
    for start in range(0, len(rows), CALL):
        some = rows.rows(np.arange(start, min(start + CALL, len(rows))))
        value, seconds, latitude, longitude, history = some.columns()
        asked = {"value_in_cents": value, "transaction_timestamp": seconds, "history": history}
        scores, inputs = model.score_and_inputs(**asked, latitude=latitude, longitude=longitude)
        window.count(inputs, scores, seconds)
        highest = max(highest, *window.psi().values(), 0.0)
    assert 0 < highest < ALERT
