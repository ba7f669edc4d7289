"""Trains a model that knows no history on simulated transactions, and judges it: `python -m antifraud.train`."""

from __future__ import annotations

import argparse
import json
import platform
import sys
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from antifraud.evaluation import Labels, average_precision, best_rule, roc_auc
from antifraud.features import features, in_steps
from antifraud.model import TRAINED, Layer, Model, save
from antifraud.simulate import Columns, generator_traffic, simulate

ROWS, SEED, EPOCHS, HELD_OUT = 200_000, 20_211_015, 15, 0.25
HIDDEN, BATCH = (32, 16), 512
FIGURES = {"roc_auc": roc_auc, "average_precision": average_precision}


def main(arguments: list[str] | None = None) -> int:
    """Train, save, evaluate; the exit status says whether the model beats the simpler classifiers."""
    options = _options(arguments)
    print(f"simulating {options.rows} transactions, seed {options.seed}", flush=True)
    columns, good = simulate(options.rows, options.seed)
    kept = round(options.rows * (1 - HELD_OUT))
    model = train(columns.rows(slice(kept)), good[:kept], options.seed)
    report = evaluate(model, columns, good, kept) | {"rows": options.rows, "seed": options.seed} | _versions()
    out = options.out / model.version
    save(model, out)
    (out / "evaluation.json").write_text(json.dumps(report, indent=2, sort_keys=True) + "\n")
    table = as_markdown(report)
    (out / "evaluation.md").write_text(table)
    print(table)
    if not beats_the_others(report):
        print("the model does not beat the constant and the best rule on one field", file=sys.stderr)
        return 1
    return 0


def train(columns: Columns, good: Labels, seed: int) -> Model:
    """Return the network trained on these rows; reproducible from the seed on the same machine."""
    tf.keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
    inputs = features(*map(tf.constant, columns.all()))
    network = tf.keras.Sequential([tf.keras.layers.Dense(units, activation="relu") for units in HIDDEN])
    network.add(tf.keras.layers.Dense(1))
    steps = EPOCHS * len(good) // BATCH
    network.compile(
        tf.keras.optimizers.Adam(tf.keras.optimizers.schedules.CosineDecay(4e-3, steps)),
        tf.keras.losses.BinaryCrossentropy(from_logits=True),
    )
    network.fit(inputs.numpy().astype(np.float32), good, batch_size=BATCH, epochs=EPOCHS, verbose=2)
    return Model([Layer(*(in_steps(part) for part in layer.get_weights())) for layer in network.layers])


def evaluate(model: Model, columns: Columns, good: Labels, kept: int) -> dict[str, Any]:
    """Return the figures of the served function on the held-out rows; the rules are chosen on the others."""
    held_out, fraud = columns.rows(slice(kept, None)), ~good[kept:]
    rules = {figure: best_rule(columns.rows(slice(kept)), ~good[:kept], figure) for figure in FIGURES}
    scores = {"model": 1 - model.score(*held_out.all()), "constant": np.zeros(len(fraud))}
    judges = {name: {f: round(FIGURES[f](fraud, s), 4) for f in FIGURES} for name, s in scores.items()}
    judges["best rule on one field"] = {
        figure: round(FIGURES[figure](fraud, rule.suspects(held_out)), 4) for figure, rule in rules.items()
    }
    traffic = model.score(*generator_traffic(100_000, np.random.default_rng(0)).all())
    rejected = {str(t): round(float((traffic < t).mean()), 4) for t in (0.4, 0.5, 0.7)}
    return {
        "model_version": model.version,
        "held_out_rows": len(fraud),
        "fraud_share": round(float(fraud.mean()), 4),
        "judges": judges,
        "best_rules": {figure: f"fraud where {rule}" for figure, rule in rules.items()},
        "rejected_of_generator_traffic": rejected,
    }


def beats_the_others(report: dict[str, Any]) -> bool:
    """Return whether the model is best in both figures."""
    judges = dict(report["judges"])
    model = judges.pop("model")
    return all(model[figure] > other[figure] for figure in FIGURES for other in judges.values())


def as_markdown(report: dict[str, Any]) -> str:
    """Return the report for people."""
    lines = [f"# Evaluation of model {report['model_version']}\n"]
    lines += [f"{report['rows']} simulated transactions, seed {report['seed']}; judged on"]
    lines += [f"{report['held_out_rows']} that training has not seen, {report['fraud_share']:.1%} fraud.\n"]
    lines += ["| judge | ROC-AUC | average precision |", "| --- | --- | --- |"]
    for name, figures in report["judges"].items():
        lines += [f"| {name} | {figures['roc_auc']:.4f} | {figures['average_precision']:.4f} |"]
    lines += [f"\nThe best rule by ROC-AUC: {report['best_rules']['roc_auc']};"]
    lines += [f"by average precision: {report['best_rules']['average_precision']}.\n"]
    lines += ["| APPROVED_THRESHOLD | rejected of the generator's traffic |", "| --- | --- |"]
    lines += [f"| {t} | {share:.1%} |" for t, share in report["rejected_of_generator_traffic"].items()]
    lines += ["\nMade with " + ", ".join(f"{name} {report[name]}" for name in _versions()) + "."]
    lines += ["The same command on the same processor with the same versions makes the same bytes again;"]
    lines += ["elsewhere training may end in other weights, as good as these. The scores of given weights"]
    lines += ["are the same everywhere."]
    return "\n".join(lines) + "\n"


def _versions() -> dict[str, str]:
    return {"python": platform.python_version(), "tensorflow": tf.__version__, "numpy": np.__version__}


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m antifraud.train", description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS, help="simulated transactions (default %(default)s)")
    parser.add_argument(
        "--seed", type=int, default=SEED, help="of simulation and training (default %(default)s)"
    )
    parser.add_argument("--out", type=Path, default=TRAINED, help="folder to write into")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
