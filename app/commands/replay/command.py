"""`faust -A app.main replay`: Cassandra, Redis or both written again from the log.

Antifraud is not asked again and nothing is published. Every row has its own write timestamp and every entry its
revision, so that the higher one stays and a replay beside the running system does no harm. One of the whole log into
Redis removes the completeness marker and sets it at its end; a consumer group of its own commits the offsets before
which all is written, where `--resume` continues.
"""

from __future__ import annotations

from typing import Any

import click
import faust
from faust.cli import option

from app.commands.replay import run
from app.commands.shared.console import friendly_errors
from app.commands.shared.read_range import read_range_of
from app.settings import Settings


def register(app: faust.App, settings: Settings) -> None:
    """Put the command on the app."""

    @app.command(
        option(
            "--into", type=click.Choice(["cassandra", "redis", "both"]), default="both", help="Which store."
        ),
        option(
            "--since", help="Only what was published since: seconds ago, or a time (2026-11-24T18:00, UTC)."
        ),
        option("--until", help="Only what was published before: the same."),
        option("--from-offset", help="Only these partitions, from these offsets: 0:1200,3:900."),
        option("--to-offset", help="Only these partitions, up to these offsets, which are not included."),
        option("--rate", type=click.FloatRange(min=1), help="At most this many records per second."),
        option("--dry-run/--no-dry-run", default=False, help="Count, write nothing."),
        option("--resume/--no-resume", default=False, help="Go on where one that was killed has come to."),
    )
    async def replay(
        self: Any,
        into: str,
        since: str | None,
        until: str | None,
        from_offset: str | None,
        to_offset: str | None,
        rate: float | None,
        dry_run: bool,
        resume: bool,
    ) -> None:
        """Write Cassandra, Redis or both again from transaction_status."""
        plan = run.Plan(into, read_range_of(since, until, from_offset, to_offset), rate, resume)
        with friendly_errors("replay"):
            await (run.counted(settings, plan) if dry_run else run.run(settings, plan))
