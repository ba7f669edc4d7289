"""What others would reach: a constant, rules, logistic regression, boosted trees. Each returns scores of suspicion."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from antifraud.evaluation import average_precision
from antifraud.training.rows import Flags, Floats, Rows

_WEEK = "merchant_fraud_permille_7d"
_THRESHOLDS = np.linspace(0.002, 0.998, 250)  # tried per column: its quantiles


def _by(rows: Rows, divisor: str) -> Floats:
    """Return the amount by a column of the history; 0 where that is unknown."""
    known = rows.feature(divisor)
    ratio: Floats = np.where(known > 0, rows.value_in_cents / np.maximum(known, 1), 0)
    return ratio


def _by_mean(rows: Rows) -> Floats:
    mean = rows.feature("sum_30d") / np.maximum(rows.feature("count_30d"), 1)
    ratio: Floats = np.where(mean > 0, rows.value_in_cents / np.maximum(mean, 1), 0)
    return ratio


class Rule(NamedTuple):
    """A question about a transaction and its history; what a yes counts."""

    words: str
    points: int
    holds: Callable[[Rows], Flags]


def _small_burst(rows: Rows) -> Flags:
    found: Flags = (rows.feature("count_10m") >= 2) & (rows.value_in_cents < 500)
    return found


def _large_after_burst(rows: Rows) -> Flags:
    found: Flags = (_by_mean(rows) > 3) & (rows.feature("count_1h") >= 3)
    return found


def _faster_than_a_plane(rows: Rows) -> Flags:
    found: Flags = (rows.feature("speed_kmh") > 1_000) & (rows.feature("distance_km") > 200)
    return found


def _new_and_far(rows: Rows) -> Flags:
    found: Flags = (rows.feature("distance_km") > 300) & (rows.feature("new_merchant") == 1)
    return found


def _new_and_large(rows: Rows) -> Flags:
    found: Flags = (_by(rows, "median") > 5) & (rows.feature("new_merchant") == 1)
    return found


def _merchant_with_frauds(rows: Rows) -> Flags:
    last = rows.feature("merchant_days_since_last_fraud")
    found: Flags = (rows.feature("merchant_frauds") >= 3) & (last >= 0) & (last <= 14)
    return found


def _odd_hour(rows: Rows) -> Flags:
    found: Flags = (rows.feature("habit_permille") < 20) & (rows.feature("known") >= 20)
    return found


#: As analysts would write them and weigh them, by experience; the points have seen no label.
RULES = (
    Rule("4 or more in 10 minutes", 2, lambda rows: rows.feature("count_10m") >= 4),
    Rule("under 5.00, the third in 10 minutes", 1, _small_burst),
    Rule("over 3 times the mean after 3 within the hour", 2, _large_after_burst),
    Rule("faster than a plane, over 200 km", 2, _faster_than_a_plane),
    Rule("300 km away, a new merchant", 1, _new_and_far),
    Rule("over 5 times the median, a new merchant", 2, _new_and_large),
    Rule("over 1,000.00", 1, lambda rows: rows.value_in_cents > 100_000),
    Rule("over twice the largest of 30 days", 1, lambda rows: _by(rows, "largest_30d") > 2),
    Rule("2 % fraud in the merchant's labelled week", 2, lambda rows: rows.feature(_WEEK) >= 20),
    Rule("3 known frauds at the merchant, the last within 14 days", 2, _merchant_with_frauds),
    Rule("at an hour that is not the customer's", 1, _odd_hour),
)


def rule_set(rows: Rows) -> Floats:
    """Return the points of the rules that hold."""
    points: Floats = np.sum([rule.points * rule.holds(rows) for rule in RULES], axis=0).astype(np.float64)
    return points


def fitted_rule_set(training: Rows, rows: Rows) -> Floats:
    """Return points that were fitted: a rule counts by how much likelier fraud was where it held in training."""
    points = np.zeros(len(rows))
    for rule in RULES:
        held = rule.holds(training)
        share = (training.fraud[held].sum() + 0.5) / (held.sum() + 50)
        points += np.maximum(np.log(share / training.fraud.mean()), 0) * rule.holds(rows)
    return points


def best_single_rule(
    training: Rows, rows: Rows, names: tuple[str, ...], inputs: Floats, tested: Floats
) -> tuple[str, Floats]:
    """Return in words, and as scores, the rule on one input that is best by average precision in the training weeks."""
    best, reached = ("", np.zeros(len(rows))), -1.0
    for number, name in enumerate(names):
        for threshold in np.unique(np.quantile(inputs[:, number], _THRESHOLDS)):
            above = inputs[:, number] > threshold
            for suspects, tests, sign in (
                (above, tested[:, number] > threshold, ">"),
                (~above, tested[:, number] <= threshold, "<="),
            ):
                precision = _precision(training.fraud, suspects)
                if precision > reached:
                    reached, best = precision, (f"{name} {sign} {threshold:.3g}", tests.astype(np.float64))
    return best


def _precision(fraud: Flags, suspects: Flags) -> float:
    """Return the average precision of a ranking in two classes."""
    count = int(suspects.sum())
    if not count:
        return 0.0
    caught = float(fraud[suspects].sum())
    recall = caught / fraud.sum()
    return float(recall * caught / count + (1 - recall) * fraud.mean())


def logistic_regression(inputs: Floats, fraud: Flags, tested: Floats) -> Floats:
    """Return the probabilities of scikit-learn's logistic regression on standardised inputs."""
    from sklearn.linear_model import LogisticRegression

    mean, spread = inputs.mean(axis=0), np.maximum(inputs.std(axis=0), 1e-3)
    fitted = LogisticRegression(C=0.1, max_iter=300).fit((inputs - mean) / spread, fraud)
    scores: Floats = fitted.predict_proba((tested - mean) / spread)[:, 1]
    return scores


TREES = ({"learning_rate": 0.03, "max_iter": 150, "max_leaf_nodes": 8},
         {"learning_rate": 0.05, "max_iter": 200, "max_leaf_nodes": 16},
         {"learning_rate": 0.05, "max_iter": 400, "max_leaf_nodes": 31, "l2_regularization": 5.0})  # fmt: skip


def trees(inputs: Floats, fraud: Flags, tested: Floats, number: int = 0) -> Floats:
    """Return the probabilities of scikit-learn's gradient-boosted trees, with one of the settings in TREES."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    fitted = HistGradientBoostingClassifier(early_stopping=False, random_state=0, **TREES[number])
    scores: Floats = fitted.fit(inputs, fraud).predict_proba(tested)[:, 1]
    return scores


def forest(inputs: Floats, fraud: Flags, tested: Floats) -> Floats:
    """Return the probabilities of scikit-learn's random forest: bagged trees whose thresholds are not binned."""
    from sklearn.ensemble import RandomForestClassifier

    fitted = RandomForestClassifier(100, random_state=0, n_jobs=1).fit(inputs, fraud)
    scores: Floats = fitted.predict_proba(tested)[:, 1]
    return scores


def best_trees(inputs: Floats, fraud: Flags, validation: Floats, fraud_then: Flags, tested: Floats) -> Floats:
    """Return the scores of those trees that were best on the validation weeks."""
    reached = [average_precision(fraud_then, trees(inputs, fraud, validation, n)) for n in range(len(TREES))]
    return trees(inputs, fraud, tested, int(np.argmax(reached)))
