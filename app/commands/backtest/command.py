"""`faust -A app.main backtest` and `… disagreements`: what another model or threshold would have decided."""

from __future__ import annotations

import json
import sys
from typing import Any

import click
import faust
from faust.cli import option

from app.assessment.client import Antifraud
from app.commands.backtest.comparison import Comparison, compare
from app.commands.backtest.judges import ByAskingReplicas, Judge, by_recorded_scores, by_the_shadow
from app.commands.backtest.report import as_object, as_text, by_whom, spanned
from app.commands.backtest.run import decided_anew
from app.commands.shared.console import friendly_errors
from app.commands.shared.read_range import ReadRange, read_range_of
from app.errors import UnknownModel
from app.settings import Settings

_SINCE = option(
    "--since", help="Only what was decided since: seconds ago, or a time (2026-11-24T18:00, UTC)."
)
_UNTIL = option("--until", help="Only what was decided before: the same.")
_JSON = option("--json/--no-json", "as_json", default=False, help="All of it, as one JSON object.")


def register(app: faust.App, settings: Settings) -> None:
    """Put the commands on the app."""

    @app.command(
        option("--model", help="Decide with this model, which the replicas have (docs/models.md)."),
        option(
            "--threshold",
            type=click.FloatRange(0, 1),
            help="Reject below this score instead; without --model by the scores on record.",
        ),
        _SINCE,
        _UNTIL,
        _JSON,
    )
    async def backtest(
        self: Any,
        model: str | None,
        threshold: float | None,
        since: str | None,
        until: str | None,
        as_json: bool,
    ) -> None:
        """Decide a span of the log anew with another model or threshold; nobody is told, nothing is written."""
        span = read_range_of(since, until, None, None)
        if threshold is not None and threshold != threshold:  # NaN is in every range
            raise SystemExit("--threshold must be a number from 0 to 1")
        with friendly_errors("backtest"):
            if model:
                await _with_another_model(settings, span, model, threshold, as_json)
            elif threshold is not None:
                found = await _compared(settings, span, by_recorded_scores(threshold))
                said = f"backtest: decided anew by the scores on record at threshold {threshold:g}"
                _print(*found, span, said, threshold, as_json)
            else:
                raise SystemExit("backtest: say --model or --threshold, or both")

    @app.command(
        option("--model", help="Only where this was the second model."),
        _SINCE,
        _UNTIL,
        _JSON,
    )
    async def disagreements(
        self: Any, model: str | None, since: str | None, until: str | None, as_json: bool
    ) -> None:
        """Show where the second model (ANTIFRAUD_SHADOW) says otherwise than the one that decided."""
        span = read_range_of(since, until, None, None)
        with friendly_errors("disagreements"):
            found = await _compared(settings, span, by_the_shadow(model))
        said = f"disagreements: the second model {by_whom(found[0].other_models)}"
        _print(*found, span, said, None, as_json)


async def _with_another_model(
    settings: Settings, span: ReadRange, model: str, threshold: float | None, as_json: bool
) -> None:
    antifraud = Antifraud(settings)
    await antifraud.open()
    try:
        judge = ByAskingReplicas(antifraud, model, threshold)
        found = await _compared(settings, span, judge)
    except UnknownModel as exc:
        raise SystemExit(f"backtest: {exc}") from exc
    finally:
        await antifraud.close()
    at = " and ".join(f"{one:g}" for one in sorted(judge.thresholds)) or "-"
    used = judge.thresholds.pop() if len(judge.thresholds) == 1 else None
    _print(*found, span, f"backtest: decided anew with {model} at threshold {at}", used, as_json)


async def _compared(settings: Settings, span: ReadRange, judge: Judge) -> tuple[Comparison, int]:
    """And how many records could not be read."""
    decisions = await decided_anew(settings, span, judge, sys.stderr)
    return compare(decisions), decisions.unreadable


def _print(
    found: Comparison, unreadable: int, span: ReadRange, said: str, threshold: float | None, as_json: bool
) -> None:
    if as_json:
        print(json.dumps(as_object(found, span, threshold, unreadable)))
        return
    print(as_text(found, f"{said}, {spanned(span)}; decided by {by_whom(found.models)}", unreadable))
