"""What each place says of a transaction, as a row of few bytes: digests instead of values, in a temporary SQLite file.

A million transactions are some 250 MB of file (in TMPDIR) and little memory; SQLite sorts them by id.
"""

from __future__ import annotations

import json
import marshal
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

from app.models.reasons import as_text
from app.models.status import Decision, TransactionStatus
from app.models.transaction import Transaction, bucket_of, shard_of

#: The places, in the order in which a transaction comes to them; Redis has an entry, and its key in the list's order.
CREATED, PUBLISHED, STORED, ENTRY, LISTED = range(5)

TRANSACTION_COLUMNS = tuple(Transaction.__annotations__)
DECISION_COLUMNS = tuple(Decision.__annotations__)
_transaction, _decision = itemgetter(*TRANSACTION_COLUMNS), itemgetter(*DECISION_COLUMNS)

#: Of marshal's formats the last in which equal values give equal bytes: later ones distinguish shared objects.
VALUES_ALONE = 2

#: The bucket of a row that is not in the partition where its id leads.
MISFILED = -1
CACHE_KIB = 8_000


class Observation(NamedTuple):
    """What one place says. `source_…`: the record that asked; `partition`, `offset`, `written`: the record itself."""

    id: str
    place: int
    revision: int = 0
    transaction: int = 0
    decision: int = 0
    source_partition: int = 0
    source_offset: int = 0
    bucket: int = 0
    partition: int = 0
    offset: int = 0
    written: int = 0

    @property
    def fingerprint(self) -> tuple[int, int, int, int]:
        """All columns: two facts with the same are the same."""
        return self.transaction, self.decision, self.source_partition, self.source_offset


def digest(values: Any) -> int:
    """Eight bytes of a hash of what the values are, types included; of this process alone, as Python seeds it."""
    return hash(marshal.dumps(values, VALUES_ALONE))


def created(record: Any, transaction: Transaction) -> Observation:
    """Of a record of transaction_created."""
    id_ = transaction["transaction_id"]
    return Observation(
        id_,
        CREATED,
        transaction=digest(_transaction(transaction)),
        bucket=bucket_of(id_, transaction["event_timestamp"]),
        partition=record.partition,
        offset=record.offset,
        written=record.timestamp,
    )


def published(record: Any, status: TransactionStatus) -> Observation:
    """Of a record of transaction_status."""
    place = (record.partition, record.offset, record.timestamp)
    bucket = bucket_of(status["transaction_id"], status["event_timestamp"])
    return Observation(status["transaction_id"], PUBLISHED, *_fingerprint(status), bucket, *place)


def stored(row: Mapping[str, Any]) -> Observation:
    """Of a row of Cassandra, with its bucket and shard."""
    id_, at = row["transaction_id"], row["event_timestamp"]
    right = (row["bucket"], row["shard"]) == (bucket_of(id_, at or 0), shard_of(id_))
    return Observation(id_, STORED, *_fingerprint(row), row["bucket"] if right else MISFILED)


def _fingerprint(status: Mapping[str, Any]) -> tuple[int, int, int, int, int]:
    """A value of a hand-made row may be null."""
    return (
        status["revision"] or 0,
        digest(_transaction(status)),
        digest(_decision(status)),
        -1 if status["source_partition"] is None else status["source_partition"],
        -1 if status["source_offset"] is None else status["source_offset"],
    )


def entry(key: str, text: str) -> Observation:
    """Of an entry of Redis; its two JSON texts must say the same, and under the right key."""
    bucket, _, id_ = key.partition(":")
    values = entry_values(text)
    if values is None or values.get("transaction_id") != id_:
        return Observation(id_, ENTRY, revision=-1, bucket=_number(bucket))
    revision = values["revision"]
    decision = digest(_decision(values)) if revision else 0
    return Observation(id_, ENTRY, revision, digest(_transaction(values)), decision, bucket=_number(bucket))


def entry_values(text: str) -> dict[str, Any] | None:
    """The columns in an entry; None when it is none that app.stores.recent_transactions makes."""
    try:
        revision, short, long = text.split("\n")
        listed, found = json.loads(short), json.loads(long)
        found["reasons"] = as_text(found.get("reasons", ()))  # as the log and the table have them
        same = found["revision"] == int(revision) and listed.items() <= found.items()
        complete = all(column in found for column in (*TRANSACTION_COLUMNS, "status"))
        if found["revision"]:
            decided = all(column in found for column in DECISION_COLUMNS)
        else:
            decided = found["status"] == "pending"
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return dict(found) if same and complete and decided else None


def listed(key: str) -> Observation:
    """Of a key of the list's order in Redis."""
    bucket, _, id_ = key.partition(":")
    return Observation(id_, LISTED, bucket=_number(bucket))


def _number(text: str) -> int:
    return int(text) if text.isdecimal() else MISFILED


_TABLE = "CREATE TABLE facts ({})".format(", ".join(f'"{name}"' for name in Observation._fields))
_INSERT = f"INSERT INTO facts VALUES ({', '.join('?' * len(Observation._fields))})"  # noqa: S608  # question marks


def _number_of(place: int) -> str:
    return f"count(*) FILTER (WHERE place = {place})"


def _alike(column: str, first: int, last: int) -> str:
    these = f'("{column}") FILTER (WHERE place BETWEEN {first} AND {last})'
    return f"min{these} = max{these}"


def _only(column: str, place: int) -> str:
    return f'max("{column}") FILTER (WHERE place = {place})'


#: What one row a transaction says, for the many in which nothing is to be seen: each place has it once, all alike, and
#: Redis whole or not at all. It says less than `problems` of app.commands.verify.rules: the rest is asked there.
_PLAIN = f"""
SELECT id,
    {_number_of(CREATED)} = 1
    AND {_number_of(PUBLISHED)} = 1
    AND {_number_of(STORED)} = 1
    AND {_number_of(ENTRY)} = {_number_of(LISTED)}
    AND ({_number_of(ENTRY)} > 0
        OR :claimed_from IS NULL OR printf('%010d:%s', bucket, id) < :claimed_from)
    AND min(bucket) = max(bucket)
    AND {_alike("transaction", CREATED, ENTRY)}
    AND {_alike("decision", PUBLISHED, ENTRY)}
    AND {_alike("source_partition", PUBLISHED, STORED)}
    AND {_alike("source_offset", PUBLISHED, STORED)}
    AND {_only("partition", CREATED)} = {_only("source_partition", PUBLISHED)}
    AND {_only("offset", CREATED)} = {_only("source_offset", PUBLISHED)},
    {_number_of(ENTRY)}
FROM facts GROUP BY id
"""  # noqa: S608  # our own numbers


class Observations:
    """A private file that is gone with the process, however it ends."""

    def __init__(self) -> None:
        self._db = sqlite3.connect("", isolation_level=None)
        self._db.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        self._db.execute("PRAGMA journal_mode = OFF")
        self._db.execute("PRAGMA synchronous = OFF")
        self._db.execute(_TABLE)
        self._db.execute("CREATE TABLE suspects (id PRIMARY KEY) WITHOUT ROWID")
        self._db.execute("BEGIN")

    def add(self, observations: Iterable[Observation]) -> None:
        """Keep these."""
        self._db.executemany(_INSERT, observations)

    def suspect(self, ids: Iterable[str]) -> None:
        """These are to be looked at once more."""
        self._db.executemany("INSERT OR IGNORE INTO suspects VALUES (?)", ((id_,) for id_ in ids))

    def clear(self, ids: Iterable[str]) -> None:
        """These are not suspected any more; may come from `suspected` itself."""
        self._db.executemany("DELETE FROM suspects WHERE id = ?", ((id_,) for id_ in ids))

    def any_suspected(self) -> bool:
        """Whether there is one."""
        return self._db.execute("SELECT 1 FROM suspects LIMIT 1").fetchone() is not None

    def clear_suspects(self) -> None:
        """Nobody is suspected any more."""
        self._db.execute("DELETE FROM suspects")

    def plain(self, claimed_from: str | None) -> Iterator[tuple[str, bool, bool]]:
        """Each transaction's id, whether nothing is to be seen in it, and whether Redis has an entry.

        `claimed_from`: the sort key from which on Redis says that it has all; None when it says nothing.
        """
        rows = self._db.execute(_PLAIN, {"claimed_from": claimed_from})
        return ((id_, bool(plain), bool(entry)) for id_, plain, entry in rows)

    def suspected(self) -> Iterator[list[Observation]]:
        """All facts of each transaction that is suspected, sorted by place."""
        query = "SELECT f.* FROM facts f JOIN suspects s ON s.id = f.id ORDER BY f.id, f.place"
        rows = map(Observation._make, self._db.execute(query))
        return (list(group) for _, group in groupby(rows, key=itemgetter(0)))
