"""`faust -A app.main replay --into cassandra`: rows written again from the log, for a node that missed them.

No verdict is asked again and nothing is told. Every row has its own write timestamp, so that a higher revision stays
and a replay beside the running system does no harm. Written at ALL: each replica has the row, hints or not.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

import click
import faust
from faust.cli import option

from app import topics
from app.clients.cassandra import REPAIR_LEVELS, Cassandra
from app.clients.transactions_table import TransactionsTable
from app.commands.reading import Reader
from app.commands.running import Progress, ends_in_a_sentence, tried
from app.errors import Poison
from app.models.status import TransactionStatus
from app.settings import Settings

IN_FLIGHT = 2000


def register(app: faust.App, settings: Settings) -> None:
    """Put the command on the app."""

    @app.command(
        option("--into", type=click.Choice(["cassandra"]), required=True, help="Which store."),
        option("--since", type=click.FloatRange(min=0), help="Only what was told in so many seconds."),
        option("--in-flight", type=click.IntRange(1, 5000), default=IN_FLIGHT, help="Rows at a time."),
    )
    async def replay(self: Any, into: str, since: float | None, in_flight: int) -> None:
        """Write rows again from transaction_status: makes a node whole that missed them."""
        with ends_in_a_sentence("replay"):
            await into_cassandra(settings, since, in_flight)


async def into_cassandra(settings: Settings, since: float | None, in_flight: int) -> None:
    """Every status to the present end; SystemExit when some replica has not taken them all."""
    cassandra = Cassandra(settings)
    table = TransactionsTable(cassandra, settings.cassandra_timeout, settings.read_timeout, REPAIR_LEVELS)
    codec = await topics.register(settings, topics.STATUS)
    try:
        await cassandra.open()
        async with Reader(settings, topics.STATUS) as reader:
            await reader.seek(since)
            progress = Progress("replay", reader.total)
            async for records in reader.chunks(in_flight):
                decoded = await codec.decode([record.value for record in records])
                rows = newest(status for status in decoded if not isinstance(status, Poison))
                await tried(partial(table.store, rows))
                progress.add(len(records))
    finally:
        await cassandra.close()
    _tell_end(progress, table)


def newest(statuses: Iterable[TransactionStatus]) -> list[TransactionStatus]:
    """Of each transaction the highest revision alone."""
    found: dict[str, TransactionStatus] = {}
    for status in statuses:
        held = found.get(status["transaction_id"])
        if held is None or held["revision"] < status["revision"]:
            found[status["transaction_id"]] = status
    return list(found.values())


def _tell_end(progress: Progress, table: TransactionsTable) -> None:
    everywhere = table.reached[REPAIR_LEVELS[0]]
    short = table.reached.total() - everywhere
    print(f"replay: records {progress.ended()}; {everywhere:,} rows are on all their replicas")
    if short:
        raise SystemExit(
            f"{short:,} rows are not on all of their replicas: start the nodes (make ps), then run it again"
        )
