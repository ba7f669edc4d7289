"""The evaluation of a model on commerce's test weeks, against what others would reach."""

from __future__ import annotations

from typing import Any

import numpy as np

from antifraud.evaluation import average_precision, roc_auc
from antifraud.inputs import NAMES
from antifraud.model import Model
from antifraud.training.commerce import generator_rows
from antifraud.training.figures import calibration_error, card_precision
from antifraud.training.judges import (
    best_single_rule,
    best_trees,
    fitted_rule_set,
    logistic_regression,
    rule_set,
)
from antifraud.training.money import threshold_for, worth
from antifraud.training.rows import Floats, Rows, together
from commerce.purchases import KINDS

GOOD_REJECTED = 0.001  # the share of good payments that may be rejected when judges are compared in money
APPROVED_THRESHOLD = 0.5  # the default of a replica's setting
GOALS = {"rule set": 2.0, "boosted trees": 0.9}  # the model's average precision by that of the judge


def figures(rows: Rows, suspicion: Floats) -> dict[str, Any]:
    """Return the figures of one ranking of the rows."""
    found: dict[str, Any] = {
        "roc_auc": round(roc_auc(rows.fraud, suspicion), 4),
        "average_precision": round(average_precision(rows.fraud, suspicion), 4),
        "card_precision_100": round(card_precision(rows.day, rows.customer, rows.fraud, suspicion), 4),
    }
    found["average_precision_by_kind"] = {
        name: round(average_precision(rows.kind[chosen] == kind, suspicion[chosen]), 4)
        for kind, name in enumerate(KINDS)
        if kind and (rows.kind == kind).any()
        for chosen in ((rows.kind == 0) | (rows.kind == kind),)
    }
    return found


def suspicions(
    training: Rows, validation: Rows, test: Rows, model: Model, without: Model
) -> dict[str, Floats]:
    """Return how suspicious each judge finds the test rows (validation rows behind them, for its threshold).

    `without` is a network of the same kind that was fitted on rows without history.
    """
    both = together([test, validation])
    x, tested, fraud = training.inputs(), both.inputs(), training.fraud
    rule, points = best_single_rule(training, both, NAMES, x, tested)
    blind = both.without_history()
    return {
        "model": 1 - model.score(*both.columns()),
        "model, merchants withheld": 1 - model.score(*both.without_merchants().columns()),
        "model, history withheld": 1 - model.score(*blind.columns()),
        "network fitted without history": 1 - without.score(*blind.columns()),
        "boosted trees": best_trees(x, fraud, tested[len(test) :], validation.fraud, tested),
        "logistic regression": logistic_regression(x, fraud, tested),
        "rule set": rule_set(both),
        "rule set, points fitted": fitted_rule_set(training, both),
        f"best single rule: {rule}": points,
        "constant": np.zeros(len(both)),
        "perfect ranking": both.fraud.astype(np.float64),
    }


def evaluate(test: Rows, validation: Rows, judges: dict[str, Floats], model: Model) -> dict[str, Any]:
    """Return the report: figures, money at an equal share of rejected good payments, calibration."""
    count, money = len(test), {}
    for name, suspicion in judges.items():
        if name in ("constant", "perfect ranking"):
            continue
        threshold = threshold_for(validation, suspicion[count:], GOOD_REJECTED)
        money[name] = worth(test, suspicion[:count], threshold)
    return {
        "model_version": model.version,
        "test_rows": count,
        "fraud_share": round(float(test.fraud.mean()), 5),
        "frauds_by_kind": {name: int((test.kind == kind).sum()) for kind, name in enumerate(KINDS) if kind},
        "judges": {name: figures(test, suspicion[:count]) for name, suspicion in judges.items()},
        "money": money,
        "at_approved_threshold": worth(test, judges["model"][:count], 1 - APPROVED_THRESHOLD),
        "calibration_error": round(calibration_error(test.fraud, judges["model"][:count]), 5),
        "calibration_error_history_withheld": round(
            calibration_error(test.fraud, judges["model, history withheld"][:count]), 5
        ),
        "rejected_of_generator_traffic": rejected_of_generator(model),
    }


def rejected_of_generator(model: Model, rows: int = 30_000) -> dict[str, dict[str, float]]:
    """Return by threshold which share of the contract's traffic is rejected, with history and without."""
    traffic = generator_rows(rows, np.random.default_rng(0))
    scores = {
        "with history": model.score(*traffic.columns()),
        "first 200, with history": model.score(*traffic.rows(np.arange(200)).columns()),
        "without": model.score(*traffic.without_history().columns()),
    }
    return {
        str(threshold): {name: round(float((score < threshold).mean()), 4) for name, score in scores.items()}
        for threshold in (0.4, 0.5, 0.7)
    }


def shortcomings(report: dict[str, Any]) -> list[str]:
    """Return the goals that are missed, in words."""
    precision = {name: figures["average_precision"] for name, figures in report["judges"].items()}
    missed = [
        f"average precision {precision['model']} is under {factor} times that of the {judge}, {precision[judge]}"
        for judge, factor in GOALS.items()
        if precision["model"] < factor * precision[judge]
    ]
    if precision["model"] <= precision["network fitted without history"]:
        missed.append("history buys nothing")
    if report["calibration_error"] > 0.01:
        missed.append(f"calibration error {report['calibration_error']} is over 0.01")
    for name, share in report["rejected_of_generator_traffic"][str(APPROVED_THRESHOLD)].items():
        if not 0.05 <= share <= 0.5:
            missed.append(f"{share:.1%} of the generator's traffic rejected ({name})")
    return missed
