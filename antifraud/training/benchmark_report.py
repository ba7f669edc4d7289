"""The report of the network on the Handbook's simulator: means, pairs, goals, and what they are figures of."""

from __future__ import annotations

from typing import Any

import numpy as np

from antifraud.training.handbook import SCENARIOS

FIRST_DAY = 115  # of training, as in the book: 25 July
GOALS = {"average_precision": 0.72, "card_precision_100": 0.32, "roc_auc": 0.89}
GAIN = 0.03  # of average precision, in pairs, over trees on the book's inputs
TREES, FOREST = "boosted trees, the book's 15 inputs", "random forest, the book's 15 inputs"
NETWORK, STRICT = "network", "network, labels a day later"
SERVED = "network, a replica's inputs alone"
CEILING = "who knows the simulator"
NOTES = (
    "The rows `network` are four sides that are one network (`antifraud/training/sides.py`). Each alone can say",
    "fraud: for an amount above a limit; for what the customer does; for what is known of the terminal; and for how",
    "long nothing has been known of it, as a compromised terminal's frauds are known only later. The second and the",
    "third are fitted, each on its share of the frauds (`causes.py`). Half of what the customer's side is fitted on",
    "are labels, half what boosted trees say of the same payments, fitted on other customers of the same week. The",
    "terminal's inputs say how long a present series of frauds has lasted and whether it has ended (`series.py`); a",
    "history does not have these, so no replica could serve it yet. It is of the served form all the same, with the",
    "same exact arithmetic. The row",
    f"`{SERVED}` has the inputs that there are, and is one network.",
    "",
    "When a label counts: the book's inputs wait 7 times 24 hours, to the second. A merchant's labels count by closed",
    "days: in the row `network`, and in the rows by calendar days, a fraud of one day counts from the seventh day",
    "after it on, which is 6 to 7 times 24 hours later; a day later is 7 to 8 times.",
    "",
    f"The row `{CEILING}` (`antifraud/training/ceiling.py`) is no model: it knows each customer's true mean amount,",
    "the chance of each scenario, and the days of a terminal whose fraud is known; labels count as in the row",
    "`network`. What it does not find nobody could, but by luck: frauds at a terminal before the first one is known.",
)
PUBLISHED = "the book's best of each: average precision 0.694, card precision@100 0.305, ROC-AUC 0.879"


def mean(results: list[dict[str, dict[str, float]]]) -> dict[str, dict[str, float]]:
    """Return the mean over seeds of each judge's figures; a scenario absent from a seed is left out of its mean."""
    means: dict[str, dict[str, float]] = {}
    for judge in results[0]:
        names = dict.fromkeys(name for result in results for name in result[judge])
        means[judge] = {
            name: round(float(np.mean([r[judge][name] for r in results if name in r[judge]])), 4)
            for name in names
        }
    return means


def gains(report: dict[str, Any], judge: str, over: str) -> list[float]:
    """Return, pair by pair, how much more average precision a judge has than another."""
    return [r[judge]["average_precision"] - r[over]["average_precision"] for r in report["results"]]


def shortcomings(report: dict[str, Any]) -> list[str]:
    """Return the goals that are missed, in words; the gain counts over the better of the trees, with its labels."""
    reached = report["mean"][NETWORK]
    missed = [
        f"{name} {reached[name]} is under {goal}" for name, goal in GOALS.items() if reached[name] < goal
    ]
    for over in (TREES, FOREST, f"{TREES}, calendar days", f"{FOREST}, calendar days"):
        gain = float(np.mean(gains(report, NETWORK, over)))
        if gain < GAIN:
            missed.append(f"gain over {over} {gain:.3f} is under {GAIN}")
    return missed


def as_markdown(report: dict[str, Any]) -> str:
    """Return the table for people."""
    columns = ["roc_auc", "average_precision", "card_precision_100"]
    columns += [f"average_precision, {scenario}" for scenario in SCENARIOS[1:]]
    lines = ["# The Fraud Detection Handbook's simulator\n"]
    lines += [
        f"Mean of the seeds {report['seeds']}; 7 days of training, delay and test from day {FIRST_DAY}."
    ]
    lines += [f"Published: {PUBLISHED}.\n"]
    lines += ["| judge | " + " | ".join(columns) + " |", "| --- |" + " --- |" * len(columns)]
    for judge, reached in report["mean"].items():
        lines += [f"| {judge} | " + " | ".join(f"{reached[name]:.3f}" for name in columns) + " |"]
    lines += ["", *_by_seed(report)]
    lines += ["\nAverage precision in pairs, seed by seed:\n"]
    for judge, days in ((NETWORK, ""), (NETWORK, ", calendar days"), (STRICT, "")):
        for trees_ in (TREES, FOREST):
            found = gains(report, judge, trees_ + days)
            pairs = ", ".join(f"{gain:+.3f}" for gain in found)
            lines += [f"- {judge}, over {trees_ + days}: {np.mean(found):+.3f} ({pairs})"]
    lines += ["", *NOTES]
    missed = shortcomings(report)
    lines += ["", "All goals are reached." if not missed else "Missed: " + "; ".join(missed) + ".", ""]
    seeds = " ".join(map(str, report["seeds"]))
    lines += [f"Made by `python -m antifraud.training handbook --seeds {seeds}` with "]
    lines[-1] += ", ".join(f"{name} {version}" for name, version in report["versions"].items()) + "."
    return "\n".join(lines) + "\n"


def _by_seed(report: dict[str, Any]) -> list[str]:
    """The judged network's figures, seed by seed."""
    lines = ["| network, seed | " + " | ".join(GOALS) + " |", "| --- |" + " --- |" * len(GOALS)]
    for seed, result in zip(report["seeds"], report["results"], strict=True):
        lines += [f"| {seed} | " + " | ".join(f"{result[NETWORK][name]:.3f}" for name in GOALS) + " |"]
    return lines
