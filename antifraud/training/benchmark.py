"""The network on the Handbook's simulator: the book's split and figures, paired with trees on the book's inputs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from antifraud.evaluation import average_precision, roc_auc
from antifraud.inputs import NAMES
from antifraud.model import Model, score_inputs
from antifraud.training.benchmark_report import (
    CEILING,
    FIRST_DAY,
    FOREST,
    NETWORK,
    SERVED,
    STRICT,
    TREES,
    as_markdown,
    mean,
    shortcomings,
)
from antifraud.training.ceiling import suspicion
from antifraud.training.figures import card_precision
from antifraud.training.handbook import (
    DELAY,
    EPOCH,
    SCENARIOS,
    Flags,
    Floats,
    Payments,
    as_transactions,
    book_inputs,
    split,
    with_hidden,
)
from antifraud.training.judges import forest, trees
from antifraud.training.network import Plan, fit
from antifraud.training.rows import Rows
from antifraud.training.series import series_inputs
from antifraud.training.sides import PLAN, sides
from antifraud.training.versions import versions
from history.fold import fold

KEPT_FROM = 100  # days before are history alone


def run(seeds: list[int], out: Path) -> int:
    """Run the seeds, write the table; the exit status says whether the goals are reached."""
    results = [of_seed(seed) for seed in seeds]
    return write(seeds, results, out)


def write(seeds: list[int], results: list[dict[str, dict[str, float]]], out: Path) -> int:
    """Write the table of the seeds' results; the exit status says whether the goals are reached."""
    report = {"seeds": seeds, "results": results, "mean": mean(results), "versions": versions()}
    out.mkdir(parents=True, exist_ok=True)
    (out / "handbook.json").write_text(json.dumps(report, indent=2) + "\n")
    (out / "handbook.md").write_text(as_markdown(report))
    print(as_markdown(report))
    missed = shortcomings(report)
    print("\n".join(missed))
    return 1 if missed else 0


def of_seed(seed: int, first: int = FIRST_DAY, plan: Plan = PLAN) -> dict[str, dict[str, float]]:
    """Return each judge's figures on one simulation."""
    payments, hidden = with_hidden(seed, days=first + 21)
    kept = payments.day >= KEPT_FROM
    of_training, of_test = split(payments, first)
    training, test = of_training[kept], of_test[kept]
    found, fraud = {}, payments.fraud[kept & of_training]
    judged = payments.rows(kept).rows(test)
    for days, by_day in (("", False), (", calendar days", True)):
        book = book_inputs(payments, calendar_days=by_day)[kept]
        found[TREES + days] = _figures(judged, trees(book[training], fraud, book[test]))
        found[FOREST + days] = _figures(judged, forest(book[training], fraud, book[test]))
    for name, delay in ((NETWORK, DELAY - 1), (STRICT, DELAY)):
        transactions, labels = as_transactions(payments, known_after=delay)
        history = fold(transactions, labels, int((~kept).sum()), delay)
        rows = _rows(payments.rows(kept), history)
        x = np.hstack([rows.inputs(), series_inputs(payments, kept, delay + 1)])
        layers = sides(x[training], fraud, payments.customer[kept & of_training], seed, plan)
        found[name] = _figures(judged, 1 - score_inputs(layers, x[test]))
        if name == NETWORK:
            served = x[training][:, : len(NAMES)]
            model = Model(fit(served, fraud, np.ones(len(fraud)), seed, plan), "v2")
            found[SERVED] = _figures(judged, 1 - model.score(*rows.rows(test).columns()))
            found["boosted trees, a replica's inputs"] = _figures(
                judged, trees(served, fraud, x[test][:, : len(NAMES)])
            )
    found[CEILING] = _figures(judged, suspicion(payments, hidden, of_test))
    found["perfect ranking"] = _figures(judged, judged.fraud.astype(np.float64))
    print(seed, json.dumps(found), flush=True)
    return found


def _rows(payments: Payments, history: Any) -> Rows:
    nowhere = np.zeros(len(payments.cents))
    return Rows(
        payments.cents, EPOCH + payments.second, nowhere, nowhere, history,
        payments.fraud, payments.scenario, payments.customer, payments.day,
    )  # fmt: skip


def _figures(payments: Payments, suspicion: Floats) -> dict[str, float]:
    fraud = payments.fraud
    found = {
        "roc_auc": roc_auc(fraud, suspicion),
        "average_precision": average_precision(fraud, suspicion),
        "card_precision_100": card_precision(payments.day, payments.customer, fraud, suspicion),
    }
    for number, scenario in enumerate(SCENARIOS):
        chosen: Flags = (payments.scenario == number) | ~fraud
        if number and (payments.scenario == number).any():
            found[f"average_precision, {scenario}"] = average_precision(fraud[chosen], suspicion[chosen])
    return {name: round(figure, 4) for name, figure in found.items()}
