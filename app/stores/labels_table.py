"""The labels in Cassandra: store them, find the one that counts of a transaction."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from app.errors import StoreUnavailable
from app.models.label import StoredLabel
from app.stores.cassandra import Cassandra
from app.stores.consistency import LEVELS, bound_at, only

DDL = Path(__file__).parent.parent.parent / "schemas" / "cql" / "labels.cql"

COLUMNS = tuple(StoredLabel.__annotations__)
_NAMES = ", ".join(COLUMNS)

INSERT = (
    f"INSERT INTO transactions.labels ({_NAMES}) "  # noqa: S608  # names of our own columns
    f"VALUES ({', '.join('?' * len(COLUMNS))}) USING TIMESTAMP ?"
)
ONE = f"SELECT {_NAMES} FROM transactions.labels WHERE transaction_id = ?"  # noqa: S608

#: Rows written at once: each is a partition of its own.
WRITES_AT_ONCE = 64


class LabelsTable:
    """The bff's view of table labels; every call may raise StoreUnavailable."""

    def __init__(self, cassandra: Cassandra, write_timeout: float, levels: Sequence[int] = LEVELS):
        """`write_timeout`: seconds per write; `levels`: consistency of writes, the strongest first."""
        self._cassandra = cassandra
        self._write_timeout = write_timeout
        self._levels = levels
        self.is_made = False
        self.reached: Counter[int] = Counter()

    async def make(self) -> None:
        """Make the table if it is missing; StoreUnavailable until the transactions worker has made the keyspace."""
        await self._cassandra.run(DDL.read_text(), 30.0)
        for cql in (INSERT, ONE):
            await self._cassandra.prepare(cql)
        self.is_made = True

    async def store(self, labels: Sequence[StoredLabel]) -> None:
        """Write them, all or (on StoreUnavailable) some: an older one covers no newer one, in whatever order."""
        self._check_made()
        for start in range(0, len(labels), WRITES_AT_ONCE):
            writes = [self._write(label) for label in labels[start : start + WRITES_AT_ONCE]]
            for result in await asyncio.gather(*writes, return_exceptions=True):
                if isinstance(result, BaseException):
                    raise result

    async def _write(self, label: StoredLabel) -> None:
        values = (*(label[column] for column in COLUMNS), write_time(label))  # type: ignore[literal-required]
        statement = await self._cassandra.prepare(INSERT, self._write_timeout)
        level = await self._cassandra.write(
            partial(bound_at, statement, values), self._write_timeout, self._levels
        )
        self.reached[level] += 1

    async def find(self, transaction_id: str, timeout: float) -> StoredLabel | None:
        """The label that counts, if there is one; OneReplicaLacksIt where a single replica says that there is none."""
        self._check_made()
        rows, level = await self._cassandra.read_as_can_be(ONE, (transaction_id,), timeout)
        return only(rows, level)  # type: ignore[return-value]

    def _check_made(self) -> None:
        # At once: to prepare a statement of a table that may not be there would wait for its time-out.
        if not self.is_made:
            raise StoreUnavailable("the table of labels has not been reached since the start")


def write_time(label: StoredLabel) -> int:
    """The row's write timestamp (microseconds): the same for a replay, higher for a newer label."""
    return label["labelled_at"] * 1000
