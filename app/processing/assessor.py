"""A verdict on each transaction, by what the log says of its customer until then."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from app.assessment.fallback import AssessmentFallback
from app.errors import Poison
from app.models.status import TransactionStatus, decided, features_of
from app.models.transaction import Transaction
from app.processing.customer_state import CustomerState, Features
from history.features import CUSTOMER_FEATURES
from history.recorded import recorded


class Asked(NamedTuple):
    """A record of transaction_created; Poison where it cannot be read and only its header or key says whose it is."""

    partition: int
    record: Any
    transaction_id: str
    transaction: Transaction | Poison


class Merchants(Protocol):
    """What is known of merchants (app.processing.merchant_totals)."""

    def assigned(self, partitions: Collection[int]) -> None:
        """These are ours, and no others."""

    def claimed(self, partition: int) -> None:
        """Others may have published there until now."""

    def features(self, transactions: Sequence[Transaction]) -> tuple[Features | None, int | None]:
        """A row for each, and as of which offset of merchant_totals; None: nothing is known."""

    def published(
        self, partition: int, offsets: Sequence[int], statuses: Sequence[TransactionStatus]
    ) -> None:
        """Ours are at these offsets now."""


class Log(Protocol):
    """What it needs of the log; each call may raise Transient."""

    @property
    def merchants(self) -> Merchants:
        """What is known of merchants."""

    async def customer_state(self, partition: int) -> CustomerState:
        """What is known of the partition's customers, up to where its status partition ends."""

    async def catch_up(self, partition: int, state: CustomerState) -> None:
        """Fold in what its status partition has got since; what is under way is taken off."""

    async def keep(self, partition: int, state: CustomerState) -> None:
        """A snapshot, if it is time for one."""


class Assessor:
    """Holds the customers' states of an assignment in step with the log: read, decided on top of it, published."""

    def __init__(
        self,
        log: Log,
        fallback: AssessmentFallback,
        customers: dict[int, CustomerState],
        partitions: Collection[int],
    ):
        """`customers`: states by partition, kept from one assignment to the next; `partitions`: those assigned."""
        self._log = log
        self._fallback = fallback
        self._customers = customers
        for number in customers.keys() - partitions:
            del customers[number]  # who has them now goes on with them
        log.merchants.assigned(partitions)

    async def read_ahead(self, partition: int) -> None:
        """What the log says until now, of a partition that is not ours yet."""
        if partition not in self._customers:
            self._customers[partition] = await self._log.customer_state(partition)

    async def claimed(self, partition: int) -> None:
        """Nobody else publishes there now; others may have until then."""
        self._log.merchants.claimed(partition)
        state = self._customers.get(partition)
        if state is None or not state.is_on_record:  # another worker may have begun an added one otherwise
            self._customers[partition] = await self._log.customer_state(partition)
            if state is not None:
                self._customers[partition].version = state.version + 1
            return
        await self._log.catch_up(partition, state)

    def kept(self, partition: int) -> None:
        """It was ours before this assignment, and all that is in the log: what was not published is made again."""
        self._customers[partition].rewind()

    async def assess(self, asked: Sequence[Asked]) -> tuple[list[TransactionStatus], dict[int, int]]:
        """The statuses, partition by partition, and the versions of the states that they are by."""
        if not asked:
            return [], {}
        by_partition: dict[int, list[Asked]] = {}
        for one in asked:
            by_partition.setdefault(one.partition, []).append(one)
        in_order = [one for some in by_partition.values() for one in some]
        states = {number: self._customers[number] for number in by_partition}
        versions = {number: state.version for number, state in states.items()}
        features = np.concatenate(
            [states[number].observe(_transactions(some)) for number, some in by_partition.items()]
        )
        as_of = self._add_merchants(features, _transactions(in_order))
        try:
            assessments = await self._fallback.assess(_transactions(in_order), features)
            now_ms = int(time.time() * 1000)
            statuses = [
                decided(one.transaction, said, one.partition, one.record.offset, now_ms, row, as_of)  # type: ignore[arg-type]
                for one, said, row in zip(in_order, assessments, recorded(features), strict=True)
            ]
        except BaseException:
            for number, state in states.items():
                if state.version == versions[number]:  # else they are off it already
                    state.forget(len(by_partition[number]))
            raise
        return statuses, versions

    async def current(
        self, partition: int, statuses: list[TransactionStatus], version: int
    ) -> tuple[list[TransactionStatus], int]:
        """The statuses as they are by the state of now, and its version, if they are by another version of it.

        A verdict stands where the features are the same. What was decided behind these is no longer current.
        """
        state = self._customers[partition]
        if version == state.version:
            return statuses, version
        state.rewind()
        version, rows = state.version, state.observe(statuses)
        as_of = self._add_merchants(rows, statuses)
        differing = [n for n, one in enumerate(statuses) if features_of(one) != rows[n].tolist()]
        assessments = await self._fallback.assess([statuses[n] for n in differing], rows[differing])
        now_ms, current = int(time.time() * 1000), list(statuses)
        for n, said, row in zip(differing, assessments, recorded(rows[differing]), strict=True):
            offset = statuses[n]["source_offset"]
            current[n] = decided(statuses[n], said, partition, offset, now_ms, row, as_of)
        return current, version

    def dropped(self, partition: int) -> None:
        """Some of what was decided will not be published there."""
        self._customers[partition].rewind()

    def published(
        self, partition: int, offsets: Sequence[int], statuses: Sequence[TransactionStatus]
    ) -> None:
        """The oldest of what was decided is at these offsets of the status partition."""
        self._customers[partition].published(offsets, statuses[-1]["transaction_id"])
        self._log.merchants.published(partition, offsets, statuses)

    def _add_merchants(self, features: Features, transactions: Sequence[Transaction]) -> int | None:
        """Put what is known of their merchants into the rows; as of which offset that is."""
        rows, as_of = self._log.merchants.features(transactions)
        if rows is not None:
            features[:, len(CUSTOMER_FEATURES) :] = rows
        return as_of

    async def keep(self) -> None:
        """Snapshots of what is in the log."""
        for number, state in list(self._customers.items()):  # one may be claimed meanwhile
            await self._log.keep(number, state)


def _transactions(asked: Iterable[Asked]) -> list[Transaction]:
    return [one.transaction for one in asked]  # type: ignore[misc]
