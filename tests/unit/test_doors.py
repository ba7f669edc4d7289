"""What is read back of transaction_status: the first verdict on each record from an offset on, nothing else."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from app.doors import RealDoors
from app.errors import Poison, StoreUnavailable
from app.models.status import TransactionStatus
from tests.unit.samples import NOW, Record, status, transaction


class Tail:
    """The end of a status partition, given in chunks from its end backwards until it is far enough."""

    def __init__(self, *values: Any, chunk: int = 2) -> None:
        self.records = [Record(offset, value) for offset, value in enumerate(values)]
        self.chunk = chunk
        self.read = 0
        self.happened: list[str] = []

    async def read_back(
        self, topic: str, partition: int, far_enough: Callable[[Sequence[Any]], Awaitable[bool]]
    ) -> list[Record]:
        assert (topic, partition) == ("transaction_status", 0)
        self.happened.append("read")
        for start in range(len(self.records) - self.chunk, -self.chunk, -self.chunk):
            self.read = len(self.records) - max(start, 0)
            if await far_enough(self.records[max(start, 0) :]):
                break
        return self.records[len(self.records) - self.read :]


def recalled(tail: Tail, from_offset: int) -> dict[int, TransactionStatus]:
    async def decode(values: Sequence[Any]) -> list[Any]:
        return list(values)

    async def take(partition: int) -> None:
        tail.happened.append(f"take {partition}")

    teller = SimpleNamespace(take=take)
    resources: Any = SimpleNamespace(status=SimpleNamespace(decode=decode), tail=tail, teller=teller)
    return asyncio.run(RealDoors(resources).recall(0, from_offset))


def test_verdicts_from_the_offset_on_are_recalled_by_their_source() -> None:
    verdicts = [status(offset=n) for n in range(5, 10)]
    assert recalled(Tail(*verdicts), 7) == {7: verdicts[2], 8: verdicts[3], 9: verdicts[4]}


def test_the_partition_is_taken_before_it_is_read_so_that_nobody_adds_to_it_meanwhile() -> None:
    tail = Tail(status(offset=5))
    recalled(tail, 5)
    assert tail.happened == ["take 0", "read"]


def test_no_more_is_read_than_back_to_the_first_older_verdict() -> None:
    tail = Tail(*(status(offset=n) for n in range(100)))
    assert sorted(recalled(tail, 97)) == [97, 98, 99]
    assert tail.read == 4


def test_of_two_verdicts_on_one_record_the_first_in_the_log_stands() -> None:
    first, second = status(offset=7, status="accepted"), status(offset=7, status="rejected")
    assert recalled(Tail(first, second), 7) == {7: first}


def test_of_a_topic_made_anew_the_verdicts_on_the_new_records_stand() -> None:
    old, new = status(offset=7), status(transaction(transaction_id="new"), 7)
    assert recalled(Tail(old, new), 7) == {7: new}


def test_a_reassessment_is_no_first_verdict_and_does_not_end_the_search() -> None:
    first, again = status(offset=7), status(offset=3, revision=2, status="rejected")
    assert recalled(Tail(first, again, again, chunk=1), 7) == {7: first}


def test_a_verdict_on_another_partitions_record_is_passed_over() -> None:
    assert recalled(Tail(status(offset=7, source_partition=1), status(offset=3, source_partition=1)), 7) == {}


def test_poison_in_the_status_topic_is_passed_over() -> None:
    assert recalled(Tail(Poison("no Avro"), status(offset=7), Poison("no Avro")), 7) == {7: status(offset=7)}


def test_an_empty_log_recalls_nothing() -> None:
    assert recalled(Tail(), 0) == {}


# Whether a transaction that may be in the log twice was decided before


class Rows:
    """Table transactions, or no quorum of it."""

    def __init__(
        self,
        *ids: str,
        fails: bool = False,
        only_everywhere: set[str] = frozenset(),  # type: ignore[assignment]
        fails_everywhere: bool = False,
    ) -> None:
        self.by_quorum, self.everywhere = set(ids), set(ids) | only_everywhere
        self.fails, self.fails_everywhere = fails, fails_everywhere

    async def having_rows(self, transactions: Sequence[Any], everywhere: bool = False) -> set[str]:
        if self.fails or (everywhere and self.fails_everywhere):
            raise StoreUnavailable("too few replicas")
        ids = self.everywhere if everywhere else self.by_quorum
        return ids & {one["transaction_id"] for one in transactions}


def decided_before(
    tail: Tail, rows: Rows, *ids: str, taken_at: float = 0, stepped_down_at: float = 0
) -> set[str]:
    async def decode(values: Sequence[Any]) -> list[Any]:
        return list(values)

    resources: Any = SimpleNamespace(
        status=SimpleNamespace(decode=decode),
        tail=tail,
        table=rows,
        cassandra=SimpleNamespace(stepped_down_at=stepped_down_at),
    )
    doors = RealDoors(resources)
    doors._taken_at[0] = taken_at
    asked = [transaction(transaction_id=id_) for id_ in ids]
    return asyncio.run(doors.decided_before(0, asked))


def test_a_row_is_a_verdict_and_the_log_is_not_read() -> None:
    tail = Tail()
    assert decided_before(tail, Rows("a", "x"), "a", "b") == {"a"}
    assert tail.happened == []


def test_without_a_quorum_the_log_tells() -> None:
    tail = Tail(
        Poison("bytes"), status(transaction(transaction_id="a")), status(transaction(transaction_id="x"))
    )
    assert decided_before(tail, Rows(fails=True), "a", "b") == {"a"}


def test_the_log_is_read_back_to_well_before_the_oldest_was_asked() -> None:
    tail = Tail(*(status(transaction(transaction_id=f"t{n}")) for n in range(10)))
    since = (NOW - 120) * 1000  # two minutes before, then every 20 s
    tail.records = [replace(record, timestamp=since + n * 20_000) for n, record in enumerate(tail.records)]
    assert decided_before(tail, Rows(fails=True), "t3", "t0", "late") == {"t3"}
    assert tail.read == 8


def test_what_was_asked_before_rows_were_written_below_a_quorum_is_looked_for_on_every_replica() -> None:
    on_one_replica = Rows(only_everywhere={"a"})
    assert decided_before(Tail(), on_one_replica, "a", stepped_down_at=NOW + 10) == {"a"}


def test_a_replica_that_cannot_be_asked_for_such_a_row_leaves_the_word_to_the_log() -> None:
    tail = Tail(status(transaction(transaction_id="a")))
    assert decided_before(tail, Rows(fails_everywhere=True), "a", stepped_down_at=NOW + 10) == {"a"}


def test_what_was_asked_before_the_partition_was_taken_is_looked_for_on_every_replica() -> None:
    assert decided_before(Tail(), Rows(only_everywhere={"a"}), "a", taken_at=NOW + 10) == {"a"}


def test_what_was_asked_after_both_is_asked_of_a_quorum_alone() -> None:
    rows = Rows(only_everywhere={"a"})
    assert decided_before(Tail(), rows, "a", taken_at=NOW - 100, stepped_down_at=NOW - 100) == set()
