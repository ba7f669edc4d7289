"""Why a transaction is rejected: which of its values, set to the customer's usual, would have had it accepted.

A ground is a value that people understand, with all features that belong to it. The model is asked again with each
ground set to what is usual: the gain is what the verdict hangs on, of this model, for this row. No ground has the
customer's place itself (a history does not keep it) and none says anything of a customer whom nobody knows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from history.features import FEATURES, UNKNOWN

MOST = 3  # of one transaction
LEAST_GAIN = 0.01  # of the score; less is no reason
#: Rows that the model is asked about at once: bounds the memory.
AT_ONCE = 5_000

Ints = NDArray[np.int64]
Columns = dict[str, Any]  # as Model.score takes them
Value = Callable[[str], int]  # of FEATURES, or "amount"
Score = Callable[..., NDArray[np.float64]]
_AT = {name: number for number, name in enumerate(FEATURES)}


@dataclass(frozen=True)
class Reason:
    """What a rejection hangs on."""

    row: int  # of the batch
    feature: str
    value: int
    words: str


@dataclass(frozen=True)
class Ground:
    """`applies` tells of which rows there is something to say, from amounts and history.

    `usual` sets a copy of these to what is usual; `says` gives feature, value and words of a row.
    """

    applies: Callable[[Ints, Ints], NDArray[np.bool_]]
    usual: Callable[[Ints, Ints], None]
    says: Callable[[Value], tuple[str, int, str]]


def reasons(
    score: Score, columns: Columns, scores: NDArray[np.float64], rejected: Ints, threshold: float
) -> list[Reason]:
    """Return the reasons of these rows of a batch, each row's strongest first; `score` is the model's.

    A reason is one without which the score is not below the threshold. Where several signs are each enough there is no
    such one: then it is the strongest of them.
    """
    if "history" not in columns or not len(rejected):
        return []
    history = columns["history"][rejected]
    amounts = np.minimum(columns["value_in_cents"][rejected], 2**40 - 1)
    applies = np.stack([ground.applies(amounts, history) for ground in GROUNDS], axis=1)
    places, grounds = np.nonzero(applies & (_of(history, "known") > 0)[:, None])
    if not len(places):
        return []
    gains = _gains(score, columns, scores, rejected[places], grounds)
    named = []
    for place, ground in _chosen(places, grounds, gains, threshold - scores[rejected]):
        value = partial(_value, int(amounts[place]), history[place])
        named.append(Reason(int(rejected[place]), *GROUNDS[ground].says(value)))
    return named


def _value(amount: int, history: Ints, name: str) -> int:
    return amount if name == "amount" else int(history[_AT[name]])


def _chosen(
    places: Ints, grounds: Ints, gains: NDArray[np.float64], short_of: NDArray[np.float64]
) -> list[tuple[int, int]]:
    """Return (place, ground) of the reasons; `short_of`: what each place's score lacks to be accepted."""
    found: dict[int, list[tuple[float, int]]] = {}
    cases = zip(places.tolist(), grounds.tolist(), gains.tolist(), strict=True)
    for place, ground, gain in cases:
        if gain >= LEAST_GAIN:
            found.setdefault(place, []).append((gain, ground))
    chosen = []
    for place, all_of_it in found.items():
        strongest = sorted(all_of_it, key=lambda one: -one[0])
        enough = [one for one in strongest if one[0] >= short_of[place]]
        chosen += [(place, ground) for _, ground in enough[:MOST] or strongest[:1]]
    return chosen


def _gains(
    score: Score, columns: Columns, scores: NDArray[np.float64], rows: Ints, grounds: Ints
) -> NDArray[np.float64]:
    """Return how much higher each row's score is with that ground set to what is usual."""
    changed = {name: column[rows] for name, column in columns.items()}  # copies
    for number in np.unique(grounds):
        chosen = np.flatnonzero(grounds == number)
        amounts, history = changed["value_in_cents"][chosen], changed["history"][chosen]
        GROUNDS[number].usual(amounts, history)
        changed["value_in_cents"][chosen], changed["history"][chosen] = amounts, history
    parts = [
        score(**{name: column[start : start + AT_ONCE] for name, column in changed.items()})
        for start in range(0, len(rows), AT_ONCE)
    ]
    gains: NDArray[np.float64] = np.concatenate(parts) - scores[rows]
    return gains


def _money(cents: int) -> str:
    return f"{cents / 100:,.2f}"


def _time(seconds: int) -> str:
    for size, name in ((86_400, "days"), (3_600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds // size} {name}"
    return f"{seconds} seconds"


def _set(history: Ints, **values: Any) -> None:
    for name, value in values.items():
        history[:, _AT[name]] = value


def _of(history: Ints, name: str) -> Ints:
    column: Ints = history[:, _AT[name]]
    return column


def _amount(amounts: Ints, history: Ints) -> NDArray[np.bool_]:
    median = _of(history, "median")
    return (median > 0) & (amounts >= 2 * median)


def _usual_amount(amounts: Ints, history: Ints) -> None:
    amounts[:] = np.maximum(_of(history, "median"), 1)


def _say_amount(value: Value) -> tuple[str, int, str]:
    amount, usual = value("amount"), value("median")
    return "value_in_cents", amount, f"{_money(amount)}, {amount // usual:,} times the customer's usual"


BURSTS = (("1m", "minute"), ("10m", "10 minutes"), ("1h", "hour"))


def _burst(_: Ints, history: Ints) -> NDArray[np.bool_]:
    return np.logical_or.reduce([_of(history, f"count_{name}") > 0 for name, _ in BURSTS])  # type: ignore[no-any-return]


def _no_burst(_: Ints, history: Ints) -> None:
    for name, _words in BURSTS:
        _set(history, **{f"count_{name}": 0, f"sum_{name}": 0, f"largest_{name}": UNKNOWN})
    _set(history, saturated=0, seconds_since_last=86_400, seconds_between=86_400)


def _say_burst(value: Value) -> tuple[str, int, str]:
    name, words = next((name, words) for name, words in BURSTS if value(f"count_{name}") > 0)
    count = value(f"count_{name}")
    purchases = "other purchase" if count == 1 else "other purchases"
    return f"count_{name}", count, f"{count} {purchases} in the last {words}"


def _spent(_: Ints, history: Ints) -> NDArray[np.bool_]:
    return _of(history, "sum_24h") > 2 * (_of(history, "sum_30d") // 30)


def _usually_spent(_: Ints, history: Ints) -> None:
    count, total = _of(history, "count_30d") // 30, _of(history, "sum_30d") // 30
    _set(
        history,
        count_24h=count,
        sum_24h=total,
        largest_24h=np.where(count > 0, _of(history, "median"), UNKNOWN),
    )


def _say_spent(value: Value) -> tuple[str, int, str]:
    spent, usual = _money(value("sum_24h")), _money(value("sum_30d") // 30)
    return "sum_24h", value("sum_24h"), f"{spent} spent in the last day, {usual} on average"


def _far(_: Ints, history: Ints) -> NDArray[np.bool_]:
    return _of(history, "distance_km") >= 50


def _near(_: Ints, history: Ints) -> None:
    _set(history, distance_km=0, speed_kmh=0)


def _say_far(value: Value) -> tuple[str, int, str]:
    distance, ago = value("distance_km"), _time(value("seconds_between"))
    return "distance_km", distance, f"{distance:,} km from the last place, {ago} after it"


def _stranger(_: Ints, history: Ints) -> NDArray[np.bool_]:
    return np.equal(_of(history, "new_merchant"), 1)


def _known_merchant(_: Ints, history: Ints) -> None:
    _set(history, new_merchant=0)


def _say_stranger(_: Value) -> tuple[str, int, str]:
    return "new_merchant", 1, "a merchant that the customer has not bought from lately"


def _tiny(_: Ints, history: Ints) -> NDArray[np.bool_]:
    return _of(history, "small_permille") > 100


def _no_tiny(_: Ints, history: Ints) -> None:
    _set(history, small_permille=0)


def _say_tiny(value: Value) -> tuple[str, int, str]:
    share = value("small_permille")
    return "small_permille", share, f"{share // 10} % of the last purchases are below 5.00"


def _odd_hour(_: Ints, history: Ints) -> NDArray[np.bool_]:
    share = _of(history, "habit_permille")
    return (share >= 0) & (share < 50)


def _usual_hour(_: Ints, history: Ints) -> None:
    _set(history, habit_permille=250)


def _say_odd_hour(value: Value) -> tuple[str, int, str]:
    share = value("habit_permille")
    return "habit_permille", share, f"a time of day at which {share / 10:g} % of the customer's purchases are"


def _suspected(_: Ints, history: Ints) -> NDArray[np.bool_]:
    return _of(history, "merchant_frauds") > 0


def _unsuspected(_: Ints, history: Ints) -> None:
    _set(history, merchant_frauds=0)
    for name in ("merchant_days_since_first_fraud", "merchant_days_since_last_fraud"):
        _set(history, **{name: UNKNOWN})
    for window in ("1d", "7d", "30d"):
        share = _of(history, f"merchant_fraud_permille_{window}")
        _set(history, **{f"merchant_fraud_permille_{window}": np.minimum(share, 0)})


def _say_suspected(value: Value) -> tuple[str, int, str]:
    count, days = value("merchant_frauds"), value("merchant_days_since_last_fraud")
    return "merchant_frauds", count, f"{count} known frauds at this merchant, the last one {days} days ago"


GROUNDS = (
    Ground(_amount, _usual_amount, _say_amount),
    Ground(_burst, _no_burst, _say_burst),
    Ground(_spent, _usually_spent, _say_spent),
    Ground(_far, _near, _say_far),
    Ground(_stranger, _known_merchant, _say_stranger),
    Ground(_tiny, _no_tiny, _say_tiny),
    Ground(_odd_hour, _usual_hour, _say_odd_hour),
    Ground(_suspected, _unsuspected, _say_suspected),
)
