"""Snapshots of the customers' states: when one is written, and whether one may be gone on from."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from app.processing.customer_state import CustomerState
from app.stores.snapshots import Snapshot, Snapshots
from history.customers import CustomerHistory

log = logging.getLogger(__name__)

#: Records of a partition that an assignment may have to read again, at least: a fraction of a second.
AFTER = 2_000

#: Whether the log has the status of a transaction at (partition, offset).
IsStatus = Callable[[int, int, str], Awaitable[bool]]


class SnapshotKeeper:
    """Of all partitions of this worker."""

    def __init__(self, snapshots: Snapshots):
        self._snapshots = snapshots
        self._kept: dict[int, int] = {}  # the offset of the last snapshot, by partition
        self._writing: dict[int, asyncio.Task[None]] = {}

    async def restored(self, partition: int, is_status: IsStatus) -> CustomerState:
        """The state of the partition's snapshot, or an empty one; what `is_status` raises."""
        found = await asyncio.to_thread(self._snapshots.read, partition)
        state = CustomerState()
        if found is not None and await is_status(partition, found.last_offset, found.last_id):
            state = CustomerState(CustomerHistory.of(found.customer_ids, found.words), found.offset)
            state.last = found.last_offset, found.last_id
        elif found is not None:
            log.warning("The snapshot of partition %d is of another log and is not used", partition)
        self._kept[partition] = state.folded_to
        return state

    def keep(self, partition: int, state: CustomerState) -> None:
        """Write one in the background, if reading what was added since would be long.

        All customers are written each time, so the more there are, the rarer it is.
        """
        added = state.folded_to - self._kept.get(partition, 0)
        if added < max(AFTER, len(state.history) // 2) or partition in self._writing:
            return
        self._kept[partition] = state.folded_to
        snapshot = Snapshot(state.folded_to, *state.last, *state.history.dump())
        self._writing[partition] = asyncio.create_task(self._write(partition, snapshot))

    async def _write(self, partition: int, snapshot: Snapshot) -> None:
        try:
            await asyncio.to_thread(self._snapshots.write, partition, snapshot)
        except OSError as exc:
            log.error(
                "The snapshot of partition %d was not written; the next assignment reads more of the log: %s",
                partition,
                exc,
            )
        finally:
            del self._writing[partition]
