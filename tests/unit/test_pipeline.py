"""What happens to a transaction: decided once, told, stored; poison aside; nobody asked twice."""

import asyncio
import itertools
import logging
from collections.abc import Sequence
from typing import Any

import pytest

from app.assessment.fallback import WhenDown
from app.errors import AntifraudUnavailable, LogUnavailable, Poison, StoreUnavailable, TooManyDeadLetters
from app.models.assessment import Assessment
from app.models.status import TransactionStatus
from app.models.transaction import Transaction
from app.observability.transaction_logger import Narrator
from app.processing.batch_processor import Batch, Round
from app.processing.deduplication import Place
from app.processing.pipeline import Claimed, DeadLetter, Pipeline
from tests.unit.samples import BAD, GOOD, Record, status, transaction
from tests.unit.virtual_time import now, run


class FakeDoors:
    """A world in which a record's value is its transaction already, and what fails is said beforehand."""

    def __init__(self, *, recorded: dict[int, dict[int, TransactionStatus]] | None = None) -> None:
        self.recorded = recorded or {}
        self.failing: dict[str, list[Exception | None]] = {}
        self.antifraud_is_down = False
        self.says: Assessment = GOOD
        self.calls: list[str] = []
        self.asked: list[str] = []
        self.claimed: list[int] = []
        self.partitions = 4
        self.older_than_ms: int | None = None
        self.elsewhere: set[str] = set()
        self.placed: dict[Place, TransactionStatus | Poison] = {}
        self.tries: list[float] = []
        self.log: list[tuple[int, list[str]]] = []
        self.told: dict[str, TransactionStatus] = {}
        self.buried: list[DeadLetter] = []
        self.stored: list[TransactionStatus] = []

    def fails(self, door: str, *outcomes: Exception | None) -> None:
        """The next calls of a door: an error each, None for a call that works."""
        self.failing[door] = list(outcomes)

    def _called(self, door: str) -> None:
        self.calls.append(door)
        failure = self.failing[door].pop(0) if self.failing.get(door) else None
        if failure:
            raise failure

    async def decode(self, values: Sequence[Any]) -> list[Transaction | Poison]:
        self._called("decode")
        return list(values)

    async def claim(self, partition: int, from_offset: int | None, read_to: int, most: int) -> Claimed:
        self._called(f"claim {partition} from {from_offset}")
        await asyncio.sleep(partition)
        self.claimed.append(partition)
        for offset, verdict in self.recorded.get(partition, {}).items():
            self.placed[partition, offset] = verdict
        there = sorted(
            (offset, one["transaction_id"])
            for (number, offset), one in self.placed.items()
            if number == partition and not isinstance(one, Poison)
        )
        return Claimed({id_: offset for offset, id_ in reversed(there)}, 10_000, self.older_than_ms)

    async def statuses_at(self, places: Sequence[Place]) -> dict[Place, TransactionStatus | Poison]:
        self._called("statuses")
        return {place: self.placed[place] for place in places if place in self.placed}

    async def look_up(self, partition: int, transactions: Sequence[Transaction]) -> list[TransactionStatus]:
        ids = {one["transaction_id"] for one in transactions}
        self._called(f"look up {' '.join(sorted(ids))} in {partition}")
        return [one for one in self.stored if one["transaction_id"] in ids]

    def is_elsewhere(self, partition: int, transaction_id: str) -> bool:
        return transaction_id in self.elsewhere

    async def assess(self, transactions: Sequence[Transaction]) -> Sequence[Assessment]:
        self.tries.append(now())
        self._called("assess")
        if self.antifraud_is_down:
            raise AntifraudUnavailable("no replica")
        self.asked += [one["transaction_id"] for one in transactions]
        return [self.says] * len(transactions)

    async def tell(self, partition: int, statuses: Sequence[TransactionStatus]) -> Sequence[int]:
        self._called(f"tell {partition}")
        await asyncio.sleep(partition)
        self.log.append((partition, [one["transaction_id"] for one in statuses]))
        self.told |= {one["transaction_id"]: one for one in statuses}
        offsets = range(1000 + len(self.told), 1000 + len(self.told) + len(statuses))
        self.placed |= {(partition, offset): one for offset, one in zip(offsets, statuses, strict=True)}
        return offsets

    async def bury(self, letters: Sequence[DeadLetter]) -> None:
        self._called("bury")
        self.buried += letters

    async def store(self, statuses: Sequence[TransactionStatus]) -> None:
        self._called("store")
        self.stored += statuses


def name(partition: int, offset: int) -> str:
    return f"p{partition}o{offset}"


def batch(partition: int, *offsets: int, **instead: Any) -> Batch:
    """Good records at these offsets; `instead` puts another value at one, as o3=…"""
    values = {o: instead.get(f"o{o}", transaction(transaction_id=name(partition, o))) for o in offsets}
    records = [Record(offset, value) for offset, value in values.items()]
    return Batch("transaction_created", partition, records, offsets[-1] + 1, 1)


def recorded(partition: int, *offsets: int) -> dict[int, TransactionStatus]:
    """Verdicts in the log that no replica would give today."""
    return {
        o: status(transaction(transaction_id=name(partition, o)), o, status="rejected", score=0.123)
        for o in offsets
    }


def round_of(*batches: Batch, first: bool = True) -> Round:
    partitions = frozenset((b.topic, b.partition) for b in batches)
    return Round(list(batches), 1, partitions if first else frozenset())


def pipeline(doors: FakeDoors, when_down: WhenDown = "reject", patience: float = 5.0) -> Pipeline:
    return Pipeline(doors, Narrator(each=False), when_down=when_down, patience=patience)


def through(doors: FakeDoors, *rounds: Round, when_down: WhenDown = "reject") -> None:
    """Drive rounds through the three steps, each once."""

    async def main() -> None:
        one = pipeline(doors, when_down)
        for round_ in rounds:
            await one.decide(round_)
            await one.tell(round_)
            await one.store(round_)

    run(main())


def ids(statuses: Sequence[TransactionStatus]) -> list[str]:
    return [one["transaction_id"] for one in statuses]


def test_a_round_is_assessed_in_one_call_told_by_partition_and_stored_in_one_call() -> None:
    doors = FakeDoors()
    through(doors, round_of(batch(0, 1, 2), batch(3, 8)))
    assert doors.asked == ids(doors.stored) == ["p0o1", "p0o2", "p3o8"]
    assert sorted(doors.log) == [(0, ["p0o1", "p0o2"]), (3, ["p3o8"])]
    assert doors.calls.count("assess") == doors.calls.count("store") == 1
    assert doors.calls.index("assess") < doors.calls.index("tell 0") < doors.calls.index("store")


def test_what_is_told_names_its_source_and_is_what_is_stored() -> None:
    doors = FakeDoors()
    through(doors, round_of(batch(3, 8)))
    told = doors.told["p3o8"]
    assert (told["source_partition"], told["source_offset"], told["revision"]) == (3, 8, 1)
    assert (told["status"], told["score"], told["replica"]) == ("accepted", 0.9, "antifraud-1")
    assert doors.stored == [told]


def test_a_recorded_verdict_is_repeated_and_nobody_is_asked() -> None:
    doors = FakeDoors(recorded={0: recorded(0, 1, 2)})
    through(doors, round_of(batch(0, 1, 2)))
    assert doors.asked == []
    assert doors.log == []
    assert doors.stored == list(recorded(0, 1, 2).values())


def test_only_what_has_no_recorded_verdict_is_assessed_and_told() -> None:
    doors = FakeDoors(recorded={0: recorded(0, 1, 3)})
    through(doors, round_of(batch(0, 1, 2, 3, 4), batch(1, 1)))
    assert doors.asked == ["p0o2", "p0o4", "p1o1"]
    assert sorted(doors.log) == [(0, ["p0o2", "p0o4"]), (1, ["p1o1"])]
    assert sorted(ids(doors.stored)) == ["p0o1", "p0o2", "p0o3", "p0o4", "p1o1"]
    assert {one["transaction_id"]: one["status"] for one in doors.stored}["p0o3"] == "rejected"


def test_a_verdict_on_another_transaction_at_the_same_offset_is_none() -> None:
    # transaction_created was lost and made anew, transaction_status was not
    old = {7: status(transaction(transaction_id="old"), 7, status="rejected")}
    doors = FakeDoors(recorded={0: old})
    through(doors, round_of(batch(0, 7)))
    assert doors.asked == ids(doors.stored) == list(doors.told) == ["p0o7"]


def test_nor_is_it_one_after_a_failed_tell() -> None:
    doors = FakeDoors(recorded={0: {7: status(transaction(transaction_id="old"), 7, status="rejected")}})
    doors.fails("tell 0", LogUnavailable("slow"))
    assert tell_until_done(doors, batch(0, 7)) == 2
    assert list(doors.told) == ["p0o7"]


def test_a_recorded_verdict_stands_also_while_antifraud_is_down() -> None:
    doors = FakeDoors(recorded={0: recorded(0, 1)})
    doors.antifraud_is_down = True
    through(doors, round_of(batch(0, 1)))
    assert [one["score"] for one in doors.stored] == [0.123]
    assert doors.tries == []


def test_a_partitions_verdicts_are_read_for_its_first_batch_and_serve_later_ones() -> None:
    doors = FakeDoors(recorded={0: recorded(0, 1, 2, 5)})
    through(
        doors,
        round_of(batch(0, 1)),
        round_of(batch(0, 2, 3), first=False),
        round_of(batch(0, 5, 6), first=False),
    )
    assert [call for call in doors.calls if call.startswith("claim")] == ["claim 0 from 1"]
    assert doors.asked == ["p0o3", "p0o6"]


def test_a_partition_that_comes_back_is_claimed_again() -> None:
    doors = FakeDoors()
    one = round_of(batch(0, 1))
    through(doors, one)
    doors.recorded = {0: recorded(0, 1)}
    through(doors, round_of(batch(0, 1)))
    assert doors.asked == ["p0o1"]
    assert doors.stored[-1]["score"] == 0.123


def test_without_the_claim_nobody_is_asked() -> None:
    doors = FakeDoors()
    doors.fails("claim 0 from 1", LogUnavailable("Kafka is down"))
    with pytest.raises(LogUnavailable):
        through(doors, round_of(batch(0, 1)))
    assert doors.tries == []


def test_a_claim_that_failed_is_not_begun_again_beside_the_others_of_its_round() -> None:
    doors = FakeDoors()
    doors.fails("claim 0 from 1", LogUnavailable("slow"))

    async def main() -> None:
        one, round_ = pipeline(doors), round_of(batch(0, 1), batch(3, 1))
        with pytest.raises(LogUnavailable):
            await one.decide(round_)
        assert doors.claimed == [3]

    run(main())


def test_deciding_again_after_a_failure_repeats_nothing_of_what_was_decided() -> None:
    doors = FakeDoors(recorded={0: recorded(0, 1)})
    doors.fails("decode", None, LogUnavailable("the registry is down"))

    async def main() -> None:
        one, round_ = pipeline(doors), round_of(batch(0, 1), batch(1, 1))
        with pytest.raises(LogUnavailable):
            await one.decide(round_)
        await one.decide(round_)
        await one.tell(round_)
        await one.store(round_)

    run(main())
    assert doors.asked == ["p1o1"]
    assert sorted(ids(doors.stored)) == ["p0o1", "p1o1"]


POISON = Poison("first byte is 123, not 0")


def test_poison_goes_to_a_dead_letter_with_its_reason_and_the_others_go_on() -> None:
    doors = FakeDoors()
    poisoned = batch(2, 1, 2, 3, o2=POISON)
    through(doors, round_of(poisoned))
    assert doors.buried == [DeadLetter(poisoned.records[1], 2, "first byte is 123, not 0")]
    assert doors.asked == ids(doors.stored) == ["p2o1", "p2o3"]


def test_a_value_no_row_can_hold_is_poison_and_antifraud_does_not_see_it() -> None:
    doors = FakeDoors()
    through(doors, round_of(batch(0, 1, 2, o1=transaction(latitude=float("nan")))))
    assert [letter.reason for letter in doors.buried] == ["latitude is not a finite number"]
    assert doors.asked == ["p0o2"]


def test_a_round_of_poison_alone_asks_tells_and_stores_nothing() -> None:
    doors = FakeDoors()
    through(doors, round_of(batch(0, 1, 2, o1=POISON, o2=POISON)))
    assert len(doors.buried) == 2
    assert doors.calls == ["claim 0 from 1", "decode", "bury"]


def tell_until_done(doors: FakeDoors, *batches: Batch) -> int:
    """Decide once, then tell until it works; gives the tries."""

    async def main() -> int:
        one, round_ = pipeline(doors), round_of(*batches)
        await one.decide(round_)
        for tries in range(1, 10):
            try:
                await one.tell(round_)
            except LogUnavailable:
                continue
            return tries
        raise AssertionError("never told")

    return run(main())


DOWN = LogUnavailable("not enough replicas")


def test_a_repeated_tell_tells_only_the_partitions_not_yet_told() -> None:
    doors = FakeDoors()
    doors.fails("tell 1", DOWN, DOWN)
    assert tell_until_done(doors, batch(0, 1), batch(1, 1), batch(2, 1)) == 3
    assert sorted(doors.log) == [(0, ["p0o1"]), (1, ["p1o1"]), (2, ["p2o1"])]
    assert doors.calls.count("tell 0") == 1


def test_a_failed_partition_waits_for_the_others_calls_to_end() -> None:
    doors = FakeDoors()
    doors.fails("tell 0", DOWN)
    assert tell_until_done(doors, batch(0, 1), batch(1, 1)) == 2
    assert doors.calls.count("tell 1") == 1


def test_a_repeated_tell_says_the_same() -> None:
    doors = FakeDoors()
    doors.fails("tell 0", DOWN)

    async def main() -> None:
        one, round_ = pipeline(doors), round_of(batch(0, 1))
        await one.decide(round_)
        verdicts = list(round_.work.to_tell[0])
        doors.says = BAD
        with pytest.raises(LogUnavailable):
            await one.tell(round_)
        await one.tell(round_)
        assert list(doors.told.values()) == verdicts

    run(main())


def test_after_a_failed_tell_the_log_is_asked_and_what_it_has_stands() -> None:
    """The try may have reached the log after all, or a worker that had the partition meanwhile decided otherwise."""
    doors = FakeDoors()
    doors.fails("tell 0", DOWN)
    in_the_log = recorded(0, 1)

    async def main() -> None:
        one, round_ = pipeline(doors), round_of(batch(0, 1, 2))
        await one.decide(round_)
        with pytest.raises(LogUnavailable):
            await one.tell(round_)
        doors.recorded = {0: in_the_log}
        await one.tell(round_)
        await one.store(round_)

    run(main())
    assert doors.log == [(0, ["p0o2"])]
    assert doors.stored[0] == in_the_log[1]
    assert ids(doors.stored) == ["p0o1", "p0o2"]


def test_a_worker_that_slept_past_its_session_tells_nothing_that_another_has_told() -> None:
    """Also of the next round, which it had decided already when it fell asleep."""
    doors = FakeDoors()
    doors.fails("tell 0", LogUnavailable("fenced"))
    by_the_other = recorded(0, 1, 2, 3)

    async def main() -> None:
        one = pipeline(doors)
        first, second = round_of(batch(0, 1)), round_of(batch(0, 2, 3), first=False)
        await one.decide(first)
        await one.decide(second)
        doors.recorded = {0: by_the_other}
        with pytest.raises(LogUnavailable):
            await one.tell(first)
        for round_ in (first, second):
            await one.tell(round_)
            await one.store(round_)

    run(main())
    assert doors.log == []
    assert doors.stored == list(by_the_other.values())


def test_a_dead_letter_is_not_buried_twice_when_the_tell_is_repeated() -> None:
    doors = FakeDoors()
    doors.fails("tell 0", DOWN)
    assert tell_until_done(doors, batch(0, 1, 2, o1=POISON)) == 2
    assert len(doors.buried) == 1


def test_nothing_is_told_before_the_dead_letters_are_safe() -> None:
    doors = FakeDoors()
    doors.fails("bury", DOWN)
    assert tell_until_done(doors, batch(0, 1, 2, o1=POISON)) == 2
    assert doors.calls[-3:] == ["bury", "bury", "tell 0"]


def test_a_store_that_fails_is_asked_again_with_the_same_rows() -> None:
    doors = FakeDoors(recorded={0: recorded(0, 1)})
    doors.fails("store", StoreUnavailable("no node"))

    async def main() -> None:
        one, round_ = pipeline(doors), round_of(batch(0, 1, 2))
        await one.decide(round_)
        await one.tell(round_)
        with pytest.raises(StoreUnavailable):
            await one.store(round_)
        await one.store(round_)

    run(main())
    assert ids(doors.stored) == ["p0o1", "p0o2"]


def test_too_few_answers_are_a_fault_and_no_transaction_is_passed_over() -> None:
    doors = FakeDoors()

    async def one_answer(transactions: Sequence[Transaction]) -> Sequence[Assessment]:
        return [GOOD]

    doors.assess = one_answer  # type: ignore[method-assign]
    with pytest.raises(ValueError, match="shorter"):
        through(doors, round_of(batch(0, 1, 2)))


def test_an_antifraud_that_is_back_within_the_patience_decides() -> None:
    doors = FakeDoors()
    doors.fails("assess", *[AntifraudUnavailable("no replica")] * 4)
    through(doors, round_of(batch(0, 1)))
    assert [one["status"] for one in doors.stored] == ["accepted"]
    assert doors.tries == pytest.approx([0, 0.05, 0.15, 0.35, 0.75])


def test_when_nobody_answers_for_the_patience_it_is_rejected_with_the_reason() -> None:
    doors = FakeDoors()
    doors.antifraud_is_down = True
    through(doors, round_of(batch(0, 1, 2)))
    assert {(one["status"], one["reason"], one["score"]) for one in doors.stored} == {
        ("rejected", "antifraud_unavailable", None)
    }
    assert ids(list(doors.told.values())) == ["p0o1", "p0o2"]
    assert len(doors.tries) > 5
    assert 3.9 < doors.tries[-1] <= 5


def test_from_then_on_there_is_one_try_a_round_and_one_line_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    doors = FakeDoors()
    doors.antifraud_is_down = True
    tries: list[int] = []

    async def main() -> None:
        one = pipeline(doors)
        for offset in range(1, 6):
            await one.decide(round_of(batch(0, offset)))
            tries.append(len(doors.tries))
            await asyncio.sleep(3)

    run(main())
    assert [later - earlier for earlier, later in itertools.pairwise(tries)] == [1] * 4
    (line,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert "antifraud_unavailable" in line.getMessage()


def test_a_new_outage_gets_the_whole_patience_again() -> None:
    doors = FakeDoors()
    began: list[float] = []

    async def main() -> None:
        one = pipeline(doors)
        for offset, down in enumerate((True, False, True), start=1):
            doors.antifraud_is_down = down
            began.append(now())
            await one.decide(round_of(batch(0, offset)))
            began.append(now())

    run(main())
    assert began[1] - began[0] > 3.9
    assert began[5] - began[4] > 3.9


def test_an_outage_that_nobody_has_seen_for_long_gets_the_whole_patience_again() -> None:
    doors = FakeDoors()

    async def main() -> None:
        one = pipeline(doors)
        doors.antifraud_is_down = True
        await one.decide(round_of(batch(0, 1)))
        await asyncio.sleep(3600)  # nothing to assess; antifraud comes back, unseen
        doors.antifraud_is_down = False
        doors.fails("assess", AntifraudUnavailable("a blink"))
        await one.decide(round_of(batch(0, 2)))
        assert doors.asked == ["p0o2"]

    run(main())


def test_by_the_setting_nothing_is_decided_while_antifraud_is_down() -> None:
    doors = FakeDoors()
    doors.antifraud_is_down = True

    async def main() -> None:
        one, round_ = pipeline(doors, "hold"), round_of(batch(0, 1))
        for _ in range(3):
            with pytest.raises(AntifraudUnavailable):
                await one.decide(round_)
            await asyncio.sleep(60)
        assert round_.work is None
        doors.antifraud_is_down = False
        await one.decide(round_)

    run(main())
    assert doors.asked == ["p0o1"]
    assert len(doors.tries) == 4


def test_the_log_tells_what_was_stored(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "transactions")
    through(FakeDoors(recorded={0: recorded(0, 1)}), round_of(batch(0, 1, 2)))
    assert [record.getMessage() for record in caplog.records if record.name == "transactions"] == [
        "transaction p0o1 rejected",
        "transaction p0o2 accepted",
    ]


class OneFault(FakeDoors):
    """Antifraud's client has a bug for one transaction."""

    faulty = name(0, 2)

    async def assess(self, transactions: Sequence[Transaction]) -> Sequence[Assessment]:
        if any(one["transaction_id"] == self.faulty for one in transactions):
            raise OverflowError("a bug")
        return await super().assess(transactions)


def test_a_record_that_raises_a_bug_is_alone_a_dead_letter_after_some_tries() -> None:
    doors = OneFault()
    doors.fails("assess", None, LogUnavailable("an outage meanwhile"))

    async def main() -> None:
        one, round_ = pipeline(doors), round_of(batch(0, 1, 2, 3), batch(1, 5))
        failed: list[str] = []
        for _ in range(10):
            try:
                await one.decide(round_)
                break
            except Exception as exc:  # noqa: BLE001  # as delivery does
                failed.append(type(exc).__name__)
        assert failed == ["OverflowError"] * 3 + ["LogUnavailable"]
        await one.tell(round_)
        await one.store(round_)

    run(main())
    assert [(one.record.offset, one.reason) for one in doors.buried] == [(2, "OverflowError: a bug")]  # type: ignore[attr-defined]
    assert ids(doors.stored) == ["p0o1", "p0o3", "p1o5"]
    assert sorted(doors.log) == [(0, ["p0o1", "p0o3"]), (1, ["p1o5"])]


def poison(partition: int, *offsets: int) -> Batch:
    return batch(partition, *offsets, **{f"o{offset}": Poison("no Avro") for offset in offsets})


async def driven(one: Pipeline, round_: Round) -> None:
    await one.decide(round_)
    await one.tell(round_)
    await one.store(round_)


def test_a_hundred_dead_letters_in_a_row_are_written_and_one_more_is_held_with_one_alarm(
    caplog: pytest.LogCaptureFixture,
) -> None:
    doors = FakeDoors()

    async def main() -> None:
        one = pipeline(doors)
        await driven(one, round_of(poison(0, *range(100)), poison(1, *range(100))))
        for _ in range(3):
            with pytest.raises(TooManyDeadLetters, match="101 dead letters in a row"):
                await driven(one, round_of(poison(0, 100), first=False))

    run(main())
    assert len(doors.buried) == 200
    (alarm,) = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert "DEAD_LETTERS_IN_A_ROW" in alarm
    assert "no Avro" in alarm


def test_a_good_record_between_ends_the_row_and_half_of_the_last_thousand_is_the_most() -> None:
    doors = FakeDoors()

    async def main() -> None:
        one = pipeline(doors)
        for start in range(0, 3000, 2):
            await driven(one, round_of(batch(0, start), poison(0, start + 1), first=False))
        with pytest.raises(TooManyDeadLetters, match="501 of the last 1,000"):
            await driven(one, round_of(poison(0, 3000, 3001), first=False))

    run(main())
    assert len(doors.buried) == 1500
