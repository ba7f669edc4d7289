"""What a backlog's way has left, compared by id and by value: fed, published, stored."""

import asyncio
import zlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from cassandra.concurrent import execute_concurrent_with_args

from benchmarks.traffic import STATUS
from reconciliation import readers

SHARDS = 4  # of a minute, in the table's layout (schemas/cql)
PARTITIONS_AT_ONCE, ROWS_A_PAGE = 4, 2000

ROWS = "SELECT * FROM transactions WHERE bucket = ? AND shard = ?"
#: Fields of a status that its row does not have.
IN_THE_LOG_ALONE = {"shadow_score", "shadow_version", "batch_size", "history", "merchants_as_of"}
DECISION = ("revision", "status", "score", "reason", "model_version")

Found = dict[str, Any]  # columns or fields by name


async def faults(
    transactions: Sequence[Found],
    published_from: Mapping[int, int],
    offsets_from: Mapping[int, int],
    once: bool,
) -> list[str]:
    """What is wrong, a line each kind. The offsets: where both topics ended before they were fed.

    `once`: a verdict may not be published again, not even the same.
    """
    fed = {one["transaction_id"]: one for one in transactions}
    published = defaultdict[str, list[Found]](list)
    async for status in readers.records(STATUS, fed, published_from):
        published[status["transaction_id"]].append(status)
    rows = await asyncio.to_thread(_rows, list(fed))
    found = Counter[str]()
    for id_, body in fed.items():
        found.update(wrong(body, published.get(id_, []), rows.get(id_), once))
    places_of = Counter(
        (s["source_partition"], s["source_offset"]) for some in published.values() for s in some[:1]
    )
    found["published for a record that is not theirs"] = sum(
        count > 1 or offset < offsets_from[partition] for (partition, offset), count in places_of.items()
    )
    return [f"{count} transactions {what}" for what, count in found.items() if count]


def wrong(fed: Found, published: Sequence[Found], row: Found | None, once: bool) -> list[str]:
    """What is wrong with one transaction, in words."""
    found = {
        "not told": not published,
        "not in Cassandra": row is None,
        "published more than once": once and len(published) > 1,
        "published with two verdicts": len({tuple(status[name] for name in DECISION) for status in published})
        > 1,
        "published otherwise than asked": any(not fed.items() <= status.items() for status in published),
        "never assessed": any(status["score"] is None for status in published),
        "stored otherwise than told": bool(row and published) and not _agree(row or {}, published),
    }
    return [what for what, is_so in found.items() if is_so]


def _agree(row: Found, published: Sequence[Found]) -> bool:
    """Column by column; of a verdict that was published twice, each column is of one of the two.

    A row has all of a status but what was known and what stood beside the verdict (IN_THE_LOG_ALONE).
    """
    stored = published[0].keys() - IN_THE_LOG_ALONE
    return all(any(row[name] == status[name] for status in published) for name in stored)


def _rows(ids: Sequence[str]) -> dict[str, Found]:
    """Each id's row at LOCAL_QUORUM, in the partition of the minute that is in the id (UUIDv7) and its shard.

    Whole partitions: they hold little else, and are read in less than half the time of the ids. A row that lies in
    another partition than its id says is none.
    """
    partitions = {_partition(id_) for id_ in ids}
    with readers.session() as session:
        select = session.prepare(ROWS)
        select.fetch_size = ROWS_A_PAGE
        answers = execute_concurrent_with_args(
            session, select, partitions, concurrency=PARTITIONS_AT_ONCE, results_generator=True
        )
        return {
            row.transaction_id: row._asdict()
            for _, rows in answers
            for row in rows
            if _partition(row.transaction_id) == (row.bucket, row.shard)
        }


def _partition(id_: str) -> tuple[int, int]:
    minute = int(id_[:8] + id_[9:13], 16) // 60_000
    return minute, zlib.crc32(id_.encode()) % SHARDS
