"""What a worker learns of a status partition it takes, and of ids that it does not remember."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from app.errors import LogUnavailable, Poison, StoreUnavailable
from app.messaging.partitioner import partition_of
from app.messaging.tail_reader import Back, Take
from app.models.status import TransactionStatus
from app.models.transaction import uuid7
from app.processing.adapters import Adapters
from app.processing.customer_state import CustomerState
from app.processing.pipeline import DeadLetter, ReadBack
from app.settings import Settings
from tests.unit import virtual_time
from tests.unit.samples import NOW, Record, status, transaction


class Tail:
    """The end of a status partition, given in chunks from its end backwards until nothing more is wanted."""

    def __init__(self, *values: Any, chunk: int = 2, begins_at: int = 0) -> None:
        self.records = [
            Record(
                begins_at + n,
                value,
                key=None if isinstance(value, Poison) else value["transaction_id"].encode(),
            )
            for n, value in enumerate(values)
        ]
        self.chunk, self.begins_at = chunk, begins_at
        self.read = 0
        self.happened: list[str] = []

    async def read_back(self, topic: str, partition: int, take: Take, since: int = 0) -> Back:
        assert (topic, partition) == ("transaction_status", 0)
        self.happened.append("read")
        left, end = [one for one in self.records if one.offset >= since], self.begins_at + len(self.records)
        while left:
            self.read += len(left[-self.chunk :])
            enough = await take(left[-self.chunk :])
            del left[-self.chunk :]
            if enough:
                break
        start = left[-1].offset + 1 if left else max(since, self.begins_at)
        return Back(start, end, whole=start == 0)


class Missed(Tail):
    """What is read on of it comes in chunks; `meanwhile` happens before each; the read at offset `fails_at` fails."""

    def __init__(self, *values: Any, meanwhile: Callable[[], Any], fails_at: int = -1) -> None:
        super().__init__(*values)
        self.meanwhile, self.fails_at = meanwhile, fails_at

    async def read_on(self, topic: str, partition: int, since: int, take: Take) -> int:
        for first in range(since, len(self.records), self.chunk):
            if first == self.fails_at:
                raise LogUnavailable("Kafka is down")
            self.meanwhile()
            await take(self.records[first : first + self.chunk])
        return len(self.records)


async def decode(values: Sequence[Any]) -> list[Any]:
    return list(values)


def read_back(tail: Tail, from_offset: int, read_to: int = 0, most: int = 1000) -> ReadBack:
    async def partition_counts(_: Any) -> list[int]:
        return [4, 0]

    resources: Any = SimpleNamespace(
        snapshots=None,
        status=SimpleNamespace(decode=decode),
        tail=tail,
        producer=SimpleNamespace(partition_counts=partition_counts),
    )
    return asyncio.run(Adapters(resources).read_back(0, from_offset, read_to, most))


def verdict(offset: int, **changes: Any) -> TransactionStatus:
    """On the record at this offset, whose id is its number."""
    return status(transaction(transaction_id=f"t{offset}"), offset, **changes)


def test_what_a_worker_missed_is_folded_in_as_it_comes_and_what_it_observed_meanwhile_is_made_again() -> None:
    async def catching_up() -> None:
        state, others = CustomerState(), [verdict(n, customer_id="one of all") for n in range(7)]

        def meanwhile() -> None:
            state.observe([transaction(transaction_id="ours", customer_id="one of all")])

        tail = Missed(*others, meanwhile=meanwhile, fails_at=4)
        resources: Any = SimpleNamespace(
            snapshots=None, status_for_history=SimpleNamespace(decode=decode), tail=tail
        )
        adapters, version = Adapters(resources), state.version
        with pytest.raises(LogUnavailable):
            await adapters.catch_up(0, state)
        assert (state.folded_to, adapters.records_read) == (4, 4)
        tail.fails_at = -1
        await adapters.catch_up(0, state)
        assert (state.folded_to, adapters.records_read) == (7, 7)
        assert state.version > version
        whole = CustomerState()
        whole.fold(enumerate(others), 7)
        asked = [transaction(transaction_id="the next", customer_id="one of all")]
        assert state.observe(asked).tolist() == whole.observe(asked).tolist()

    asyncio.run(catching_up())


def test_decided_ids_are_known_with_their_positions() -> None:
    assert read_back(Tail(*map(verdict, range(5))), 3) == ReadBack(
        {"t4": 4, "t3": 3, "t2": 2, "t1": 1, "t0": 0}, 5
    )


def test_of_two_statuses_of_one_id_the_first_in_the_log_is_the_verdict() -> None:
    again = verdict(1, revision=2, status="rejected")
    assert read_back(Tail(verdict(0), verdict(1), verdict(2), again, again, again), 2).offsets["t1"] == 1


def test_no_more_is_read_than_is_remembered_and_the_rest_is_known_to_be_older(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("app.processing.recovery.OF_A_PARTITION", 10)
    tail = Tail(*map(verdict, range(100)))
    tail.records = [replace(one, timestamp=5000 + one.offset) for one in tail.records]
    found = read_back(tail, 97)
    assert (len(found.offsets), tail.read, found.older_than_ms) == (10, 10, 5090)


def test_it_is_read_back_at_least_to_a_verdict_on_a_record_before_the_first_one_in_hand(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("app.processing.recovery.OF_A_PARTITION", 10)
    again = [verdict(n, revision=2) for n in range(3, 20)]  # no first verdicts, and of old records
    tail = Tail(*map(verdict, range(80)), *again, Poison("no Avro"), verdict(3, source_partition=1))
    read_back(tail, 30)
    assert tail.read == 19 + 51


def test_a_partition_without_new_records_is_read_back_as_far_as_is_remembered(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("app.processing.recovery.OF_A_PARTITION", 10)
    assert list(read_back(Tail(*map(verdict, range(100))), 100).offsets.values()) == [*range(99, 89, -1)]
    assert not caplog.records


def test_a_group_that_lost_its_offsets_is_read_back_to_a_bound_and_that_is_said(
    caplog: pytest.LogCaptureFixture,
) -> None:
    tail = Tail(*map(verdict, range(100)))
    found = read_back(tail, 0, most=20)
    assert (len(found.offsets), tail.read) == (20, 20)
    assert found.older_than_ms is not None
    (line,) = [record.getMessage() for record in caplog.records]
    assert "did its group lose its offsets?" in line


def test_a_partition_that_comes_back_is_read_from_where_it_was_read_to(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert read_back(Tail(*map(verdict, range(100))), 0, read_to=97) == ReadBack(
        {"t99": 99, "t98": 98, "t97": 97}, 100
    )
    assert not caplog.records


def test_what_retention_has_deleted_is_older_than_what_is_left() -> None:
    assert read_back(Tail(verdict(7), begins_at=70), 8).older_than_ms == 0
    now_ms = asyncio.run(asyncio.sleep(0, NOW * 1000))
    assert (
        read_back(Tail(begins_at=70), 8).older_than_ms or 0
    ) > now_ms  # nothing is left: anything may be gone


def test_an_empty_log_has_no_decided_ids() -> None:
    assert read_back(Tail(), 0) == ReadBack({}, 0)


# Whether an id that is not remembered has a status


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

    async def rows_of(self, transactions: Sequence[Any], everywhere: bool) -> list[TransactionStatus]:
        if self.fails or (everywhere and self.fails_everywhere):
            raise StoreUnavailable("too few replicas")
        ids = self.everywhere if everywhere else self.by_quorum
        return [status(one) for one in transactions if one["transaction_id"] in ids]


def looked_up(tail: Tail, rows: Rows, *ids: str, taken_at: float = 0, stepped_down_at: float = 0) -> set[str]:
    resources: Any = SimpleNamespace(
        snapshots=None,
        status=SimpleNamespace(decode=decode),
        tail=tail,
        table=rows,
        cassandra=SimpleNamespace(stepped_down_at=stepped_down_at),
    )
    ports = Adapters(resources)
    ports._claimed_at[0] = taken_at
    asked = [transaction(transaction_id=id_) for id_ in ids]
    return {one["transaction_id"] for one in asyncio.run(ports.look_up(0, asked))}


def test_a_row_is_a_verdict_and_the_log_is_not_read() -> None:
    tail = Tail()
    assert looked_up(tail, Rows("a", "x"), "a", "b") == {"a"}
    assert tail.happened == []


def test_without_a_quorum_the_log_answers() -> None:
    tail = Tail(
        Poison("bytes"), status(transaction(transaction_id="a")), status(transaction(transaction_id="x"))
    )
    assert looked_up(tail, Rows(fails=True), "a", "b") == {"a"}


def test_the_log_is_read_back_to_well_before_the_oldest_was_asked() -> None:
    tail = Tail(*(status(transaction(transaction_id=f"t{n}")) for n in range(10)))
    since = (NOW - 120) * 1000  # two minutes before, then every 20 s
    tail.records = [replace(record, timestamp=since + n * 20_000) for n, record in enumerate(tail.records)]
    assert looked_up(tail, Rows(fails=True), "t3", "t0", "late") == {"t3"}
    assert tail.read == 8


def test_what_was_requested_before_rows_were_written_below_a_quorum_is_looked_up_on_every_replica() -> None:
    on_one_replica = Rows(only_everywhere={"a"})
    assert looked_up(Tail(), on_one_replica, "a", stepped_down_at=NOW + 10) == {"a"}


def test_if_a_replica_cannot_be_asked_for_such_a_row_the_log_decides() -> None:
    tail = Tail(status(transaction(transaction_id="a")))
    assert looked_up(tail, Rows(fails_everywhere=True), "a", stepped_down_at=NOW + 10) == {"a"}


def test_what_was_requested_before_the_partition_was_claimed_is_looked_up_on_every_replica() -> None:
    assert looked_up(Tail(), Rows(only_everywhere={"a"}), "a", taken_at=NOW + 10) == {"a"}


def test_what_was_requested_after_both_is_looked_up_at_a_quorum() -> None:
    rows = Rows(only_everywhere={"a"})
    assert looked_up(Tail(), rows, "a", taken_at=NOW - 100, stepped_down_at=NOW - 100) == set()


def test_an_id_that_is_older_than_its_record_says_is_looked_for_back_to_its_own_time() -> None:
    """A tool writes an id of ours once more, hours later and with the time of then."""
    old = uuid7(NOW - 3 * 3600)
    rows = Rows(only_everywhere={old})
    assert looked_up(Tail(), rows, old, taken_at=NOW - 3600, stepped_down_at=NOW - 3600) == {old}
    tail = Tail(
        status(transaction(transaction_id=old)),
        *(status(transaction(transaction_id=f"t{n}")) for n in range(9)),
    )
    since = (NOW - 3 * 3600) * 1000
    tail.records = [replace(record, timestamp=since + n * 900_000) for n, record in enumerate(tail.records)]
    assert looked_up(tail, Rows(fails=True), old) == {old}


CUSTOMER = next(f"customer {n}" for n in range(99) if partition_of(f"customer {n}".encode(), 4) == 2)


def id_in(partition: int, made_ms: int) -> str:
    """A UUIDv7 that belongs in this partition by itself."""
    return next(
        id_ for _ in range(999) if partition_of((id_ := uuid7(made_ms / 1000)).encode(), 4) == partition
    )


@pytest.mark.parametrize(
    ("partition", "id_belongs_in", "sent_after_ms", "may_be"),
    [
        (2, 2, 3, False),
        (2, 1, 3, False),  # as the bff writes nearly all
        (2, 1, 60_000, True),  # sent again: the first may have been keyed by its id
        (2, 2, 60_000, False),
        (1, 1, 3, True),  # where its id belongs, as until the key was the customer
        (3, 1, 3, True),
    ],
)
def test_an_id_may_be_in_another_partition_unless_it_is_its_customers_and_new(
    partition: int, id_belongs_in: int, sent_after_ms: int, may_be: bool
) -> None:
    adapters = Adapters(SimpleNamespace(snapshots=None))  # type: ignore[arg-type]
    adapters.partitions = 4
    made_ms = NOW * 1000
    one = transaction(transaction_id=id_in(id_belongs_in, made_ms), customer_id=CUSTOMER)
    assert adapters.may_be_elsewhere(partition, one, made_ms + sent_after_ms) == may_be


def test_an_id_of_another_form_does_not_tell_when_it_was_made() -> None:
    adapters = Adapters(SimpleNamespace(snapshots=None))  # type: ignore[arg-type]
    adapters.partitions = 4
    foreign = next(f"order-{n}" for n in range(99) if partition_of(f"order-{n}".encode(), 4) != 2)
    assert adapters.may_be_elsewhere(2, transaction(transaction_id=foreign, customer_id=CUSTOMER), 0)


def test_a_dead_letter_that_kafka_does_not_take_in_time_is_a_log_that_is_unavailable() -> None:
    """Which is tried again, and said; aiokafka itself would wait as long as Kafka hangs."""

    async def never(*_: Any) -> None:
        await asyncio.sleep(3600)

    async def main() -> None:
        settings = Settings(status_publish_timeout=2)
        producer = SimpleNamespace(publish_batch=never)
        garbage = SimpleNamespace(
            topic="transaction_created", partition=0, offset=1, key=None, value=b"x", headers=[]
        )
        resources: Any = SimpleNamespace(settings=settings, producer=producer, snapshots=None)
        began = asyncio.get_running_loop().time()
        with pytest.raises(LogUnavailable, match="a dead letter"):
            await Adapters(resources).dead_letter([DeadLetter(garbage, 0, "why")])
        assert asyncio.get_running_loop().time() - began == pytest.approx(2)

    virtual_time.run(main())
