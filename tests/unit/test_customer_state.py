"""What is known of a customer is what the log had before, whatever the batches, failures and owners of a partition."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from app.commands.verify.features import Compared, compare
from app.commands.verify.merchants import RecordedMerchants
from app.errors import AntifraudUnavailable, LogUnavailable, Poison
from app.models.status import TransactionStatus, decided, decided_again, features_of
from app.models.transaction import Transaction
from app.processing.assignment import MicroBatch
from app.processing.back_pressure import Batch
from app.processing.customer_state import CustomerState
from app.processing.deduplication import DecidedIds
from app.processing.pipeline import Pipeline, ReadBack
from history.features import FEATURES
from history.recorded import recorded
from tests.unit.samples import BAD, GOOD, NOW, Record, transaction
from tests.unit.test_pipeline import FakePorts, pipeline

PARTITION = 0
KNOWN = FEATURES.index("known")


class OneLog(FakePorts):
    """A status partition that several workers write, each only until another one claims it."""

    def __init__(self, log: list[TransactionStatus]) -> None:
        super().__init__()
        self.records = log
        self.fenced = False
        self.written_and_failed = False
        self.elsewhere_at: dict[tuple[int, int], TransactionStatus] = {}
        self.until_claimed: Callable[[], Awaitable[None]] | None = None  # what its owner still does

    async def claim(self, partition: int) -> None:
        await asyncio.sleep(0)
        if self.until_claimed:
            await self.until_claimed()
            self.until_claimed = None
        self.claimed.append(partition)
        self.fenced = False
        self.in_doubt.discard(partition)

    async def read_back(self, partition: int, from_offset: int, read_to: int, most: int) -> ReadBack:
        there = {one["transaction_id"]: offset for offset, one in enumerate(self.records)}
        return ReadBack(there, len(self.records))

    async def catch_up(self, partition: int, state: CustomerState) -> None:
        """In steps of two, as Adapters in larger ones: others work between them."""
        while step := list(enumerate(self.records))[state.folded_to : state.folded_to + 2]:
            await asyncio.sleep(0)
            state.rewind()
            state.fold(step, step[-1][0] + 1)
        state.rewind()

    async def statuses_at(
        self, places: Sequence[tuple[int, int]]
    ) -> dict[tuple[int, int], TransactionStatus | Poison]:
        here: dict[tuple[int, int], TransactionStatus | Poison] = {
            place: self.records[place[1]] for place in places if place[0] == PARTITION
        }
        return here | {place: one for place, one in self.elsewhere_at.items() if place in places}

    async def publish(self, partition: int, statuses: Sequence[TransactionStatus]) -> Sequence[int]:
        await asyncio.sleep(0)
        if self.fenced:
            self.in_doubt.add(partition)
            raise LogUnavailable("another worker has claimed it")
        if failure := self.failing.get("publish") and self.failing["publish"].pop(0):
            self.in_doubt.add(partition)
            if self.written_and_failed:
                self.records.extend(statuses)
            raise failure
        self.records.extend(statuses)
        return range(len(self.records) - len(statuses), len(self.records))


def asked(customers: Sequence[str]) -> list[Transaction]:
    return [
        transaction(transaction_id=f"t{n}", customer_id=one, value_in_cents=100 + n, event_timestamp=NOW + n)
        for n, one in enumerate(customers)
    ]


def micro_batch(transactions: Sequence[Transaction], first: int) -> MicroBatch:
    records = [Record(first + n, one) for n, one in enumerate(transactions)]
    return MicroBatch([Batch("transaction_created", PARTITION, records, first + len(records))])


def batches_of(transactions: Sequence[Transaction], sizes: Sequence[int]) -> list[MicroBatch]:
    found, at = [], 0
    for size in sizes:
        if at < len(transactions):
            found.append(micro_batch(transactions[at : at + size], at))
            at += size
    return found


def recomputed(log: Sequence[TransactionStatus]) -> list[list[int]]:
    """What each status should say, record by record from the log alone."""
    state, rows = CustomerState(), list[list[int]]()
    for one in log:
        if one["revision"] == 1:
            rows += state.observe([one]).tolist()
    return rows


async def until_it_works(step: object, what: MicroBatch) -> None:
    for _ in range(50):
        try:
            await step(what)  # type: ignore[operator]
        except (LogUnavailable, AntifraudUnavailable):
            continue
        return
    raise AssertionError("it never works")


async def another_worker(
    log: list[TransactionStatus], transactions: Sequence[Transaction], count: int
) -> None:
    """Decides and publishes the next `count` records, by what the log says."""
    there = {one["transaction_id"] for one in log}
    state = CustomerState()
    state.fold(enumerate(log), len(log))
    for offset, one in enumerate(transactions):
        if one["transaction_id"] not in there and count:
            (row,) = recorded(state.observe([one]))
            log.append(decided(one, BAD, PARTITION, offset, NOW * 1000, row))
            count -= 1


TROUBLE = (
    "",
    "",
    "not written",
    "written",
    "taken over",
    "taken over, no antifraud",
    "antifraud",
    "reassigned",
    "moved",
)


class Run:
    """A worker that works off records, while things go wrong; `overlap`: the next micro-batch is decided before."""

    def __init__(self, customers: Sequence[str], sizes: Sequence[int], overlap: bool, taken: int) -> None:
        self.transactions = asked(customers)
        self.waiting = batches_of(self.transactions, sizes)
        self.overlap, self.taken = overlap, taken
        self.log: list[TransactionStatus] = []
        self.ports = OneLog(self.log)
        self.states: dict[int, CustomerState] = {}
        self.ahead = 0
        self.worker = self.new_worker()

    def new_worker(self) -> Pipeline:
        return pipeline(self.ports, PARTITION, when_down="hold", customers=self.states)

    async def go_wrong(self, trouble: str, n: int) -> None:
        if trouble in ("written", "not written"):
            self.ports.written_and_failed = trouble == "written"
            self.ports.fails("publish", LogUnavailable("no answer"))
        elif trouble == "antifraud":
            self.ports.fails("assess", AntifraudUnavailable("no replica"))
        elif trouble == "reassigned":  # what was decided and not published is forgotten
            self.worker, self.ahead = self.new_worker(), n
        elif trouble == "moved":  # here, and its owner goes on until it is claimed
            self.states.clear()
            self.worker, self.ahead = self.new_worker(), n
            self.ports.until_claimed = lambda: another_worker(self.log, self.transactions, self.taken)
        elif trouble:
            self.ports.fenced = True
            await another_worker(self.log, self.transactions, self.taken)

    async def runs(self, trouble: Sequence[str]) -> None:
        for n, one in enumerate(self.waiting):
            await self.go_wrong(trouble[n], n)
            await self.worker.claim()  # nothing, if that is done
            ahead = min(len(self.waiting), n + 1 + self.overlap)
            for next_one in self.waiting[max(n, self.ahead) : ahead]:
                await until_it_works(self.worker.decide, next_one)
            self.ahead = ahead
            if "no antifraud" in trouble[n]:
                self.ports.fails("assess", AntifraudUnavailable("no replica"))
            await until_it_works(self.worker.publish, one)
            await self.worker.store([one])


@settings(max_examples=150, deadline=None)
@given(
    customers=st.lists(st.sampled_from("abc"), min_size=1, max_size=12),
    sizes=st.lists(st.integers(1, 4), min_size=12, max_size=12),
    overlap=st.booleans(),
    trouble=st.lists(st.sampled_from(TROUBLE), min_size=12, max_size=12),
    taken=st.integers(0, 3),
)
def test_whatever_fails_and_whoever_else_publishes_the_features_are_those_of_the_log(
    customers: list[str], sizes: list[int], overlap: bool, trouble: list[str], taken: int
) -> None:
    whole = Run(customers, sizes, overlap, taken)
    asyncio.run(whole.runs(trouble))
    log = whole.log
    assert [one["transaction_id"] for one in log] == [one["transaction_id"] for one in whole.transactions]
    assert [features_of(one) for one in log] == recomputed(log)
    stored = {one["transaction_id"]: one for one in whole.ports.stored}
    assert stored == {one["transaction_id"]: one for one in log}


def test_what_another_partition_has_by_now_is_no_history_in_this_one() -> None:
    """Another worker has decided it elsewhere in the log: that was learnt when its partition was claimed again."""
    ports, decided_ids = OneLog([]), DecidedIds()

    async def main() -> None:
        worker = pipeline(ports, PARTITION, decided_ids=decided_ids)
        await worker.claim()
        (one,) = batches_of(asked("aa"), [2])
        await worker.decide(one)
        ports.elsewhere_at = {(1, 5): decided(asked("a")[0], BAD, 1, 9, NOW * 1000)}
        decided_ids.read(1, {"t0": 5}, 6)
        await worker.publish(one)
        await worker.store([one])

    asyncio.run(main())
    assert [(one["transaction_id"], features_of(one)[KNOWN]) for one in ports.records] == [("t1", 0)]
    assert [one["source_partition"] for one in ports.stored] == [1, PARTITION]


def through(*micro_batches: MicroBatch, ports: FakePorts) -> None:
    async def main() -> None:
        worker = pipeline(ports, PARTITION)
        await worker.claim()
        for one in micro_batches:
            await worker.decide(one)
            await worker.publish(one)
            await worker.store([one])

    asyncio.run(main())


def test_a_customers_next_transaction_sees_the_one_before_it_in_the_same_batch_and_in_the_next() -> None:
    ports = OneLog([])
    through(*batches_of(asked("aabaab"), [3, 3]), ports=ports)
    assert [features_of(one)[KNOWN] for one in ports.records] == [0, 1, 0, 2, 3, 1]


def test_a_redelivered_record_keeps_its_recorded_features_and_is_counted_once() -> None:
    ports, (one,) = OneLog([]), batches_of(asked("aa"), [2])
    through(one, ports=ports)
    again = OneLog(ports.records)
    through(one, *batches_of(asked("aaa"), [3]), ports=again)
    assert [features_of(one)[KNOWN] for one in again.records] == [0, 1, 2]
    assert again.stored[:2] == ports.stored


def test_a_reassessment_is_no_other_transaction() -> None:
    one, two = asked("aa")
    first = decided(one, BAD, PARTITION, 0, NOW * 1000, dict.fromkeys(FEATURES, 0))
    ports = OneLog([first, decided_again(first, GOOD, NOW * 1000)])
    through(micro_batch([two], 1), ports=ports)
    assert features_of(ports.records[-1])[KNOWN] == 1


def test_a_status_without_features_says_unknown_and_still_is_history() -> None:
    one, two = asked("aa")
    before = decided(one, GOOD, PARTITION, 0, NOW * 1000)
    assert set(features_of(before)) == {-1}
    ports = OneLog([before])
    through(micro_batch([two], 1), ports=ports)
    assert features_of(ports.records[-1])[KNOWN] == 1


def test_states_of_partitions_that_went_to_others_are_not_kept() -> None:
    ports, states = FakePorts(), {0: CustomerState(), 1: CustomerState()}
    pipeline(ports, 1, customers=states)
    assert states.keys() == {1}


def test_the_command_names_what_the_log_does_not_bear_out() -> None:
    ports = OneLog([])
    through(*batches_of(asked("aaba"), [4]), ports=ports)
    one, two, three, four = ports.records
    wrong = {**three, "history": {**three["history"], "known": 9}}
    old = {name: value for name, value in four.items() if name != "history"}
    compared = Compared()
    statuses: Any = list(enumerate([one, two, wrong, old]))
    (found,) = compare(CustomerState(), 0, statuses, compared, RecordedMerchants())
    assert (found.transaction_id, found.place, found.features) == ("t2", (0, 2), {"known": (9, 0)})
    assert compared == Compared(same=2, unrecorded=1)
