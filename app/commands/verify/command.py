"""`faust -A app.main verify`: log, Cassandra and Redis compared. Exit 0: they agree, 1: they differ, 2: not checked."""

from __future__ import annotations

import json
import sys
import time
import traceback
from dataclasses import asdict
from typing import Any

import faust
from aiokafka.errors import KafkaError
from faust.cli import option

from app.commands.shared.console import Progress, reason
from app.commands.verify.features import Compared, differences
from app.commands.verify.verification import Checked, Finding, Verification, summary
from app.errors import PipelineError
from app.messaging.dead_letters import place_of
from app.settings import Settings

DIFFER, NOT_CHECKED = 1, 2
#: Lines of findings without --json.
SHOWN = 50
BEGINNING = '{"findings": ['


def register(app: faust.App, settings: Settings) -> None:
    """Put the command on the app."""

    @app.command(
        option("--json/--no-json", "as_json", default=False, help="All of it, as one JSON object."),
        option(
            "--features/--stores",
            default=False,
            help="Recompute each verdict's features from the log instead.",
        ),
    )
    async def verify(self: Any, as_json: bool, features: bool) -> None:
        """Compare log, Cassandra and Redis: every transaction, every column. Exit 0, 1 (differ), 2 (not checked)."""
        try:
            agree = await (_features(settings, as_json) if features else _stores(settings, as_json))
        except (PipelineError, KafkaError, OSError) as exc:
            print(f"verify: could not be checked: {reason(exc)}. See: make ps", file=sys.stderr)
            raise SystemExit(NOT_CHECKED) from exc
        except Exception as exc:  # exit 1 means that they differ, nothing else
            traceback.print_exc()
            raise SystemExit(NOT_CHECKED) from exc
        if not agree:
            raise SystemExit(DIFFER)


async def _stores(settings: Settings, as_json: bool) -> bool:
    verification = Verification(settings)
    await (_as_json(verification) if as_json else _as_text(verification))
    return verification.checked.agree


async def _features(settings: Settings, as_json: bool) -> bool:
    """Each verdict's features, recomputed from those before it in the log; differences are printed as they come."""
    began, compared = time.monotonic(), Compared()
    before = BEGINNING
    async for one in differences(settings, compared, lambda what, total: Progress(what, total, sys.stderr)):
        compared.differ += 1
        if as_json:
            print(f"{before}\n  {json.dumps(asdict(one), ensure_ascii=False)}", end="")
            before = ","
        elif compared.differ <= SHOWN:
            named = ", ".join(f"{name} {on} not {is_}" for name, (on, is_) in one.features.items())
            what = f"features  {one.transaction_id}" if one.transaction_id else "totals"
            print(f"different    {what}  {place_of((one.topic, *one.place))}")
            print(f"    {named}", flush=True)
    if as_json:
        counts = json.dumps({"agree": not compared.differ, "counts": asdict(compared)})
        print(f"{'' if before == ',' else BEGINNING}\n], {counts[1:]}")
        return not compared.differ
    more = (
        f"... and {compared.differ - SHOWN:,} more; all of them: --json\n" if compared.differ > SHOWN else ""
    )
    print(
        f"{more}features recomputed from the log: {compared.same:,} the same, {compared.differ:,} differ, "
        f"{compared.merchants:,} with their merchant's history, "
        f"{compared.unrecorded:,} from before they were recorded, in {time.monotonic() - began:.1f} s"
    )
    if compared.late:
        print(
            f"{compared.late:,} verdicts are in the partition that their customer had left: a producer went on with "
            "the old number of partitions"
        )
    return not compared.differ


async def _as_json(verification: Verification) -> None:
    """One object; the findings are printed as they come, a million of them are no list in memory."""
    before = BEGINNING
    async for finding in verification.findings():
        print(f"{before}\n  {json.dumps(asdict(finding), ensure_ascii=False)}", end="")
        before = ","
    print("" if before == "," else BEGINNING, end="\n], ")
    print(json.dumps(summary(verification.checked), ensure_ascii=False)[1:])


async def _as_text(verification: Verification) -> None:
    began = time.monotonic()
    async for finding in verification.findings():
        if verification.checked.wrong <= SHOWN:
            print("\n".join(lines(finding)), flush=True)
    for line in ending(verification.checked, time.monotonic() - began):
        print(line)


def lines(finding: Finding) -> list[str]:
    """What a person reads of one finding."""
    revision = "" if finding.revision is None else f" (revision {finding.revision})"
    where = {"transaction_created": "in transaction_created", "transaction_status": "in transaction_status"}
    place = where.get(finding.where, f"in {finding.where}")
    found = [f"{finding.problem:<12} {place:<22} {finding.transaction_id}{revision}"]
    for name, values in finding.columns.items():
        found.append(f"    {name}: " + ", ".join(f"{place} {value!r}" for place, value in values.items()))
    return found


def ending(checked: Checked, seconds: float) -> list[str]:
    """The counts and the verdict."""
    c = checked.counts
    more = [f"... and {checked.wrong - SHOWN:,} more; all of them: --json"] if checked.wrong > SHOWN else []
    waiting = checked.in_flight
    named = f"under way: {', '.join(waiting[:3])}{' ...' if len(waiting) > 3 else ''}"
    never_sent = f"   never sent {c.never_sent:,}" if c.never_sent else ""
    return [
        *more,
        f"sent {c.sent:,} = decided {c.decided:,} + in flight {c.in_flight:,} + dead letters {c.dead_letters:,} "
        f"+ without a verdict {c.missing_verdicts:,}",
        f"decided {c.decided:,} = stored {c.stored:,} + being stored {c.being_stored:,} "
        f"+ without a row {c.missing_rows:,}",
        f"published {c.published:,} records   in Redis {c.in_redis:,} ({checked.redis})   "
        f"dead letters sent back {c.sent_back:,}{never_sent}",
        *([f"{checked.labels:,} have a label"] if checked.labels else []),
        *([named] if waiting else []),
        f"verify: {'all agree' if checked.agree else f'{checked.wrong:,} differences'}, in {seconds:.1f} s",
    ]
