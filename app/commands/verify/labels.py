"""Whether table labels has of each transaction the newest label of the log, and no other."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from app.commands.shared.topic_reader import TopicReader
from app.commands.verify.full_scans import LabelScan
from app.errors import Poison
from app.messaging import consumer_groups, topics
from app.messaging.codec import Codec
from app.models.label import StoredLabel, rank, unstorable_label
from app.settings import Settings
from app.stores.labels_table import COLUMNS

CHUNK = 2000


class Logged(NamedTuple):
    """The newest label of a transaction in the log, and where its record is."""

    label: StoredLabel
    partition: int
    offset: int


class LabelProblem(NamedTuple):
    """What is wrong with a transaction's label; `columns`: what the log and the table say, where they differ."""

    transaction_id: str
    kind: Literal["missing", "extra", "different"]
    columns: dict[str, dict[str, Any]]


@dataclass(slots=True)
class LabelLog:
    """The newest label of each transaction, some 700 bytes each; it can be read on."""

    settings: Settings
    codec: Codec
    newest: dict[str, Logged] = field(default_factory=dict)
    _ends: Mapping[int, int] = field(default_factory=dict)

    async def read_on(self, now: float) -> None:
        """What was written since the last time. `now` (seconds since 1970): what no row can hold is no label."""
        async with TopicReader(self.settings, topics.LABEL) as reader:
            await reader.seek(past=self._ends)
            async for records in reader.chunks(CHUNK):
                for record, label in zip(
                    records, await self.codec.decode([record.value for record in records]), strict=True
                ):
                    if not isinstance(label, Poison) and not unstorable_label(label, now):
                        self.add(Logged(label, record.partition, record.offset))
            self._ends = reader.ends

    def add(self, logged: Logged) -> None:
        """One more record."""
        id_ = logged.label["transaction_id"]
        held = self.newest.get(id_)
        if held is None or rank(logged.label) > rank(held.label):
            self.newest[id_] = logged


@dataclass(slots=True)
class LabelCheck:
    """One comparison. A row follows its record, so a table is always read before the log."""

    log: LabelLog
    scan: LabelScan
    in_flight: list[str] = field(default_factory=list)

    async def problems(self, now: float) -> AsyncIterator[LabelProblem]:
        """What is wrong, each thing once: what seems so is looked at again."""
        suspected: dict[str, StoredLabel | None] = {}
        async for rows in self.scan.labels():
            suspected |= {row["transaction_id"]: row for row in rows}
        await self.log.read_on(now)
        ids = [id_ for id_ in {*suspected, *self.log.newest} if self._wrong(id_, suspected.get(id_))]
        if not ids:
            return
        # First how far the agents are: what they are done with is in the table.
        stored_to = await consumer_groups.committed_offsets(self.log.settings, topics.LABEL)
        for start in range(0, len(ids), CHUNK):
            some = ids[start : start + CHUNK]
            found = await self.scan.labels_of(some)
            await self.log.read_on(now)
            for problem in self._confirmed(some, found, stored_to):
                yield problem

    def _confirmed(
        self, ids: Sequence[str], rows: Mapping[str, StoredLabel], stored_to: Mapping[int, int]
    ) -> list[LabelProblem]:
        found = []
        for id_ in ids:
            if not (kind := self._wrong(id_, rows.get(id_))):
                continue
            logged, row = self.log.newest.get(id_), rows.get(id_)
            is_behind = logged and (row is None or rank(row) < rank(logged.label))
            if logged and is_behind and logged.offset >= stored_to.get(logged.partition, 0):
                self.in_flight.append(id_)
            else:
                found.append(LabelProblem(id_, kind, differing(logged and logged.label, row)))
        return found

    def _wrong(self, id_: str, row: StoredLabel | None) -> Literal["missing", "extra", "different"] | None:
        logged = self.log.newest.get(id_)
        if logged is None:
            return "extra"
        if row is None:
            return "missing"
        return "different" if differing(logged.label, row) else None


def differing(logged: StoredLabel | None, row: StoredLabel | None) -> dict[str, dict[str, Any]]:
    """The columns that differ, with both values; none where one of the two is not there."""
    if logged is None or row is None:
        return {}
    return {
        column: {"transaction_label": logged[column], "labels": row[column]}  # type: ignore[literal-required]
        for column in COLUMNS
        if logged[column] != row[column]  # type: ignore[literal-required]
    }
