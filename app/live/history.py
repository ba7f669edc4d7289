"""One transaction's way, step by step, as the log and the stores tell it: read when somebody asks, kept nowhere."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterable
from typing import Any

from cassandra import ConsistencyLevel

from app.errors import LogUnavailable, Overloaded, Poison, StoreUnavailable
from app.messaging import topics
from app.messaging.codec import schema_id_of
from app.models.status import FIRST_VERDICT, TransactionStatus, assessed, sort_key
from app.models.transaction import id_of_record, millis_of_id
from app.observability import tracing
from app.resources import Resources
from app.stores.consistency import EVERY_REPLICA, STRONGEST, WEAKEST

#: Milliseconds that a record may be older than what it follows: the clocks of two machines.
EARLIER = 2000
#: Histories read at once: each starts consumers.
AT_ONCE = 4
#: Seconds for one, and for its turn to come.
WITHIN = 30.0
LEVELS = (EVERY_REPLICA, STRONGEST, WEAKEST)

Step = dict[str, Any]


class History:
    """Finds what there is about a transaction."""

    def __init__(self, resources: Resources):
        self._resources = resources
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def of(self, transaction_id: str) -> dict[str, Any] | None:
        """The steps and the records; None for an id that neither the stores nor the log have. LogUnavailable."""
        try:
            async with asyncio.timeout(WITHIN), self._turns:
                row, stored = await self._stored(transaction_id)
                shown = await self._shown(transaction_id)
                created = await self._created(transaction_id, row)
                published = await self._published(transaction_id, created, row) if created else []
        except TimeoutError as exc:
            raise LogUnavailable(f"it took longer than {WITHIN:g} s") from exc
        if created is None and row is None:
            return None
        values = await self._resources.status.decode([record.value for record in published])
        pairs = [(r, v) for r, v in zip(published, values, strict=True) if not isinstance(v, Poison)]
        decided = [step for record, status in pairs for step in _decided(record, status)]
        return {
            "transaction_id": transaction_id,
            "steps": [_received(transaction_id, created), _logged(created), *decided, stored, shown],
            "record": await _record(created, self._resources.created),
            "status_record": await _record(published[-1], self._resources.status) if published else None,
            "trace": self._trace(created),
        }

    def _trace(self, created: Any) -> dict[str, str | None] | None:
        """The trace that its record is part of, and where it is looked at; None where it was not sampled."""
        id_ = tracing.trace_id_of(created.headers) if created else ""
        page = self._resources.settings.trace_url
        return {"id": id_, "url": page.replace("{trace_id}", id_) or None} if id_ else None

    async def _stored(self, transaction_id: str) -> tuple[TransactionStatus | None, Step]:
        """The row, and how many replicas have it now: the strongest level that a read reaches."""
        note = "no row yet"
        for level in LEVELS:
            try:
                row = await self._resources.table.find_at(level, transaction_id)
            except StoreUnavailable:
                note = "Cassandra does not answer"
                continue
            if row is None:
                break
            name = ConsistencyLevel.value_to_name[level]
            return row, _step(
                "stored", None, "the row is there; when it was written is not kept", consistency=name
            )
        return None, _step("stored", None, note, known=False)

    async def _shown(self, transaction_id: str) -> Step:
        key = sort_key(transaction_id, 0)
        try:
            found = await self._resources.recent.revisions_of([key])
        except (StoreUnavailable, Overloaded):
            return _step("shown", None, "Redis does not answer: GET reads Cassandra", known=False)
        if key not in found:
            return _step(
                "shown", None, "not among the newest in Redis: GET reads Cassandra", store="cassandra"
            )
        return _step("shown", None, "in Redis", store="redis", revision=found[key])

    async def _created(self, transaction_id: str, row: TransactionStatus | None) -> Any:
        """The record that asked: where the row says, else about when its id was made."""
        tail = self._resources.tail
        if row is not None:
            partition, offset = row["source_partition"], row["source_offset"]
            return (await tail.at(topics.CREATED, partition, [offset])).get(offset)
        millis = millis_of_id(transaction_id)
        if millis is None:
            return None
        (partitions,) = await self._resources.producer.partition_counts((topics.CREATED,))
        # Its customer, and so its partition, is known to who can read the record.
        found = await asyncio.gather(
            *(
                tail.first_since(
                    topics.CREATED,
                    partition,
                    millis - EARLIER,
                    lambda one: id_of_record(one.key, one.headers) == transaction_id,
                )
                for partition in range(partitions)
            )
        )
        return next(filter(None, found), None)

    async def _published(self, transaction_id: str, created: Any, row: TransactionStatus | None) -> list[Any]:
        """The first status, and the newest, if it is another: what is between them is not looked for."""
        key = transaction_id.encode()
        times = [created.timestamp - EARLIER]
        if row is not None and row["revision"] > FIRST_VERDICT:
            times.append(row["decided_at"] - EARLIER)
        found: dict[int, Any] = {}
        for millis in times:
            record = await self._resources.tail.first_since(
                topics.STATUS, created.partition, millis, lambda one: one.key == key
            )
            if record is not None:
                found[record.offset] = record
        return [found[offset] for offset in sorted(found)]


def _step(name: str, at_ms: int | None, note: str = "", *, known: bool = True, **fields: Any) -> Step:
    return {"step": name, "at_ms": at_ms, "known": known, "note": note, **fields}


def _received(transaction_id: str, created: Any) -> Step:
    millis = millis_of_id(transaction_id)
    if millis is not None:
        return _step("received", millis)
    return _step("received", None, "the id of another producer does not tell", known=False)


def _logged(created: Any) -> Step:
    if created is None:
        return _step("logged", None, "its record was not found", known=False)
    return _step("logged", created.timestamp, **_place(created))


def _decided(record: Any, status: TransactionStatus) -> Iterable[Step]:
    details = assessed(status)
    details["batch_size"] = status.get("batch_size")
    yield _step("assessed", details.pop("decided_at"), status=status["status"], **details)
    yield _step("published", record.timestamp, revision=status["revision"], **_place(record))


def _place(record: Any) -> dict[str, Any]:
    return {"topic": record.topic, "partition": record.partition, "offset": record.offset}


async def _record(record: Any, codec: Any) -> dict[str, Any] | None:
    if record is None:
        return None
    (value,) = await codec.decode([record.value])
    try:
        schema_id = schema_id_of(record.value)
    except Poison:
        schema_id = None
    return {
        **_place(record),
        "schema_id": schema_id,
        "bytes": len(record.value or b""),
        "base64": base64.b64encode(record.value or b"").decode(),
        "json": None if isinstance(value, Poison) else value,
    }
