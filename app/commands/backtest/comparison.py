"""What would have changed: transactions, money and customers, by amount and by label. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.commands.backtest.decisions import FRAUD, GENUINE, NO_SCORE, NOT_LABELLED, REJECTED, Decisions, Rows

#: Cents at which a band of amounts begins, but for the first.
BANDS = (1_000, 10_000, 100_000, 1_000_000, 10_000_000)

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Amount:
    """So many transactions, and what they come to."""

    transactions: int
    cents: int


@dataclass(frozen=True, slots=True)
class Changed:
    """Those whose verdict would have been the other one; `by_amount`: transactions of each band."""

    total: Amount
    customers: int
    fraud: Amount
    genuine: Amount
    not_labelled: Amount
    by_amount: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Rejected:
    """All that is rejected, and what of it is known: fraud caught, genuine customers annoyed."""

    total: Amount
    fraud: Amount
    genuine: Amount


@dataclass(frozen=True, slots=True)
class Comparison:
    """Of `compared` transactions; `before` was decided, `after` would have been.

    `no_score`: left out, nothing says what would have been. `without_features`: decided without what was known.
    """

    compared: int
    customers: int
    no_score: int
    without_features: int
    models: dict[str, int]
    other_models: dict[str, int]
    newly_rejected: Changed
    newly_accepted: Changed
    before: Rejected
    after: Rejected
    fraud: Amount
    genuine: Amount
    not_labelled: Amount

    @property
    def agreed(self) -> int:
        """How many would have had the same verdict."""
        return self.compared - self.newly_rejected.total.transactions - self.newly_accepted.total.transactions


def compare(decisions: Decisions) -> Comparison:
    """All of it."""
    every = decisions.rows()
    has_score = every["after"] != NO_SCORE
    rows, labels = every[has_score], decisions.labels_of(every)[has_score]
    before, after = rows["before"] == REJECTED, rows["after"] == REJECTED

    def amount(mask: Mask) -> Amount:
        return Amount(int(mask.sum()), _total(rows["cents"][mask]))

    def rejected(mask: Mask) -> Rejected:
        return Rejected(amount(mask), amount(mask & (labels == FRAUD)), amount(mask & (labels == GENUINE)))

    def changed(mask: Mask) -> Changed:
        fraud, genuine, not_labelled = (
            amount(mask & (labels == label)) for label in (FRAUD, GENUINE, NOT_LABELLED)
        )
        bands = np.searchsorted(BANDS, rows["cents"][mask], side="right")
        by_amount = np.bincount(bands, minlength=len(BANDS) + 1).tolist()
        return Changed(amount(mask), _customers(rows[mask]), fraud, genuine, not_labelled, tuple(by_amount))

    return Comparison(
        compared=len(rows),
        customers=_customers(rows[before != after]),
        no_score=len(every) - len(rows),
        without_features=int((~rows["has_features"]).sum()),
        models=_by_model(rows["model"], decisions.models),
        other_models=_by_model(rows["other_model"], decisions.models),
        newly_rejected=changed(after & ~before),
        newly_accepted=changed(before & ~after),
        before=rejected(before),
        after=rejected(after),
        fraud=amount(labels == FRAUD),
        genuine=amount(labels == GENUINE),
        not_labelled=amount(labels == NOT_LABELLED),
    )


def _customers(rows: Rows) -> int:
    return len(np.unique(rows["customer"]))


def _by_model(numbers: NDArray[np.int32], names: Sequence[str]) -> dict[str, int]:
    counts = np.bincount(numbers, minlength=len(names)).tolist()
    return {name: count for name, count in zip(names, counts, strict=True) if count}


def _total(cents: NDArray[np.int64]) -> int:
    """Exact, also where the sum has more bits than an int64: an amount may be the largest."""
    return (int((cents >> 32).sum()) << 32) + int((cents & 0xFFFFFFFF).sum())
