"""Partitions are added to live topics: whoever decides, restarts or lags, each customer's history goes on."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.assessment.fallback import AssessmentFallback
from app.commands.verify.features import Compared, Heirs, compare
from app.commands.verify.merchants import RecordedMerchants
from app.messaging import topics
from app.messaging.growth import HEADER, Growth, Origin, WrongCount, ancestors, encoded
from app.messaging.partitioner import partition_of
from app.models.status import TransactionStatus, features_of
from app.models.transaction import Transaction, uuid7
from app.observability.transaction_logger import TransactionLogger
from app.processing import added_partitions
from app.processing.adapters import OLD_COUNT_FOR, Adapters
from app.processing.assignment import MicroBatch
from app.processing.back_pressure import Batch
from app.processing.customer_state import CustomerState
from app.processing.dead_letter_limit import DeadLetterLimit
from app.processing.deduplication import DecidedIds
from app.processing.pipeline import Pipeline
from app.processing.snapshot_keeper import SnapshotKeeper
from tests.unit.samples import GOOD, NOW, transaction
from tests.unit.virtual_time import run

Place = tuple[str, int]


@dataclass(frozen=True)
class Record:
    """Of Kafka."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: Any
    headers: Sequence[tuple[str, bytes]]
    timestamp: int


class FakeLog:
    """Topics in memory, as TailReader, StatusLog and EventProducer show them."""

    def __init__(self, partitions: int) -> None:
        self.count = partitions
        self.records: defaultdict[Place, list[Record]] = defaultdict(list)
        self.committed: dict[int, int] = {}
        self.fenced: set[int] = set()

    def append(self, topic: str, partition: int, key: str, value: Any, headers: Any = ()) -> int:
        there = self.records[topic, partition]
        moment = int(time.time() * 1000)
        there.append(Record(topic, partition, len(there), key.encode(), value, headers, moment))
        return len(there) - 1

    def grow(self, count: int) -> None:
        growth = encoded(Growth(self.count, count))
        self.append(topics.PARTITIONS_ADDED, 0, "", SimpleNamespace(value=growth))
        self.records[topics.PARTITIONS_ADDED, 0][-1] = SimpleNamespace(value=growth)  # type: ignore[call-overload]
        self.count = count

    async def partition_counts(self, names: Sequence[str]) -> list[int]:
        has_grown = bool(self.records[topics.PARTITIONS_ADDED, 0])
        return [int(has_grown) if name == topics.PARTITIONS_ADDED else self.count for name in names]

    async def first_since(
        self, topic: str, partition: int, millis: int, is_wanted: Callable[[Any], bool]
    ) -> Record | None:
        return next(filter(is_wanted, self.records[topic, partition]), None)

    async def read_on(
        self,
        topic: str,
        partition: int,
        since: int,
        take: Callable[[Any], Awaitable[None]],
        *,
        most: int | None = None,
    ) -> int:
        there = self.records[topic, partition]
        end = len(there) if most is None else min(len(there), since + most)
        for first in range(since, end, 3):
            await take(there[first : min(first + 3, end)])
        return end

    async def read_back(self, topic: str, partition: int, take: Any, since: int = 0) -> Any:
        there = self.records[topic, partition][since:]
        if there:
            await take(there)
        return SimpleNamespace(start=since, end=len(self.records[topic, partition]), whole=since == 0)

    async def has_none(self, topic: str, partition: int, start: int, end: int) -> bool:
        return not self.records[topic, partition][start:end]

    async def at(self, topic: str, partition: int, offsets: Any) -> dict[int, Record]:
        there = self.records[topic, partition]
        return {offset: there[offset] for offset in offsets if offset < len(there)}

    async def claim(self, partition: int) -> None:
        self.fenced.discard(partition)

    def is_claimed(self, partition: int) -> bool:
        return partition not in self.fenced

    async def publish(self, partition: int, records: Sequence[Any]) -> list[int]:
        return [self.append(topics.STATUS, partition, *record) for record in records]


class NoSnapshots(SnapshotKeeper):
    """Each worker reads the log from its beginning."""

    async def restored(self, partition: int, is_status: Any) -> CustomerState:
        return CustomerState()

    def keep(self, partition: int, state: CustomerState) -> None:
        pass


class Ports(Adapters):
    """The real ones, on a fake log."""

    def __init__(self, log: FakeLog) -> None:
        async def decode(values: Sequence[Any]) -> list[Any]:
            return list(values)

        async def rows(*_: Any, **__: Any) -> list[Any]:
            return [
                record.value
                for place, some in log.records.items()
                if place[0] == topics.STATUS
                for record in some
            ]

        async def store(_: Any) -> None:
            pass

        async def assess(transactions: Sequence[Transaction], _: Any) -> list[Any]:
            return [GOOD] * len(transactions)

        self.log = log
        codec = SimpleNamespace(decode=decode, encode=lambda one: one)
        super().__init__(
            SimpleNamespace(  # type: ignore[arg-type]
                snapshots=None,
                created=codec,
                status=codec,
                status_for_history=codec,
                tail=log,
                status_log=log,
                producer=log,
                table=SimpleNamespace(rows_of=rows, store=store),
                cassandra=SimpleNamespace(stepped_down_at=0),
                antifraud=SimpleNamespace(assess=assess),
            )
        )

        self._snapshots = NoSnapshots(None)  # type: ignore[arg-type]

    async def _ends(self, topic: str, partitions: Collection[int]) -> dict[int, int]:
        return {one: len(self.log.records[topic, one]) for one in partitions}


class Worker:
    """Of some partitions; it takes a few records of each at a time."""

    def __init__(self, log: FakeLog, partitions: Collection[int]) -> None:
        self.log, self.partitions = log, list(partitions)
        self.ports, self.memory = Ports(log), (DecidedIds(), dict[int, CustomerState](), set[int]())
        self.assigned()

    def assigned(self) -> None:
        """The same partitions, in another assignment."""
        ports, logger, (decided_ids, customers, known) = (
            self.ports,
            TransactionLogger(each=False),
            self.memory,
        )

        async def committed(numbers: Collection[int]) -> dict[int, int]:
            return {one: self.log.committed.get(one, 0) for one in numbers}

        self.pipeline = Pipeline(
            ports,
            AssessmentFallback(ports.assess, logger, when_down="hold", outage_timeout=5),
            logger,
            DeadLetterLimit(),
            decided_ids,
            customers,
            self.partitions,
            committed,
            known,
        )

    async def works(self, most: int) -> None:
        """Claim, if that is not done, and decide so many of each partition that may go on."""
        if one := await self._decided(most):
            await self.pipeline.publish(one)
            await self.pipeline.store([one])
            self.log.committed |= {batch.partition: batch.next_offset for batch in one.batches}

    async def loses(self, most: int) -> None:
        """Decide so many, and before they are published there is another assignment."""
        await self._decided(most)
        self.assigned()

    async def _decided(self, most: int) -> MicroBatch | None:
        await self.pipeline.claim()
        await self.pipeline.take_over()
        batches = []
        for partition in self.partitions:
            start = self.log.committed.get(partition, 0)
            records = self.log.records[topics.CREATED, partition][start : start + most]
            if records and partition not in self.pipeline.held:
                batches.append(Batch(topics.CREATED, partition, records, start + len(records)))
        if not batches:
            return None
        one = MicroBatch(batches)
        await self.pipeline.decide(one)
        return one


class Run:
    """Two workers, one for the old partitions and one for the new; bffs that send; growth in between."""

    def __init__(self) -> None:
        self.log, self.sent = FakeLog(2), list[Transaction]()
        self.old = Worker(self.log, range(2))
        self.new: Worker | None = None

    def send(self, customer: str) -> Transaction:
        number = len(self.sent)
        one = transaction(
            transaction_id=uuid7(time.time()),
            customer_id=customer,
            value_in_cents=100 + number,
            event_timestamp=NOW + number,
        )
        self.sent.append(one)
        self.again(one)
        return one

    def again(self, one: Transaction) -> None:
        partition = partition_of(one["customer_id"].encode(), self.log.count)
        self.log.append(topics.CREATED, partition, one["transaction_id"], one)

    def grow(self, count: int) -> None:
        self.log.grow(count)
        self.old.assigned()
        self.new = Worker(self.log, range(2, count))

    async def step(self, what: str, customer: str, most: int) -> None:
        if what == "send":
            self.send(customer)
        elif what == "grow" and self.log.count < 12:
            self.grow(self.log.count * (2 if most % 2 else 3))
        elif what == "time goes by":
            await asyncio.sleep(added_partitions.SWITCHED_WITHIN)
        else:
            whose, _, done = what.partition(" ")
            if worker := getattr(self, whose, None):
                await self._worker_does(whose, worker, done, most)

    async def _worker_does(self, whose: str, worker: Worker, done: str, most: int) -> None:
        if done == "works":
            await worker.works(most)
        elif done == "is assigned again":
            await worker.loses(most)
        elif done == "restarts":
            setattr(self, whose, Worker(self.log, worker.partitions))

    async def ends(self) -> None:
        for _ in range(40):
            await self.old.works(100)
            if self.new:
                await self.new.works(100)
            await asyncio.sleep(added_partitions.SWITCHED_WITHIN)

    @property
    def statuses(self) -> list[tuple[Record, TransactionStatus]]:
        places = sorted(place for place in self.log.records if place[0] == topics.STATUS)
        return [(one, one.value) for place in places for one in self.log.records[place]]

    def expected(self) -> dict[str, list[int]]:
        rows = CustomerState().observe(self.sent).tolist()
        return {one["transaction_id"]: row for one, row in zip(self.sent, rows, strict=True)}


def verified(log: FakeLog) -> tuple[int, Compared]:
    """As `verify --features` recomputes them; how many differ."""
    of = {place[1]: some for place, some in log.records.items() if place[0] == topics.STATUS and some}
    heirs, compared, merchants = (
        Heirs(filter(None, (Origin.of(some[0]) for some in of.values()))),
        Compared(),
        RecordedMerchants(),
    )
    differ = 0
    for group in heirs.in_order(of):
        for partition in group:
            found = [(one.offset, one.value) for one in of[partition]]
            compared.late += heirs.late(partition, found)
            heirs.hand_on(partition, found)
            differ += len(list(compare(heirs.states[partition], partition, found, compared, merchants)))
    return differ, compared


STEPS = [
    "send",
    "send",
    "send",
    "old works",
    "new works",
    "grow",
    "old is assigned again",
    "new is assigned again",
    "old restarts",
    "new restarts",
    "time goes by",
]


@settings(max_examples=60, deadline=None)
@given(
    script=st.lists(
        st.tuples(st.sampled_from(STEPS), st.sampled_from("abcdefgh"), st.integers(1, 4)), max_size=40
    )
)
def test_any_log_any_growth_and_any_restart_each_transaction_sees_those_before_it_of_its_customer(
    script: list[tuple[str, str, int]],
) -> None:
    whole = Run()

    async def main() -> None:
        for what, customer, most in script:
            await whole.step(what, customer, most)
        await whole.ends()

    run(main())
    decided = {one["transaction_id"]: features_of(one) for _, one in whole.statuses}
    assert decided == whole.expected()
    assert len(whole.statuses) == len(whole.sent), "one is decided twice"
    differ, compared = verified(whole.log)
    assert (differ, compared.same, compared.late) == (0, len(whole.sent), 0)


def moving(before: int, after: int) -> str:
    """A customer whose partition changes."""
    return next(str(n) for n in range(1000) if Growth(before, after).moves(str(n)))


def test_a_new_partition_waits_for_the_old_one_and_then_goes_on_with_its_history() -> None:
    whole, customer = Run(), moving(2, 6)

    async def main() -> None:
        first = whole.send(customer)
        whole.grow(6)
        second = whole.send(customer)
        assert whole.new
        for _ in range(5):
            await whole.new.works(10)
            await asyncio.sleep(added_partitions.SWITCHED_WITHIN)
        assert not whole.statuses, "it is decided before the one that was sent before it"
        await whole.old.works(10)
        await whole.new.works(10)
        assert [one["transaction_id"] for _, one in whole.statuses] == [
            first["transaction_id"],
            second["transaction_id"],
        ]

    run(main())
    (_, (record, status)) = whole.statuses
    assert status["history"]["known"] == 1
    assert [name for name, _ in record.headers] == [HEADER]


def test_partitions_that_are_added_twice_over_before_anything_is_decided_lose_nothing() -> None:
    whole = Run()
    customer = next(
        str(n)
        for n in range(1000)
        if len({partition_of(str(n).encode(), count) for count in (2, 6, 18)}) == 3
    )

    async def main() -> None:
        for count in (6, 18, 18):
            whole.send(customer)
            if count > whole.log.count:
                whole.grow(count)
        await whole.ends()

    run(main())
    assert {one["transaction_id"]: features_of(one) for _, one in whole.statuses} == whole.expected()
    assert [status["history"]["known"] for _, status in whole.statuses] == [0, 1, 2]


def test_what_the_old_partition_has_decided_is_not_decided_again_in_the_new_one() -> None:
    whole, customer = Run(), moving(2, 6)

    async def main() -> None:
        one = whole.send(customer)
        await whole.ends()
        whole.grow(6)
        whole.again(one)
        await whole.ends()

    run(main())
    assert len(whole.statuses) == 1


def test_what_a_producer_sends_late_to_the_old_partition_is_decided_there_and_counted_as_late() -> None:
    whole, customer = Run(), moving(2, 6)

    async def main() -> None:
        whole.send(customer)
        whole.grow(6)
        whole.send(customer)
        await whole.ends()
        late = transaction(transaction_id=uuid7(time.time()), customer_id=customer)
        whole.log.append(topics.CREATED, partition_of(customer.encode(), 2), late["transaction_id"], late)
        await whole.ends()

    run(main())
    assert len(whole.statuses) == 3
    differ, compared = verified(whole.log)
    assert (differ, compared.same, compared.late) == (0, 3, 1)


def test_a_worker_whose_place_another_one_took_goes_on_with_what_that_one_began_with() -> None:
    whole, customer = Run(), moving(2, 6)
    partition = partition_of(customer.encode(), 6)

    async def main() -> None:
        whole.send(customer)
        whole.grow(6)
        await whole.ends()  # the new partition has begun, and has no status yet
        late = transaction(transaction_id=uuid7(time.time()), customer_id=customer)
        whole.log.append(topics.CREATED, partition_of(customer.encode(), 2), late["transaction_id"], late)
        await whole.ends()
        other = Worker(whole.log, [partition])
        await other.works(10)
        await asyncio.sleep(added_partitions.SWITCHED_WITHIN)
        await other.works(10)
        whole.send(customer)
        await other.works(10)
        whole.log.fenced = {partition}
        whole.send(customer)
        await whole.ends()

    run(main())
    assert [status["history"]["known"] for _, status in whole.statuses] == [0, 1, 2, 3]
    differ, compared = verified(whole.log)
    assert (differ, compared.same, compared.late) == (0, 4, 0)


def test_what_was_made_before_a_partition_was_added_may_be_elsewhere_also_where_its_customer_belongs() -> (
    None
):
    whole, customer = Run(), moving(2, 6)
    one = transaction(transaction_id=uuid7(time.time()), customer_id=customer)

    async def main() -> Adapters:
        whole.grow(6)
        ports = Ports(whole.log)
        await ports.count_partitions()
        await ports.ancestors(partition)
        ports.partitions = 6
        return ports

    partition = partition_of(customer.encode(), 6)
    ports = asyncio.run(main())
    now = int(time.time() * 1000)
    assert ports.may_be_elsewhere(partition, one, now)
    ports._added_at[partition] = now - 2 * OLD_COUNT_FOR
    old_key = partition_of(one["transaction_id"].encode(), 6) != partition
    assert ports.may_be_elsewhere(partition, one, now + 5000) == old_key
    assert not ports.may_be_elsewhere(partition, one, now)


@settings(max_examples=50, deadline=None)
@given(
    factors=st.lists(st.integers(2, 4), min_size=1, max_size=3),
    first=st.integers(1, 5),
    customer=st.text(max_size=8),
)
def test_the_ancestors_of_a_customers_partition_are_where_the_customer_was(
    factors: list[int], first: int, customer: str
) -> None:
    counts = [first]
    for factor in factors:
        counts.append(counts[-1] * factor)
    growths = [Growth(*pair) for pair in itertools.pairwise(counts)]
    was = list(dict.fromkeys(partition_of(customer.encode(), count) for count in counts))
    assert [*ancestors(was[-1], growths), was[-1]] == was


def test_a_partition_that_was_added_without_a_record_has_no_ancestors() -> None:
    assert ancestors(13, [Growth(4, 12)]) == []
    assert ancestors(11, [Growth(4, 12), Growth(4, 12)]) == [3]


@pytest.mark.parametrize(
    ("before", "after", "why"),
    [
        (4, 6, "6 is no multiple of 4.*; 8 is one"),
        (4, 3, "cannot take any away"),
        (12, 4, "a multiple of 12"),
    ],
)
def test_a_number_that_is_no_multiple_is_refused_by_name(before: int, after: int, why: str) -> None:
    with pytest.raises(WrongCount, match=why):
        Growth(before, after).checked()


def test_what_a_partition_begins_with_is_read_as_it_was_written() -> None:
    one = Origin(7, 12, ((1, 100), (3, 20)))
    assert Origin.of(SimpleNamespace(partition=7, headers=[("traceparent", b"x"), *one.headers])) == one
    assert Origin.of(SimpleNamespace(partition=7, headers=None)) is None


def test_marks_of_transactions_behind_the_last_record_are_not_waited_for() -> None:
    class Created:
        undecided = True

        async def asked_to(self, partitions: Collection[int]) -> dict[int, int]:
            return dict.fromkeys(partitions, 12)

        async def is_undecided(self, partition: int, offset: int, end: int) -> bool:
            assert (partition, offset, end) == (1, 10, 12)
            return self.undecided

    async def main() -> None:
        created = Created()
        held = set[int]()
        added = added_partitions.AddedPartitions(created, committed, held)
        added.hold(5, [1])
        assert await added.ready() == []
        await asyncio.sleep(added_partitions.SWITCHED_WITHIN)
        assert await added.ready() == []
        created.undecided = False
        assert await added.ready() == [5]
        added.release(5)
        assert not held

    async def committed(partitions: Collection[int]) -> dict[int, int]:
        return dict.fromkeys(partitions, 10)

    run(main())
