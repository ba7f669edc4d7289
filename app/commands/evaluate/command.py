"""`faust -A app.main evaluate`: precision, recall, average precision and card precision of what was decided."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import faust
from faust.cli import option

from app.commands.evaluate.evaluation import Evaluated, evaluated
from app.commands.evaluate.measures import CARDS_A_DAY, Known, Measures, measures
from app.commands.shared.console import friendly_errors
from app.commands.shared.read_range import moment
from app.settings import Settings

ROW = "{:<20} {:>12} {:>12} {:>14}"


def register(app: faust.App, settings: Settings) -> None:
    """Put the command on the app."""

    @app.command(
        option(
            "--since", help="Only what was decided since: seconds ago, or a time (2026-11-24T18:00, UTC)."
        ),
        option("--json/--no-json", "as_json", default=False, help="All of it, as one JSON object."),
    )
    async def evaluate(self: Any, since: str | None, as_json: bool) -> None:
        """Measure what was decided by the labels that have arrived; what has none counts as neither."""
        at = None if since is None else moment(since, time.time())
        with friendly_errors("evaluate"):
            found = await evaluated(settings, at, sys.stderr)
        result = measures(found.decided)
        print(as_text(found, result) if not as_json else json.dumps(as_object(found, result)))


def as_object(found: Evaluated, result: Measures) -> dict[str, Any]:
    """As JSON has it."""
    return {
        "since": found.since,
        **asdict(result),
        "undecided_with_a_label": len(found.undecided),
        "unreadable": found.unreadable,
    }


def as_text(found: Evaluated, result: Measures) -> str:
    """What a person reads."""
    rejected, accepted, cards = result.rejected, result.accepted, result.cards
    frauds = rejected.fraud + accepted.fraud
    missing = rejected.not_labelled + accepted.not_labelled
    labelled = rejected.labelled + accepted.labelled
    begin = "all of the log" if found.since is None else f"since {_time(found.since)}"
    lines = [
        f"evaluate: {labelled + missing:,} decided, {begin}; {labelled:,} have a label",
        ROW.format("", "fraud", "genuine", "not labelled").rstrip(),
        _row("rejected", rejected),
        _row("accepted", accepted),
        f"{missing:,} labels are missing: these count as neither fraud nor genuine",
        "",
        _line(
            "precision",
            result.precision,
            f"{rejected.fraud:,} of {rejected.labelled:,} rejected ones were fraud",
        ),
        _line("recall", result.recall, f"{rejected.fraud:,} of {frauds:,} known frauds were rejected"),
        _line(
            "average precision",
            result.average_precision,
            f"of the scores of {result.scored.labelled:,} labelled ones, {result.scored.fraud:,} of them fraud",
        ),
        _line(
            f"card precision@{CARDS_A_DAY}",
            cards.precision,
            f"mean of {cards.days:,} days: {cards.compromised:,} of {cards.compromised + cards.genuine:,} known cards "
            f"were compromised, {cards.not_known:,} are not known",
        ),
    ]
    if found.undecided:
        lines.append(f"{len(found.undecided):,} more have a label and no verdict in this span")
    if found.unreadable:
        lines.append(f"{found.unreadable:,} records could not be read and are left out")
    return "\n".join(lines)


def _row(name: str, known: Known) -> str:
    return ROW.format(name, f"{known.fraud:,}", f"{known.genuine:,}", f"{known.not_labelled:,}")


def _line(name: str, value: float | None, of: str) -> str:
    return f"{name:<20} {'-' if value is None else f'{value:.3f}':>12}   {of}"


def _time(millis: int) -> str:
    return f"{datetime.fromtimestamp(millis / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"
