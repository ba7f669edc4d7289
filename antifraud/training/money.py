"""What a threshold is worth: money of fraud stopped, good payments rejected."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from antifraud.training.rows import Floats, Rows


@dataclass(frozen=True)
class Worth:
    """Of the test weeks, at one threshold."""

    rejected_per_thousand_good: float
    precision: float  # of the rejections: share that is fraud
    caught: float  # of the frauds, share
    money_caught: float  # of the money of all frauds, share
    money_caught_cents: int
    money_lost_cents: int
    customers_annoyed: int  # with a good payment rejected


def threshold_for(rows: Rows, suspicion: Floats, rejected_of_good: float) -> float:
    """Return the suspicion above which no more than this share of the good payments lie."""
    return float(np.quantile(suspicion[~rows.fraud], 1 - rejected_of_good, method="higher"))


def worth(rows: Rows, suspicion: Floats, threshold: float) -> dict[str, float]:
    """Return what rejecting all above the threshold brings."""
    rejected = suspicion > threshold
    caught, annoyed = rejected & rows.fraud, rejected & ~rows.fraud
    total, saved = (int(rows.value_in_cents[chosen].sum()) for chosen in (rows.fraud, caught))
    return asdict(
        Worth(
            rejected_per_thousand_good=round(1_000 * float(annoyed.sum() / (~rows.fraud).sum()), 3),
            precision=round(float(caught.sum() / max(int(rejected.sum()), 1)), 4),
            caught=round(float(caught.sum() / rows.fraud.sum()), 4),
            money_caught=round(saved / total, 4),
            money_caught_cents=saved,
            money_lost_cents=total - saved,
            customers_annoyed=len(np.unique(rows.customer[annoyed])),
        )
    )
