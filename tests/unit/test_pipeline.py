"""What happens to a transaction: decided once, published, stored; poison aside; nobody asked twice."""

import asyncio
import itertools
import logging
import time
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import pytest

from app.assessment.fallback import AssessmentFallback, WhenDown
from app.errors import AntifraudUnavailable, LogUnavailable, Poison, StoreUnavailable, TooManyDeadLetters
from app.models.assessment import Assessment
from app.models.status import TransactionStatus
from app.models.transaction import Transaction, uuid7
from app.observability import metrics
from app.observability.transaction_logger import TransactionLogger
from app.processing.assignment import MicroBatch
from app.processing.back_pressure import Batch
from app.processing.customer_state import CustomerState, Features
from app.processing.dead_letter_limit import DeadLetterLimit
from app.processing.deduplication import DecidedIds, Place
from app.processing.merchant_totals import MerchantTotalsKeeper
from app.processing.pipeline import DeadLetter, Pipeline, ReadBack
from tests.unit.samples import BAD, GOOD, Record, status, transaction
from tests.unit.virtual_time import now, run


class FakePorts:
    """A world in which a record's value is its transaction already, and what fails is said beforehand."""

    def __init__(self, *, recorded: dict[int, dict[int, TransactionStatus]] | None = None) -> None:
        self.recorded = recorded or {}
        self.failing: dict[str, list[Exception | None]] = {}
        self.antifraud_is_down = False
        self.says: Assessment = GOOD
        self.calls: list[str] = []
        self.asked: list[str] = []
        self.claimed: list[int] = []
        self.read_from: list[tuple[int, int]] = []  # partition and offset
        self.counted = 0  # at the topics
        self.in_doubt: set[int] = set()
        self.partitions, self.records_read = 4, 0
        self.goes_on_at: dict[int, int] = {}  # by partition, where it is not 1
        self.older_than_ms: int | None = None
        self.elsewhere: set[str] = set()
        self.placed: dict[Place, TransactionStatus | Poison] = {}
        self.tries: list[float] = []
        self.log: list[tuple[int, list[str]]] = []
        self.counted = 0
        self.published: dict[str, TransactionStatus] = {}
        self.dead_lettered: list[DeadLetter] = []
        self.stored: list[TransactionStatus] = []
        self.kept: dict[int, int] = {}
        self.merchants = MerchantTotalsKeeper(None)  # type: ignore[arg-type]  # what it reads and writes is not asked for

    def fails(self, port: str, *outcomes: Exception | None) -> None:
        """The next calls of a port: an error each, None for a call that works."""
        self.failing[port] = list(outcomes)

    def _called(self, port: str) -> None:
        self.calls.append(port)
        failure = self.failing[port].pop(0) if self.failing.get(port) else None
        if failure:
            raise failure

    async def decode(self, values: Sequence[Any]) -> list[Transaction | Poison]:
        self._called("decode")
        return list(values)

    async def committed(self, partitions: Collection[int]) -> dict[int, int]:
        self._called("committed")
        return {partition: self.goes_on_at.get(partition, 1) for partition in partitions}

    async def count_partitions(self) -> None:
        self.counted += 1

    async def claim(self, partition: int) -> None:
        self._called(f"claim {partition}")
        await asyncio.sleep(partition)
        self.claimed.append(partition)
        self.in_doubt.discard(partition)

    async def read_back(self, partition: int, from_offset: int, read_to: int, most: int) -> ReadBack:
        self.read_from.append((partition, from_offset))
        if failure := self.failing.get("read back"):
            raise failure.pop()  # type: ignore[misc]
        for offset, verdict in self.recorded.get(partition, {}).items():
            self.placed[partition, offset] = verdict
        there = sorted(
            (offset, one["transaction_id"])
            for (number, offset), one in self.placed.items()
            if number == partition and not isinstance(one, Poison)
        )
        return ReadBack({id_: offset for offset, id_ in reversed(there)}, 10_000, self.older_than_ms)

    def is_claimed(self, partition: int) -> bool:
        return partition in self.claimed and partition not in self.in_doubt

    async def ancestors(self, partition: int) -> list[int]:
        return []

    async def asked_to(self, partitions: Collection[int]) -> dict[int, int]:
        return dict.fromkeys(partitions, 0)

    async def is_undecided(self, partition: int, offset: int, end: int) -> bool:
        return False

    async def customer_state(self, partition: int) -> CustomerState:
        state = CustomerState()
        await self.catch_up(partition, state)
        return state

    async def keep(self, partition: int, state: CustomerState) -> None:
        self.kept[partition] = state.folded_to

    async def catch_up(self, partition: int, state: CustomerState) -> None:
        found = sorted(
            (at, one)
            for (number, at), one in self.placed.items()
            if number == partition and at >= state.folded_to and not isinstance(one, Poison)
        )
        state.rewind()
        state.fold(found, max((at + 1 for at, _ in found), default=state.folded_to))

    async def statuses_at(self, places: Sequence[Place]) -> dict[Place, TransactionStatus | Poison]:
        self._called("statuses")
        return {place: self.placed[place] for place in places if place in self.placed}

    async def look_up(self, partition: int, transactions: Sequence[Transaction]) -> list[TransactionStatus]:
        ids = {one["transaction_id"] for one in transactions}
        self._called(f"look up {' '.join(sorted(ids))} in {partition}")
        return [one for one in self.stored if one["transaction_id"] in ids]

    def may_be_elsewhere(self, partition: int, transaction: Transaction, sent_ms: int) -> bool:
        return transaction["transaction_id"] in self.elsewhere

    async def assess(self, transactions: Sequence[Transaction], features: Features) -> Sequence[Assessment]:
        self.tries.append(now())
        self._called("assess")
        if self.antifraud_is_down:
            raise AntifraudUnavailable("no replica")
        self.asked += [one["transaction_id"] for one in transactions]
        return [self.says] * len(transactions)

    async def publish(self, partition: int, statuses: Sequence[TransactionStatus]) -> Sequence[int]:
        self.in_doubt.add(partition)
        self._called(f"publish {partition}")
        self.in_doubt.discard(partition)
        await asyncio.sleep(partition)
        self.log.append((partition, [one["transaction_id"] for one in statuses]))
        self.published |= {one["transaction_id"]: one for one in statuses}
        offsets = range(1000 + len(self.published), 1000 + len(self.published) + len(statuses))
        self.placed |= {(partition, offset): one for offset, one in zip(offsets, statuses, strict=True)}
        return offsets

    async def dead_letter(self, dead_letters: Sequence[DeadLetter]) -> None:
        self._called("dead_letter")
        self.dead_lettered += dead_letters

    async def store(self, statuses: Sequence[TransactionStatus]) -> None:
        self._called("store")
        self.stored += statuses


def name(partition: int, offset: int) -> str:
    return f"p{partition}o{offset}"


def batch(partition: int, *offsets: int, **instead: Any) -> Batch:
    """Good records at these offsets; `instead` puts another value at one, as o3=…"""
    values = {o: instead.get(f"o{o}", transaction(transaction_id=name(partition, o))) for o in offsets}
    records = [Record(offset, value) for offset, value in values.items()]
    return Batch("transaction_created", partition, records, offsets[-1] + 1)


def recorded(partition: int, *offsets: int) -> dict[int, TransactionStatus]:
    """Verdicts in the log that no replica would give today."""
    return {
        o: status(transaction(transaction_id=name(partition, o)), o, status="rejected", score=0.123)
        for o in offsets
    }


def round_of(*batches: Batch) -> MicroBatch:
    return MicroBatch(list(batches))


def pipeline(
    ports: FakePorts,
    *partitions: int,
    when_down: WhenDown = "reject",
    limit: DeadLetterLimit | None = None,
    decided_ids: DecidedIds | None = None,
    customers: dict[int, CustomerState] | None = None,
    known: set[int] | None = None,
) -> Pipeline:
    """Of a worker that was assigned these partitions."""
    logger = TransactionLogger(each=False)

    async def assess(transactions: Sequence[Transaction], features: Features) -> Sequence[Assessment]:
        return await ports.assess(transactions, features)

    fallback = AssessmentFallback(assess, logger, when_down=when_down, outage_timeout=5.0)
    return Pipeline(
        ports,
        fallback,
        logger,
        limit or DeadLetterLimit(),
        decided_ids or DecidedIds(),
        {} if customers is None else customers,
        partitions,
        ports.committed,
        set() if known is None else known,
    )


def partitions_of(micro_batches: Sequence[MicroBatch]) -> set[int]:
    return {batch.partition for micro_batch in micro_batches for batch in micro_batch.batches}


async def driven(one: Pipeline, micro_batch: MicroBatch) -> None:
    await one.claim()  # nothing, if that is done
    await one.take_over()
    await one.decide(micro_batch)
    await one.publish(micro_batch)
    await one.store([micro_batch])


def through(ports: FakePorts, *micro_batches: MicroBatch, when_down: WhenDown = "reject") -> None:
    """Drive micro-batches of one assignment through the three steps, each once."""

    async def main() -> None:
        one = pipeline(ports, *partitions_of(micro_batches), when_down=when_down)
        for micro_batch in micro_batches:
            await driven(one, micro_batch)

    run(main())


def ids(statuses: Sequence[TransactionStatus]) -> list[str]:
    return [one["transaction_id"] for one in statuses]


def test_a_micro_batch_is_assessed_in_one_call_published_by_partition_and_stored_in_one_call() -> None:
    ports = FakePorts()
    through(ports, round_of(batch(0, 1, 2), batch(3, 8)))
    assert ports.asked == ids(ports.stored) == ["p0o1", "p0o2", "p3o8"]
    assert sorted(ports.log) == [(0, ["p0o1", "p0o2"]), (3, ["p3o8"])]
    assert ports.calls.count("assess") == ports.calls.count("store") == 1
    assert ports.calls.index("assess") < ports.calls.index("publish 0") < ports.calls.index("store")


def test_the_end_to_end_time_is_counted_from_the_event_once_it_is_published() -> None:
    def seen() -> tuple[float, float]:
        name = "payments_end_to_end_seconds"
        count, total = (metrics.REGISTRY.get_sample_value(f"{name}_{end}") for end in ("count", "sum"))
        return count or 0.0, total or 0.0

    old = transaction(transaction_id=uuid7(time.time() - 3))
    foreign = transaction(
        transaction_id="16f051bb-14e0-4fda-95e5-507d01ea37dc", event_timestamp=int(time.time()) - 60
    )
    before = seen()
    through(FakePorts(), round_of(batch(0, 1, 2, 3, o1=old, o2=foreign, o3=POISON)))
    count, total = (now - then for now, then in zip(seen(), before, strict=True))
    assert count == 2
    assert 63 <= total < 70


def test_what_is_published_names_its_source_and_is_what_is_stored() -> None:
    ports = FakePorts()
    through(ports, round_of(batch(3, 8)))
    published = ports.published["p3o8"]
    assert (published["source_partition"], published["source_offset"], published["revision"]) == (3, 8, 1)
    assert (published["status"], published["score"], published["replica"]) == ("accepted", 0.9, "antifraud-1")
    assert ports.stored == [published]


def test_a_recorded_verdict_is_repeated_and_nobody_is_asked() -> None:
    ports = FakePorts(recorded={0: recorded(0, 1, 2)})
    through(ports, round_of(batch(0, 1, 2)))
    assert ports.asked == []
    assert ports.log == []
    assert ports.stored == list(recorded(0, 1, 2).values())


def test_only_what_has_no_recorded_verdict_is_assessed_and_published() -> None:
    ports = FakePorts(recorded={0: recorded(0, 1, 3)})
    through(ports, round_of(batch(0, 1, 2, 3, 4), batch(1, 1)))
    assert ports.asked == ["p0o2", "p0o4", "p1o1"]
    assert sorted(ports.log) == [(0, ["p0o2", "p0o4"]), (1, ["p1o1"])]
    assert sorted(ids(ports.stored)) == ["p0o1", "p0o2", "p0o3", "p0o4", "p1o1"]
    assert {one["transaction_id"]: one["status"] for one in ports.stored}["p0o3"] == "rejected"


def test_a_verdict_on_another_transaction_at_the_same_offset_is_none() -> None:
    # transaction_created was lost and made anew, transaction_status was not
    old = {7: status(transaction(transaction_id="old"), 7, status="rejected")}
    ports = FakePorts(recorded={0: old})
    through(ports, round_of(batch(0, 7)))
    assert ports.asked == ids(ports.stored) == list(ports.published) == ["p0o7"]


def test_nor_is_it_one_after_a_failed_publish() -> None:
    ports = FakePorts(recorded={0: {7: status(transaction(transaction_id="old"), 7, status="rejected")}})
    ports.fails("publish 0", LogUnavailable("slow"))
    assert publish_until_done(ports, batch(0, 7)) == 2
    assert list(ports.published) == ["p0o7"]


def test_a_recorded_verdict_stands_also_while_antifraud_is_down() -> None:
    ports = FakePorts(recorded={0: recorded(0, 1)})
    ports.antifraud_is_down = True
    through(ports, round_of(batch(0, 1)))
    assert [one["score"] for one in ports.stored] == [0.123]
    assert ports.tries == []


def test_a_partitions_verdicts_are_read_for_its_first_batch_and_serve_later_ones() -> None:
    ports = FakePorts(recorded={0: recorded(0, 1, 2, 5)})
    through(
        ports,
        round_of(batch(0, 1)),
        round_of(batch(0, 2, 3)),
        round_of(batch(0, 5, 6)),
    )
    assert [call for call in ports.calls if call.startswith("claim")] == ["claim 0"]
    assert ports.asked == ["p0o3", "p0o6"]


def test_all_partitions_are_claimed_before_any_record_is_there_from_where_the_group_goes_on() -> None:
    ports = FakePorts()
    ports.goes_on_at = {0: 7, 1: 0}
    run(pipeline(ports, 0, 1).claim())
    assert ports.calls == ["committed", "claim 0", "claim 1"]
    assert set(ports.read_from) == {(0, 7), (1, 0)}


class SlowClaim(FakePorts):
    """A partition's owner goes on until it is claimed."""

    read_ahead: Sequence[Place] = ()
    until_claimed: Mapping[int, dict[int, TransactionStatus]] = {}

    async def claim(self, partition: int) -> None:
        await asyncio.sleep(1)
        self.read_ahead, self.recorded = list(self.placed), dict(self.until_claimed)
        await super().claim(partition)


def test_what_is_in_the_log_is_read_while_a_partition_is_claimed_and_the_rest_of_it_afterwards() -> None:
    ports = SlowClaim(recorded={0: recorded(0, 1)})
    ports.until_claimed = {0: recorded(0, 2)}
    through(ports, round_of(batch(0, 1, 2, 3)))
    assert ports.read_ahead == [(0, 1)]
    assert ports.asked == ["p0o3"], "what its owner has decided meanwhile stands"


def test_kafka_is_asked_once_an_assignment_how_many_partitions_there_are() -> None:
    ports = FakePorts()
    run(pipeline(ports, 0, 1, 2).claim())
    assert ports.counted == 1


def test_a_worker_without_partitions_claims_none() -> None:
    ports = FakePorts()
    run(pipeline(ports).claim())
    assert ports.calls == []


class Rebalanced:
    """What a worker remembers from one assignment to the next."""

    def __init__(self, ports: FakePorts) -> None:
        self.ports, self.known = ports, set[int]()
        self.decided_ids, self.customers = DecidedIds(), dict[int, CustomerState]()

    def assigned(self, *partitions: int) -> Pipeline:
        return pipeline(
            self.ports,
            *partitions,
            decided_ids=self.decided_ids,
            customers=self.customers,
            known=self.known,
        )


def test_of_a_rebalance_only_those_partitions_are_claimed_that_were_not_ours_before() -> None:
    ports = FakePorts()
    worker = Rebalanced(ports)

    async def main() -> None:
        await driven(worker.assigned(0, 1), round_of(batch(0, 1), batch(1, 1)))
        await driven(worker.assigned(1, 2), round_of(batch(1, 1, 2), batch(2, 1)))
        last = worker.assigned(0, 1, 2)
        await last.claim()
        await last.take_over()

    run(main())
    claims = [call for call in ports.calls if call.startswith("claim")]
    assert claims == ["claim 0", "claim 1", "claim 2", "claim 0"]
    assert ports.asked == ["p0o1", "p1o1", "p1o2", "p2o1"], "what it had published it knows"
    assert ports.counted == 3, "partitions may have been added"


def test_what_stays_with_a_worker_goes_on_while_what_comes_to_it_is_claimed() -> None:
    ports = FakePorts()
    worker = Rebalanced(ports)

    async def main() -> None:
        await driven(worker.assigned(1), round_of(batch(1, 1)))
        ports.calls.clear()
        ports.fails("claim 2", LogUnavailable("slow"))
        after = worker.assigned(1, 2)
        await after.claim()
        assert set(after.held) == {2}
        stays = round_of(batch(1, 2))
        await after.decide(stays)
        await after.publish(stays)
        assert ports.log[-1] == (1, ["p1o2"])
        assert not [call for call in ports.calls if call.startswith("claim")], "it has waited for nothing"
        with pytest.raises(LogUnavailable):
            await after.take_over()
        assert set(after.held) == {2}, "nothing is taken of what is not claimed"
        await after.take_over()
        assert not after.held
        comes = round_of(batch(2, 1))
        await after.decide(comes)
        await after.publish(comes)

    run(main())
    assert ports.log[-1] == (2, ["p2o1"])


def test_until_all_is_claimed_an_id_may_have_a_verdict_of_another_partition() -> None:
    """A worker that has all partitions knows all ids, but not yet those of the partition that came last."""
    ports = FakePorts()
    ports.partitions = 2
    worker = Rebalanced(ports)

    async def main() -> None:
        await driven(worker.assigned(0), round_of(batch(0, 1)))
        ports.elsewhere = {"p0o2"}
        after = worker.assigned(0, 1)
        await after.claim()
        ports.calls.clear()
        await after.decide(round_of(batch(0, 2)))
        assert "look up" in " ".join(ports.calls)

    run(main())


def test_what_was_decided_and_not_published_before_a_rebalance_is_decided_anew() -> None:
    ports = FakePorts()
    worker = Rebalanced(ports)

    async def main() -> None:
        before = worker.assigned(0)
        await before.claim()
        await before.decide(round_of(batch(0, 1)))
        await driven(worker.assigned(0), round_of(batch(0, 1, 2)))

    run(main())
    assert ports.log == [(0, ["p0o1", "p0o2"])]
    assert [one["history"]["known"] for one in ports.stored] == [0, 1]


@pytest.mark.parametrize("is_read_at_once", [True, False])
def test_a_partition_whose_claim_was_lost_before_a_rebalance_is_claimed_again_and_read(
    is_read_at_once: bool,
) -> None:
    ports = FakePorts()
    worker = Rebalanced(ports)

    async def main() -> None:
        before, one = worker.assigned(0), round_of(batch(0, 1))
        await before.claim()
        await before.decide(one)
        ports.fails("publish 0", DOWN)
        with pytest.raises(LogUnavailable):
            await before.publish(one)
        ports.recorded = {0: recorded(0, 1)}
        after = worker.assigned(0)
        if not is_read_at_once:
            ports.fails("read back", DOWN)
            with pytest.raises(LogUnavailable):
                await after.claim()
        await driven(after, round_of(batch(0, 1)))

    run(main())
    assert ports.asked == ["p0o1"], "once"
    assert ports.log == []
    assert [one["score"] for one in ports.stored] == [0.123]


def test_a_partition_that_comes_back_is_claimed_again() -> None:
    ports = FakePorts()
    one = round_of(batch(0, 1))
    through(ports, one)
    ports.recorded = {0: recorded(0, 1)}
    through(ports, round_of(batch(0, 1)))
    assert ports.asked == ["p0o1"]
    assert ports.stored[-1]["score"] == 0.123


def test_without_the_claim_nobody_is_asked() -> None:
    ports = FakePorts()
    ports.fails("claim 0", LogUnavailable("Kafka is down"))
    with pytest.raises(LogUnavailable):
        through(ports, round_of(batch(0, 1)))
    assert ports.tries == []


def test_a_claim_that_failed_is_not_begun_again_beside_the_others() -> None:
    ports = FakePorts()
    ports.fails("claim 0", LogUnavailable("slow"))

    async def main() -> None:
        one = pipeline(ports, 0, 3)
        with pytest.raises(LogUnavailable):
            await one.claim()
        assert ports.claimed == [3]
        await one.claim()
        assert ports.claimed == [3, 0]

    run(main())


def test_deciding_again_after_a_failure_repeats_nothing_of_what_was_decided() -> None:
    ports = FakePorts(recorded={0: recorded(0, 1)})
    ports.fails("decode", None, LogUnavailable("the registry is down"))

    async def main() -> None:
        one, micro_batch = pipeline(ports, 0, 1), round_of(batch(0, 1), batch(1, 1))
        await one.claim()
        with pytest.raises(LogUnavailable):
            await one.decide(micro_batch)
        await one.decide(micro_batch)
        await one.publish(micro_batch)
        await one.store([micro_batch])

    run(main())
    assert ports.asked == ["p1o1"]
    assert sorted(ids(ports.stored)) == ["p0o1", "p1o1"]


POISON = Poison("first byte is 123, not 0")


def test_poison_goes_to_a_dead_letter_with_its_reason_and_the_others_go_on() -> None:
    ports = FakePorts()
    poisoned = batch(2, 1, 2, 3, o2=POISON)
    through(ports, round_of(poisoned))
    assert ports.dead_lettered == [DeadLetter(poisoned.records[1], 2, "first byte is 123, not 0")]
    assert ports.asked == ids(ports.stored) == ["p2o1", "p2o3"]


def test_a_value_no_row_can_hold_is_poison_and_antifraud_does_not_see_it() -> None:
    ports = FakePorts()
    through(ports, round_of(batch(0, 1, 2, o1=transaction(latitude=float("nan")))))
    assert [dead_letter.reason for dead_letter in ports.dead_lettered] == ["latitude is not a finite number"]
    assert ports.asked == ["p0o2"]


def test_a_micro_batch_of_poison_alone_asks_publishes_and_stores_nothing() -> None:
    ports = FakePorts()
    through(ports, round_of(batch(0, 1, 2, o1=POISON, o2=POISON)))
    assert len(ports.dead_lettered) == 2
    assert ports.calls == ["committed", "claim 0", "decode", "dead_letter"]


def publish_until_done(ports: FakePorts, *batches: Batch) -> int:
    """Decide once, then tell until it works; gives the tries."""

    async def main() -> int:
        one, micro_batch = pipeline(ports, *(b.partition for b in batches)), round_of(*batches)
        await one.claim()
        await one.decide(micro_batch)
        for tries in range(1, 10):
            try:
                await one.publish(micro_batch)
            except LogUnavailable:
                continue
            return tries
        raise AssertionError("never published")

    return run(main())


DOWN = LogUnavailable("not enough replicas")


def test_a_repeated_publish_publishes_only_the_partitions_not_yet_published() -> None:
    ports = FakePorts()
    ports.fails("publish 1", DOWN, DOWN)
    assert publish_until_done(ports, batch(0, 1), batch(1, 1), batch(2, 1)) == 3
    assert sorted(ports.log) == [(0, ["p0o1"]), (1, ["p1o1"]), (2, ["p2o1"])]
    assert ports.calls.count("publish 0") == 1


def test_a_failed_partition_waits_for_the_others_calls_to_end() -> None:
    ports = FakePorts()
    ports.fails("publish 0", DOWN)
    assert publish_until_done(ports, batch(0, 1), batch(1, 1)) == 2
    assert ports.calls.count("publish 1") == 1


def test_a_repeated_publish_says_the_same() -> None:
    ports = FakePorts()
    ports.fails("publish 0", DOWN)

    async def main() -> None:
        one, micro_batch = pipeline(ports, 0), round_of(batch(0, 1))
        await one.claim()
        await one.decide(micro_batch)
        verdicts = list(micro_batch.work.to_publish[0])
        ports.says = BAD
        with pytest.raises(LogUnavailable):
            await one.publish(micro_batch)
        await one.publish(micro_batch)
        assert list(ports.published.values()) == verdicts

    run(main())


def test_after_a_failed_publish_the_log_is_asked_and_what_it_has_stands() -> None:
    """The try may have reached the log after all, or a worker that had the partition meanwhile decided otherwise."""
    ports = FakePorts()
    ports.fails("publish 0", DOWN)
    in_the_log = recorded(0, 1)

    async def main() -> None:
        one, micro_batch = pipeline(ports, 0), round_of(batch(0, 1, 2))
        await one.claim()
        await one.decide(micro_batch)
        with pytest.raises(LogUnavailable):
            await one.publish(micro_batch)
        ports.recorded = {0: in_the_log}
        await one.publish(micro_batch)
        await one.store([micro_batch])

    run(main())
    assert ports.log == [(0, ["p0o2"])]
    assert ports.stored[0] == in_the_log[1]
    assert ids(ports.stored) == ["p0o1", "p0o2"]


def test_a_worker_that_slept_past_its_session_publishes_nothing_that_another_has_published() -> None:
    """Also of the next round, which it had decided already when it fell asleep."""
    ports = FakePorts()
    ports.fails("publish 0", LogUnavailable("fenced"))
    by_the_other = recorded(0, 1, 2, 3)

    async def main() -> None:
        one = pipeline(ports, 0)
        await one.claim()
        first, second = round_of(batch(0, 1)), round_of(batch(0, 2, 3))
        await one.decide(first)
        await one.decide(second)
        ports.recorded = {0: by_the_other}
        with pytest.raises(LogUnavailable):
            await one.publish(first)
        for micro_batch in (first, second):
            await one.publish(micro_batch)
            await one.store([micro_batch])

    run(main())
    assert ports.log == []
    assert ports.stored == list(by_the_other.values())


def test_a_claim_whose_read_back_failed_is_read_back_before_anything_is_published() -> None:
    """Else what another owner, or the try that failed, has published meanwhile would be published again."""
    ports = FakePorts()
    ports.fails("publish 0", DOWN)
    in_the_log = recorded(0, 1)

    async def main() -> None:
        one, micro_batch = pipeline(ports, 0), round_of(batch(0, 1))
        await one.claim()
        await one.decide(micro_batch)
        ports.recorded = {0: in_the_log}
        ports.fails("read back", DOWN)
        for _ in range(2):
            with pytest.raises(LogUnavailable):
                await one.publish(micro_batch)
        await one.publish(micro_batch)
        await one.store([micro_batch])

    run(main())
    assert ports.log == []
    assert ports.stored == [in_the_log[1]]


def test_a_dead_letter_is_not_written_twice_when_the_publish_is_repeated() -> None:
    ports = FakePorts()
    ports.fails("publish 0", DOWN)
    assert publish_until_done(ports, batch(0, 1, 2, o1=POISON)) == 2
    assert len(ports.dead_lettered) == 1


def test_nothing_is_published_before_the_dead_letters_are_safe() -> None:
    ports = FakePorts()
    ports.fails("dead_letter", DOWN)
    assert publish_until_done(ports, batch(0, 1, 2, o1=POISON)) == 2
    assert ports.calls[-3:] == ["dead_letter", "dead_letter", "publish 0"]


def test_a_store_that_fails_is_asked_again_with_the_same_rows() -> None:
    ports = FakePorts(recorded={0: recorded(0, 1)})
    ports.fails("store", StoreUnavailable("no node"))

    async def main() -> None:
        one, micro_batch = pipeline(ports, 0), round_of(batch(0, 1, 2))
        await one.claim()
        await one.decide(micro_batch)
        await one.publish(micro_batch)
        with pytest.raises(StoreUnavailable):
            await one.store([micro_batch])
        await one.store([micro_batch])

    run(main())
    assert ids(ports.stored) == ["p0o1", "p0o2"]


def test_too_few_answers_are_a_fault_and_no_transaction_is_passed_over() -> None:
    ports = FakePorts()

    async def one_answer(*_: Any) -> Sequence[Assessment]:
        return [GOOD]

    ports.assess = one_answer  # type: ignore[assignment, method-assign]
    with pytest.raises(ValueError, match="shorter"):
        through(ports, round_of(batch(0, 1, 2)))


def test_an_antifraud_that_is_back_within_the_patience_decides() -> None:
    ports = FakePorts()
    ports.fails("assess", *[AntifraudUnavailable("no replica")] * 4)
    through(ports, round_of(batch(0, 1)))
    assert [one["status"] for one in ports.stored] == ["accepted"]
    pauses = [after - before for before, after in itertools.pairwise(ports.tries)]
    assert all(most / 2 <= pause <= most for pause, most in zip(pauses, (0.05, 0.1, 0.2, 0.4), strict=True))


def test_when_nobody_answers_for_the_patience_it_is_rejected_with_the_reason() -> None:
    ports = FakePorts()
    ports.antifraud_is_down = True
    through(ports, round_of(batch(0, 1, 2)))
    assert {(one["status"], one["reason"], one["score"]) for one in ports.stored} == {
        ("rejected", "antifraud_unavailable", None)
    }
    assert ids(list(ports.published.values())) == ["p0o1", "p0o2"]
    assert len(ports.tries) > 5
    assert 3.9 < ports.tries[-1] <= 5


def test_from_then_on_there_is_one_try_per_micro_batch_and_one_line_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    ports = FakePorts()
    ports.antifraud_is_down = True
    tries: list[int] = []

    async def main() -> None:
        one = pipeline(ports, 0)
        await one.claim()
        for offset in range(1, 6):
            await one.decide(round_of(batch(0, offset)))
            tries.append(len(ports.tries))
            await asyncio.sleep(3)

    run(main())
    assert [later - earlier for earlier, later in itertools.pairwise(tries)] == [1] * 4
    (line,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert "antifraud_unavailable" in line.getMessage()


def test_a_new_outage_gets_the_whole_patience_again() -> None:
    ports = FakePorts()
    began: list[float] = []

    async def main() -> None:
        one = pipeline(ports, 0)
        await one.claim()
        for offset, down in enumerate((True, False, True), start=1):
            ports.antifraud_is_down = down
            began.append(now())
            await one.decide(round_of(batch(0, offset)))
            began.append(now())

    run(main())
    assert began[1] - began[0] > 3.9
    assert began[5] - began[4] > 3.9


def test_an_outage_that_nobody_has_seen_for_long_gets_the_whole_patience_again() -> None:
    ports = FakePorts()

    async def main() -> None:
        one = pipeline(ports, 0)
        await one.claim()
        ports.antifraud_is_down = True
        await one.decide(round_of(batch(0, 1)))
        await asyncio.sleep(3600)  # nothing to assess; antifraud comes back, unseen
        ports.antifraud_is_down = False
        ports.fails("assess", AntifraudUnavailable("a blink"))
        await one.decide(round_of(batch(0, 2)))
        assert ports.asked == ["p0o2"]

    run(main())


def test_by_the_setting_nothing_is_decided_while_antifraud_is_down() -> None:
    ports = FakePorts()
    ports.antifraud_is_down = True

    async def main() -> None:
        one, micro_batch = pipeline(ports, 0, when_down="hold"), round_of(batch(0, 1))
        await one.claim()
        for _ in range(3):
            with pytest.raises(AntifraudUnavailable):
                await one.decide(micro_batch)
            await asyncio.sleep(60)
        assert micro_batch.work is None
        ports.antifraud_is_down = False
        await one.decide(micro_batch)

    run(main())
    assert ports.asked == ["p0o1"]
    assert len(ports.tries) == 4


def test_the_log_shows_what_was_stored(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "transactions")
    through(FakePorts(recorded={0: recorded(0, 1)}), round_of(batch(0, 1, 2)))
    assert [record.getMessage() for record in caplog.records if record.name == "transactions"] == [
        "transaction p0o1 rejected",
        "transaction p0o2 accepted",
    ]


class OneFault(FakePorts):
    """Antifraud's client has a bug for one transaction."""

    faulty = name(0, 2)

    async def assess(self, transactions: Sequence[Transaction], features: Features) -> Sequence[Assessment]:
        if any(one["transaction_id"] == self.faulty for one in transactions):
            raise OverflowError("a bug")
        return await super().assess(transactions, features)


def test_a_record_that_raises_a_bug_is_alone_a_dead_letter_after_some_tries() -> None:
    ports = OneFault()
    ports.fails("assess", None, LogUnavailable("an outage meanwhile"))

    async def main() -> None:
        one, micro_batch = pipeline(ports, 0, 1), round_of(batch(0, 1, 2, 3), batch(1, 5))
        await one.claim()
        failed: list[str] = []
        for _ in range(10):
            try:
                await one.decide(micro_batch)
                break
            except Exception as exc:  # noqa: BLE001  # as delivery does
                failed.append(type(exc).__name__)
        assert failed == ["OverflowError"] * 3 + ["LogUnavailable"]
        await one.publish(micro_batch)
        await one.store([micro_batch])

    run(main())
    assert [(one.record.offset, one.reason) for one in ports.dead_lettered] == [(2, "OverflowError: a bug")]  # type: ignore[attr-defined]
    assert ids(ports.stored) == ["p0o1", "p0o3", "p1o5"]
    assert sorted(ports.log) == [(0, ["p0o1", "p0o3"]), (1, ["p1o5"])]


def poison(partition: int, *offsets: int) -> Batch:
    return batch(partition, *offsets, **{f"o{offset}": Poison("no Avro") for offset in offsets})


def test_a_hundred_dead_letters_in_a_row_are_written_and_one_more_is_held_with_one_alarm(
    caplog: pytest.LogCaptureFixture,
) -> None:
    ports = FakePorts()

    async def main() -> None:
        one = pipeline(ports, 0, 1)
        await one.claim()
        await driven(one, round_of(poison(0, *range(100)), poison(1, *range(100))))
        for _ in range(3):
            with pytest.raises(TooManyDeadLetters, match="101 dead letters in a row"):
                await driven(one, round_of(poison(0, 100)))

    run(main())
    assert len(ports.dead_lettered) == 200
    (alarm,) = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert "MAX_DEAD_LETTERS_IN_A_ROW" in alarm
    assert "no Avro" in alarm


def test_a_good_record_between_ends_the_row_and_half_of_the_last_thousand_is_the_most() -> None:
    ports = FakePorts()

    async def main() -> None:
        one = pipeline(ports, 0)
        await one.claim()
        for start in range(0, 3000, 2):
            await driven(one, round_of(batch(0, start), poison(0, start + 1)))
        with pytest.raises(TooManyDeadLetters, match="501 of the last 1,000"):
            await driven(one, round_of(poison(0, 3000, 3001)))

    run(main())
    assert len(ports.dead_lettered) == 1500
