"""Records that may be in the log twice, since a retry of their POST put them there again: the first one is decided."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import NamedTuple

from app.models.transaction import Transaction

#: The ids of those that have a verdict in the partition's past; may raise Transient.
DecidedBefore = Callable[[int, Sequence[Transaction]], Awaitable[set[str]]]


class Fresh(NamedTuple):
    """A record without a verdict of its own; `may_be_twice`: it is marked so."""

    partition: int
    offset: int
    transaction: Transaction
    may_be_twice: bool


class Twins:
    """Knows the marked records between decision and row: there no look-up could find them.

    A transaction's records have one key, so they are in one partition, and the one that came first is ahead of the
    others in every step. What is passed over needs nothing more: told and stored by the first, finished after it.
    """

    def __init__(self, decided_before: DecidedBefore):
        self._decided_before = decided_before
        self._under_way: dict[str, int] = {}

    async def firsts(self, fresh: Sequence[Fresh], told: Iterable[str]) -> list[Fresh]:
        """Without the records whose twin came before them; `told`: marked ids of this round that have their verdict."""
        if not any(one.may_be_twice for one in fresh):
            return list(fresh)
        seen = {*told, *self._under_way}
        seen |= await self._decided(fresh, seen)
        firsts = []
        for one in fresh:
            if one.may_be_twice:
                transaction_id = one.transaction["transaction_id"]
                if transaction_id in seen:
                    continue
                seen.add(transaction_id)
            firsts.append(one)
        return firsts

    async def _decided(self, fresh: Sequence[Fresh], seen: set[str]) -> set[str]:
        asked: dict[int, list[Transaction]] = {}
        for one in fresh:
            if one.may_be_twice and one.transaction["transaction_id"] not in seen:
                asked.setdefault(one.partition, []).append(one.transaction)
        found: set[str] = set()
        for partition, transactions in asked.items():
            found |= await self._decided_before(partition, transactions)
        return found

    def decided(self, marked: Iterable[tuple[int, str]]) -> None:
        """These (partition, id) have a verdict now, and no row yet."""
        self._under_way.update((transaction_id, partition) for partition, transaction_id in marked)

    def stored(self, marked: Iterable[tuple[int, str]]) -> None:
        """These have their row: a look-up finds them."""
        for _, transaction_id in marked:
            self._under_way.pop(transaction_id, None)

    def forget(self, partition: int) -> None:
        """It was not ours for a while: what we had decided may never have been told."""
        self._under_way = {id_: number for id_, number in self._under_way.items() if number != partition}
