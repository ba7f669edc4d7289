"""Trains and judges the model: `python -m antifraud.training commerce` (`make train`) or `handbook`.

`distribution --model v2-50dffdac` writes what a replica compares with (distribution.json) for a model that is there.
"""

from __future__ import annotations

import argparse
import json
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from antifraud import distribution
from antifraud.model import TRAINED, save
from antifraud.models import present
from antifraud.training import benchmark
from antifraud.training.charts import chart, precision_recall, reliability
from antifraud.training.commerce import DELAY, Weeks, commerce
from antifraud.training.distributions import of_training, write_again
from antifraud.training.evaluate import evaluate, shortcomings, suspicions
from antifraud.training.fitting import model_of, model_without_history
from antifraud.training.report import as_markdown
from antifraud.training.versions import versions
from commerce.world import World

SEED = 2_025
NEEDS = "scikit-learn>=1.9,<2"


def main(arguments: list[str] | None = None) -> int:
    """Run what is asked for; the exit status says whether the goals are reached."""
    options = _options(arguments)
    if options.world == "distribution":
        write_again(present(options.out)[options.model])
        return 0
    if not _has_scikit_learn():
        print(
            f"training compares with scikit-learn: .venv/bin/python -m pip install '{NEEDS}'", file=sys.stderr
        )
        return 2
    if options.world == "handbook":
        return benchmark.run(options.seeds, options.out)
    return train(options.seed, options.customers, options.out)


def train(seed: int, customers: int, out: Path, weeks: Weeks | None = None) -> int:
    """Simulate, fit, judge, save in a folder of the model's version in `out`, where a replica finds it."""
    weeks = weeks or Weeks()
    print(f"simulating {weeks.days} days of {customers} customers, seed {seed}", flush=True)
    rows = commerce(World.made(seed, customers), weeks)
    training, validation, test = (
        rows.rows(chosen(rows)) for chosen in (weeks.of_training, weeks.of_validation, weeks.of_test)
    )
    print(f"fitting on {len(training)} transactions, {training.fraud.mean():.2%} fraud", flush=True)
    model, without = model_of(training, seed), model_without_history(training, seed)
    print("judging", flush=True)
    judges = suspicions(training, validation, test, model, without)
    report = evaluate(test, validation, judges, model) | _about(seed, customers, weeks)
    stopped = {name: found["money_caught_cents"] for name, found in report["money"].items()}
    report["history_buys_cents"] = stopped["model"] - stopped["network fitted without history"]
    out = out / model.version
    save(model, out)
    distribution.save(of_training(model, training), out)
    curves = {
        name: precision_recall(test.fraud, suspicion[: len(test)]) for name, suspicion in judges.items()
    }
    observed = {"model": reliability(test.fraud, judges["model"][: len(test)])}
    write(out, "evaluation.json", json.dumps(report, indent=2) + "\n")
    write(out, "evaluation.md", as_markdown(report))
    title = "Precision over recall, test weeks of simulated commerce"
    write(out, "precision-recall.svg", chart(title, "recall", "precision", curves))
    title = "Calibration on test weeks"
    write(out, "calibration.svg", chart(title, "predicted", "observed", observed, diagonal=True))
    print(as_markdown(report))
    missed = shortcomings(report)
    for goal in missed:
        print(f"missed: {goal}", file=sys.stderr)
    return 1 if missed else 0


def write(folder: Path, name: str, text: str) -> None:
    """Write a file of the evaluation."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)


def _about(seed: int, customers: int, weeks: Weeks) -> dict[str, Any]:
    return {
        "seed": seed,
        "customers": customers,
        "weeks": vars(weeks),
        "gap_days": weeks.validation + 2 * DELAY,
        "versions": versions(),
    }


def _has_scikit_learn() -> bool:
    try:
        metadata.version("scikit-learn")
    except metadata.PackageNotFoundError:
        return False
    return True


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m antifraud.training", description=__doc__)
    parser.add_argument("world", choices=("commerce", "handbook", "distribution"))
    parser.add_argument("--model", default="", help="of the distribution: a version in --out")
    parser.add_argument("--seed", type=int, default=SEED, help="of commerce (default %(default)s)")
    parser.add_argument("--customers", type=int, default=5_000, help="of commerce (default %(default)s)")
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(5)), help="of the handbook")
    parser.add_argument("--out", type=Path, default=TRAINED, help="folder to write into")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
