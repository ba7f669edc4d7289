"""The evaluation for people: a page in Markdown."""

from __future__ import annotations

from typing import Any


def as_markdown(report: dict[str, Any]) -> str:
    """Return the page of a commerce report."""
    lines = [f"# Evaluation of model {report['model_version']}\n"]
    lines += [
        f"Judged on {report['test_rows']:,} transactions of simulated commerce, {report['fraud_share']:.2%} fraud, of",
        f"{report['weeks']['test']} days that nobody has seen: training ends {report['gap_days']} days before.",
        "Judges were chosen on validation weeks in between. A fraud is known 1 to 7 days after it happened.\n",
        "| judge | ROC-AUC | average precision | card precision@100 |",
        "| --- | --- | --- | --- |",
    ]
    lines += [
        f"| {name} | {f['roc_auc']:.3f} | {f['average_precision']:.3f} | {f['card_precision_100']:.3f} |"
        for name, f in report["judges"].items()
    ]
    lines += ["\n![Precision over recall](precision-recall.svg)\n", *_by_kind(report), *_money(report)]
    lines += [
        "\n## Calibration\n",
        f"Expected calibration error on the test weeks: {report['calibration_error']:.4f};",
    ]
    lines += [f"with the history withheld {report['calibration_error_history_withheld']:.4f}.\n"]
    lines += ["![Observed over predicted share of fraud](calibration.svg)\n", *_generator(report)]
    lines += [f"Made with {', '.join(f'{name} {version}' for name, version in report['versions'].items())}."]
    lines += [
        "The same command on the same processor with the same versions makes the same bytes again; elsewhere"
    ]
    lines += ["training may end in other weights. The scores of given weights are the same everywhere."]
    return "\n".join(lines) + "\n"


def _by_kind(report: dict[str, Any]) -> list[str]:
    kinds = report["frauds_by_kind"]
    lines = ["## Average precision per kind of fraud\n", "Each kind against all genuine payments.\n"]
    lines += ["| judge | " + " | ".join(f"{kind} ({count})" for kind, count in kinds.items()) + " |"]
    lines += ["| --- |" + " --- |" * len(kinds)]
    for name, figures in report["judges"].items():
        shares = figures["average_precision_by_kind"]
        lines += [
            f"| {name} | "
            + " | ".join(f"{shares[kind]:.3f}" if kind in shares else "-" for kind in kinds)
            + " |"
        ]
    return lines


def _money(report: dict[str, Any]) -> list[str]:
    lines = [
        "\n## What history buys, in money\n",
        "Each judge rejects what lies above its own threshold, set on the",
    ]
    lines += ["validation weeks so that one good payment in a thousand would be rejected.\n"]
    lines += [
        "| judge | money of fraud stopped | lost | frauds caught | precision | good rejected per 1,000 |"
    ]
    lines += ["| --- | --- | --- | --- | --- | --- |"]
    for name, w in report["money"].items():
        lines += [
            f"| {name} | {w['money_caught_cents'] / 100:,.0f} ({w['money_caught']:.0%}) |"
            f" {w['money_lost_cents'] / 100:,.0f} | {w['caught']:.0%} | {w['precision']:.0%} |"
            f" {w['rejected_per_thousand_good']:.2f} |"
        ]
    w, bought = report["at_approved_threshold"], report["history_buys_cents"]
    lines += [f"\nHistory buys {bought / 100:,.0f} in these weeks, against a network fitted without it."]
    lines += [
        f"At APPROVED_THRESHOLD 0.5 the model stops {w['money_caught']:.0%} of the money, {w['caught']:.0%} of the"
    ]
    lines += [f"frauds, and rejects {w['rejected_per_thousand_good']:.2f} good payments in a thousand."]
    return lines


def _generator(report: dict[str, Any]) -> list[str]:
    shares = report["rejected_of_generator_traffic"]
    names = list(next(iter(shares.values())))
    lines = [
        "## The contract's traffic\n",
        "Its fields are drawn at random; what is fraud there is a story of its own",
    ]
    lines += ["(`antifraud/simulate.py`: places, hours, amounts). Rejected of it:\n"]
    lines += ["| APPROVED_THRESHOLD | " + " | ".join(names) + " |", "| --- |" + " --- |" * len(names)]
    lines += [
        f"| {t} | " + " | ".join(f"{share:.1%}" for share in by.values()) + " |" for t, by in shares.items()
    ]
    return [*lines, ""]
