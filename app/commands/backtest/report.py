"""A comparison as a person reads it, and as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

from app.commands.backtest.comparison import BANDS, Amount, Changed, Comparison, Rejected
from app.commands.shared.read_range import ReadRange

ROW = "{:<18} {:>14} {:>20} {:>11} {:>10} {:>10} {:>14}"
BAND = "{:<26} {:>14} {:>16}"
THEN = "{:<18} {:>30} {:>30}   {}"


def as_object(found: Comparison, span: ReadRange, threshold: float | None, unreadable: int) -> dict[str, Any]:
    """As JSON has it; amounts are cents."""
    return {
        "since": span.since,
        "until": span.until,
        "threshold": threshold,
        "unreadable": unreadable,
        "agreed": found.agreed,
        **asdict(found),
    }


def as_text(found: Comparison, heading: str, unreadable: int) -> str:
    """What a person reads."""
    share = f" ({found.agreed / found.compared:.2%})" if found.compared else ""
    lines = [
        heading,
        f"the same verdict for {found.agreed:,} of {found.compared:,}{share}, another one for "
        f"{found.compared - found.agreed:,}, of {found.customers:,} customers",
        "",
        ROW.format("", "transactions", "amount", "customers", "fraud", "genuine", "not labelled"),
        _changed("newly rejected", found.newly_rejected),
        _changed("newly accepted", found.newly_accepted),
        "",
        BAND.format("by amount", "newly rejected", "newly accepted"),
        *_by_amount(found),
        "",
        THEN.format("", "as it was decided", "as it would have been", "").rstrip(),
        _then("rejected", found, "total", f"of {found.compared:,}"),
        _then("fraud caught", found, "fraud", f"of {_words(found.fraud)} known"),
        _missed(found),
        _then("genuine annoyed", found, "genuine", f"of {_words(found.genuine)} known"),
        "",
        f"{found.not_labelled.transactions:,} labels are missing: these count as neither fraud nor genuine",
    ]
    if found.without_features:
        lines.append(
            f"{found.without_features:,} are from before features were recorded, and decided without any history"
        )
    if found.no_score:
        lines.append(f"{found.no_score:,} more have no score to decide by and are left out")
    if unreadable:
        lines.append(f"{unreadable:,} records could not be read and are left out")
    return "\n".join(lines)


def by_whom(models: Mapping[str, int]) -> str:
    """`v1-1a2b3c4d`, or several with how many each has decided."""
    if len(models) <= 1:
        return "".join(models) or "none"
    return ", ".join(f"{name} ({count:,})" for name, count in models.items())


def spanned(span: ReadRange) -> str:
    """The span in words."""
    since = f"since {_time(span.since)}" if span.since is not None else "from the beginning of the log"
    return since if span.until is None else f"{since} until {_time(span.until)}"


def _changed(name: str, changed: Changed) -> str:
    total = changed.total
    known = (changed.fraud, changed.genuine, changed.not_labelled)
    return ROW.format(
        name,
        f"{total.transactions:,}",
        _money(total.cents),
        f"{changed.customers:,}",
        *(f"{one.transactions:,}" for one in known),
    )


def _by_amount(found: Comparison) -> list[str]:
    begins = [_money(cents) for cents in BANDS]
    names = [f"below {begins[0]}"]
    names += [f"{first} to {second}" for first, second in pairwise(begins)]
    names.append(f"{begins[-1]} or more")
    counts = zip(names, found.newly_rejected.by_amount, found.newly_accepted.by_amount, strict=True)
    return [BAND.format(name, f"{more:,}", f"{less:,}") for name, more, less in counts]


def _then(name: str, found: Comparison, of: str, rest: str) -> str:
    before, after = getattr(found.before, of), getattr(found.after, of)
    return THEN.format(name, _words(before), _words(after), rest)


def _missed(found: Comparison) -> str:
    def missed(rejected: Rejected) -> Amount:
        return Amount(
            found.fraud.transactions - rejected.fraud.transactions, found.fraud.cents - rejected.fraud.cents
        )

    return THEN.format("fraud missed", _words(missed(found.before)), _words(missed(found.after)), "").rstrip()


def _words(amount: Amount) -> str:
    return f"{amount.transactions:,} ({_money(amount.cents)})"


def _money(cents: int) -> str:
    return f"{cents // 100:,}.{cents % 100:02}"


def _time(millis: int) -> str:
    return f"{datetime.fromtimestamp(millis / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"
