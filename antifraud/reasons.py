"""Why a transaction is rejected: which of its values, set to the customer's usual, would have had it accepted.

A ground is a value that people understand, with all features that belong to it. The model is asked again with each
ground set to what is usual: the gain is what the verdict hangs on, of this model, for this row. No ground has the
customer's place itself (a history does not keep it) and none says anything of a customer whom nobody knows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
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
Row = Mapping[str, int]  # FEATURES, and "amount"
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
    """`says` gives feature, value and words of a row, or None where there is nothing to say of it.

    `usual` sets a copy of amounts and history to what is usual.
    """

    says: Callable[[Row], tuple[str, int, str] | None]
    usual: Callable[[Ints, Ints], None]


def reasons(
    score: Score, columns: Columns, scores: NDArray[np.float64], rejected: Ints, threshold: float
) -> list[Reason]:
    """Return the reasons of these rows of a batch, each row's strongest first; `score` is the model's.

    A reason is one without which the score is not below the threshold. Where several signs are each enough there is no
    such one: then it is the strongest of them.
    """
    if "history" not in columns or not len(rejected):
        return []
    history, amounts = (
        columns["history"][rejected],
        np.minimum(columns["value_in_cents"][rejected], 2**40 - 1),
    )
    rows = [{**dict(zip(FEATURES, one, strict=True)), "amount": amount}
            for one, amount in zip(history.tolist(), amounts.tolist(), strict=True)]  # fmt: skip
    cases = [
        (place, number, said)
        for place, row in enumerate(rows)
        if row["known"] > 0
        for number, ground in enumerate(GROUNDS)
        if (said := ground.says(row))
    ]
    if not cases:
        return []
    gains = _gains(score, columns, scores, rejected, cases)
    found: dict[int, list[tuple[float, Reason]]] = {}  # with the gain, all of a row
    for (place, _, said), gain in zip(cases, gains.tolist(), strict=True):
        if gain >= LEAST_GAIN:
            found.setdefault(place, []).append((gain, Reason(int(rejected[place]), *said)))
    named = []
    for place in sorted(found):
        strongest = sorted(found[place], key=lambda one: -one[0])
        short_of = threshold - scores[rejected[place]]
        named += [reason for gain, reason in strongest if gain >= short_of][:MOST] or [strongest[0][1]]
    return named


def _gains(
    score: Score, columns: Columns, scores: NDArray[np.float64], rejected: Ints, cases: Sequence[Any]
) -> NDArray[np.float64]:
    """Return how much higher each case's score is with its ground set to what is usual."""
    rows = rejected[[place for place, _, _ in cases]]
    grounds = np.array([number for _, number, _ in cases])
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


def _amount(row: Row) -> tuple[str, int, str] | None:
    if row["median"] <= 0 or row["amount"] < 2 * row["median"]:
        return None
    times = row["amount"] // row["median"]
    return "value_in_cents", row["amount"], f"{_money(row['amount'])}, {times:,} times the customer's usual"


def _usual_amount(amounts: Ints, history: Ints) -> None:
    amounts[:] = np.maximum(_of(history, "median"), 1)


def _burst(row: Row) -> tuple[str, int, str] | None:
    for name, words in (("1m", "minute"), ("10m", "10 minutes"), ("1h", "hour")):
        if count := row[f"count_{name}"]:
            purchases = "other purchase" if count == 1 else "other purchases"
            return f"count_{name}", count, f"{count} {purchases} in the last {words}"
    return None


def _no_burst(_: Ints, history: Ints) -> None:
    for name in ("1m", "10m", "1h"):
        _set(history, **{f"count_{name}": 0, f"sum_{name}": 0, f"largest_{name}": UNKNOWN})
    _set(history, saturated=0, seconds_since_last=86_400, seconds_between=86_400)


def _spent(row: Row) -> tuple[str, int, str] | None:
    usual = row["sum_30d"] // 30
    if row["sum_24h"] <= 2 * usual:
        return None
    return (
        "sum_24h",
        row["sum_24h"],
        f"{_money(row['sum_24h'])} spent in the last day, {_money(usual)} on average",
    )


def _usually_spent(_: Ints, history: Ints) -> None:
    count, total = _of(history, "count_30d") // 30, _of(history, "sum_30d") // 30
    _set(
        history,
        count_24h=count,
        sum_24h=total,
        largest_24h=np.where(count > 0, _of(history, "median"), UNKNOWN),
    )


def _far(row: Row) -> tuple[str, int, str] | None:
    distance = row["distance_km"]
    if distance < 50:
        return None
    ago = _time(row["seconds_between"])
    return "distance_km", distance, f"{distance:,} km from the last place, {ago} after it"


def _near(_: Ints, history: Ints) -> None:
    _set(history, distance_km=0, speed_kmh=0)


def _stranger(row: Row) -> tuple[str, int, str] | None:
    if row["new_merchant"] != 1:
        return None
    return "new_merchant", 1, "a merchant that the customer has not bought from lately"


def _known_merchant(_: Ints, history: Ints) -> None:
    _set(history, new_merchant=0)


def _tiny(row: Row) -> tuple[str, int, str] | None:
    share = row["small_permille"]
    return (
        ("small_permille", share, f"{share // 10} % of the last purchases are below 5.00")
        if share > 100
        else None
    )


def _no_tiny(_: Ints, history: Ints) -> None:
    _set(history, small_permille=0)


def _odd_hour(row: Row) -> tuple[str, int, str] | None:
    share = row["habit_permille"]
    if not 0 <= share < 50:
        return None
    return "habit_permille", share, f"a time of day at which {share / 10:g} % of the customer's purchases are"


def _usual_hour(_: Ints, history: Ints) -> None:
    _set(history, habit_permille=250)


def _suspected(row: Row) -> tuple[str, int, str] | None:
    count = row["merchant_frauds"]
    if count <= 0:
        return None
    days = row["merchant_days_since_last_fraud"]
    return "merchant_frauds", count, f"{count} known frauds at this merchant, the last one {days} days ago"


def _unsuspected(_: Ints, history: Ints) -> None:
    _set(history, merchant_frauds=0)
    for name in ("merchant_days_since_first_fraud", "merchant_days_since_last_fraud"):
        _set(history, **{name: UNKNOWN})
    for window in ("1d", "7d", "30d"):
        share = _of(history, f"merchant_fraud_permille_{window}")
        _set(history, **{f"merchant_fraud_permille_{window}": np.minimum(share, 0)})


GROUNDS = (
    Ground(_amount, _usual_amount),
    Ground(_burst, _no_burst),
    Ground(_spent, _usually_spent),
    Ground(_far, _near),
    Ground(_stranger, _known_merchant),
    Ground(_tiny, _no_tiny),
    Ground(_odd_hour, _usual_hour),
    Ground(_suspected, _unsuspected),
)
