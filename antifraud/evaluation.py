"""How good the scores are on rows that training has not seen, and what simpler classifiers would reach."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from antifraud.simulate import Columns, Floats

Labels = NDArray[np.bool_]
_THRESHOLDS = 200  # tried per field: its quantiles


def roc_auc(positive: Labels, score: Floats) -> float:
    """Return the chance that a positive row scores above a negative one (ties count half)."""
    _, place, count = np.unique(score, return_inverse=True, return_counts=True)
    rank = (np.cumsum(count) - (count - 1) / 2)[place]
    positives, negatives = int(positive.sum()), int((~positive).sum())
    return float((rank[positive].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def average_precision(positive: Labels, score: Floats) -> float:
    """Return the precision averaged over recall, from the highest score down (ties fall together)."""
    _, place = np.unique(-score, return_inverse=True)
    found = np.cumsum(np.bincount(place, weights=positive))
    taken = np.cumsum(np.bincount(place))
    return float(np.sum(found / taken * np.diff(found, prepend=0)) / positive.sum())


@dataclass(frozen=True)
class Rule:
    """A classifier on one field: fraud above (or below) a threshold."""

    field: str
    above: bool
    threshold: float

    def suspects(self, columns: Columns) -> Floats:
        """Return 1 where the rule says fraud, else 0."""
        value = single_fields(columns)[self.field]
        suspects: Labels = (value > self.threshold) == self.above
        return suspects.astype(np.float64)

    def __str__(self) -> str:
        return f"{self.field} {'>' if self.above else '<='} {self.threshold:.6g}"


def single_fields(columns: Columns) -> dict[str, Floats]:
    """Return the four fields, and what a rule's author would read from the timestamp."""
    seconds = columns.transaction_timestamp
    return {
        "value_in_cents": columns.value_in_cents.astype(np.float64),
        "transaction_timestamp": seconds.astype(np.float64),
        "hour of the timestamp": (seconds % 86_400 / 3_600).astype(np.float64),
        "weekday of the timestamp": ((seconds // 86_400 + 3) % 7).astype(np.float64),
        "latitude": columns.latitude,
        "longitude": columns.longitude,
    }


def best_rule(columns: Columns, fraud: Labels, figure: str) -> Rule:
    """Return the rule on one field that is best in the figure, out of every threshold in both directions."""
    best, best_reached = Rule("value_in_cents", above=True, threshold=0), 0.0
    for field, value in single_fields(columns).items():
        for threshold in np.unique(np.quantile(value, np.linspace(0, 1, _THRESHOLDS))):
            marked = value > threshold
            for above, suspects in ((True, marked), (False, ~marked)):
                reached = _FIGURES_OF_A_RULE[figure](fraud, suspects)
                if reached > best_reached:
                    best, best_reached = Rule(field, above, float(threshold)), reached
    return best


def _rule_auc(fraud: Labels, suspects: Labels) -> float:
    """Return roc_auc of a binary classifier, faster."""
    return float((1 + suspects[fraud].mean() - suspects[~fraud].mean()) / 2)


def _rule_precision(fraud: Labels, suspects: Labels) -> float:
    """Return average_precision of a binary classifier, faster."""
    if not suspects.any():
        return float(fraud.mean())
    recall = suspects[fraud].mean()
    return float(recall * fraud[suspects].mean() + (1 - recall) * fraud.mean())


_FIGURES_OF_A_RULE = {"roc_auc": _rule_auc, "average_precision": _rule_precision}
