"""What is known of merchants is a function of the log, whoever writes it down, in whatever pieces and however often."""

import asyncio
from collections.abc import Callable, Sequence
from itertools import product
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.commands.verify.merchants import RecordedMerchants, StretchCheck
from app.errors import LogUnavailable
from app.messaging import topics
from app.messaging.codec import Codec
from app.models.merchant_totals import Stretch, of_labels, of_statuses
from app.models.status import TransactionStatus
from app.processing import merchant_totals
from app.processing.known_merchants import MOST, WARM_UP, KnownMerchants
from app.processing.merchant_totals import AFTER_MIDNIGHT, IDLE, MerchantTotalsKeeper
from history.features import FEATURES, MERCHANT_FEATURES, UNKNOWN
from history.merchant_totals import BYTES_MOST, HELD_MOST, KEPT_MOST, MerchantTotals
from history.transactions import DAY
from tests.unit.samples import status, transaction

DAY_0 = 20_000
Features = dict[str, int]


def sold(
    day: int, merchant: str = "m", cents: int = 100, *, known: bool = False, **changes: Any
) -> TransactionStatus:
    """A first verdict on a transaction of that day, 0 being some day of 2024; `known`: the customer had been there."""
    one = status(
        transaction(
            transaction_id=changes.pop("transaction_id", f"{merchant} {day} {cents}"),
            merchant_id=merchant,
            value_in_cents=cents,
            event_timestamp=(DAY_0 + day) * DAY + 5,
        ),
        0,
    )
    history = {**dict.fromkeys(FEATURES, UNKNOWN), "known": 1, "new_merchant": 0 if known else 1}
    return {**one, "history": history, **changes}  # type: ignore[typeddict-item]


def labelled(day: int, merchant: str = "m", label: str = "fraud", **changes: Any) -> dict[str, Any]:
    """What somebody said on that day of a transaction of the day before."""
    return {
        "transaction_id": f"{merchant} {day}", "label": label, "labelled_at": (DAY_0 + day) * DAY * 1000,
        "replaced_label": None, "replaced_at": None, "customer_id": "c", "merchant_id": merchant,
        "event_timestamp": (DAY_0 + day - 1) * DAY, "value_in_cents": 100, **changes,
    }  # fmt: skip


class Topics:
    """A Kafka in memory: partitions of each topic as lists, a record's offset being its index."""

    def __init__(self, partitions: int = 2) -> None:
        self.of: dict[tuple[str, int], list[Any]] = {}
        self.partitions = partitions
        self.is_down = False
        self.is_open = True
        self.reads: list[tuple[str, int, int]] = []
        self.meanwhile: Callable[[], None] = lambda: None
        self.once_its_end_is_known: Callable[[], None] = lambda: None
        self.while_it_is_written: Callable[[], None] = lambda: None
        self.producer = self.tail = self
        self.status = self.label = self.merchant_totals = self

    def at(self, topic: str, partition: int) -> list[Any]:
        return self.of.setdefault((topic, partition), [])

    @staticmethod
    async def decode(values: Sequence[Any]) -> list[Any]:
        return list(values)

    @staticmethod
    def encode(value: Any) -> Any:
        return value

    async def read_on(
        self, topic: str, partition: int, since: int, take: Callable[[Any], Any], *, most: int | None = None
    ) -> int:
        if self.is_down:
            raise LogUnavailable("down")
        found = self.at(topic, partition)
        self.reads.append((topic, partition, since))
        if topic == topics.STATUS:
            self.meanwhile()
        end = len(found) if most is None else min(len(found), since + most)
        if topic == topics.STATUS:
            self.once_its_end_is_known()
        records = [SimpleNamespace(offset=n, value=found[n]) for n in range(since, end)]
        if records:
            await take(records)
        return end

    async def partition_counts(self, names: Sequence[str]) -> list[int]:
        return [self.partitions for _ in names]

    async def publish_batch(self, topic: str, partition: int, records: Sequence[Any]) -> None:
        if self.is_down:
            raise LogUnavailable("down")
        self.while_it_is_written()
        self.at(topic, partition).extend(value for _, value, _ in records)

    @property
    def written(self) -> list[Stretch]:
        return self.at(topics.MERCHANT_TOTALS, 0)

    def decided(self, partition: int, *statuses: TransactionStatus) -> list[int]:
        log = self.at(topics.STATUS, partition)
        log.extend(statuses)
        return list(range(len(log) - len(statuses), len(log)))


@pytest.fixture(autouse=True)
def _at_full_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merchant_totals, "TURN_BUSY", 0)
    monkeypatch.setattr(merchant_totals, "TURN_IDLE", 0)
    monkeypatch.setattr(merchant_totals, "NEWS_EVERY", 0)


def worker(log: Topics, *partitions: int) -> MerchantTotalsKeeper:
    keeper = MerchantTotalsKeeper(log)  # type: ignore[arg-type]
    keeper.assigned(partitions)
    return keeper


def rounds(*keepers: MerchantTotalsKeeper, now: float = 0.0) -> None:
    for keeper in keepers:
        asyncio.run(keeper.round(now))


def features(known: KnownMerchants, day: int, merchant: str = "m") -> Features | None:
    rows = known.features([merchant], [(DAY_0 + day) * DAY])
    return None if rows is None else dict(zip(MERCHANT_FEATURES, rows[0].tolist(), strict=True))


def warm(known: KnownMerchants) -> None:
    """A log that is old enough."""
    totals = MerchantTotals()
    totals.add(sold(-WARM_UP, "long ago"), is_first_visit=True)
    known.fold([(known.folded_to, of_statuses(99, 0, 1, totals))], known.folded_to + 1)


def test_of_a_day_that_is_over_every_worker_knows_what_merchants_did_in_all_partitions() -> None:
    log = Topics()
    log.decided(
        0, sold(0, "old"), sold(WARM_UP, cents=300), sold(WARM_UP, cents=500, known=True), sold(WARM_UP + 1)
    )
    log.decided(1, sold(WARM_UP, cents=100), sold(WARM_UP + 1))
    one, other = worker(log, 0), worker(log, 1)
    rounds(one, other, one)
    for keeper in (one, other):
        found = features(keeper.known, WARM_UP + 1)
        assert found is not None
        assert (found["merchant_count_1d"], found["merchant_mean"], found["merchant_customers"]) == (
            3,
            300,
            2,
        )


def test_of_the_day_that_goes_on_nothing_is_known() -> None:
    log = Topics()
    log.decided(0, sold(0, "old"), sold(WARM_UP), sold(WARM_UP))
    keeper = worker(log, 0)
    rounds(keeper)
    found = features(keeper.known, WARM_UP)
    assert found is not None
    assert found["merchant_count_30d"] == 0


def bounds(log: Topics) -> list[tuple[int, int]]:
    return [(one["from_offset"], one["to_offset"]) for one in log.written]


def test_a_stretch_ends_with_the_day_and_where_somebody_had_to_read_the_log() -> None:
    log = Topics()
    log.decided(0, sold(0), sold(1), sold(1))
    keeper = worker(log, 0)
    rounds(keeper)
    assert bounds(log) == [(0, 1), (1, 3)]
    keeper.published(0, log.decided(0, sold(1)), [sold(1)])
    rounds(keeper)
    assert bounds(log) == [(0, 1), (1, 3)]
    keeper.published(0, log.decided(0, sold(2)), [sold(2)])
    rounds(keeper)
    assert bounds(log) == [(0, 1), (1, 3), (3, 4)]
    log.reads.clear()
    rounds(worker(log, 0))
    assert [since for topic, _, since in log.reads if topic == topics.STATUS] == [4]


def test_what_a_worker_that_stops_hands_over_is_not_read_again_by_the_next_one() -> None:
    log = Topics()
    keeper = worker(log, 0, 1)
    rounds(keeper)
    keeper.published(0, log.decided(0, sold(0), sold(1)), [sold(0), sold(1)])
    keeper.published(1, log.decided(1, sold(1)), [sold(1)])
    asyncio.run(keeper.hand_over())
    assert sorted(bounds(log)) == [(0, 1), (0, 1), (1, 2)]
    log.reads.clear()
    rounds(worker(log, 0, 1))
    assert [read for read in log.reads if read[0] == topics.STATUS] == [
        (topics.STATUS, 0, 2),
        (topics.STATUS, 1, 1),
    ]
    assert check(log) == []


def test_what_goes_to_another_worker_is_handed_over_after_the_rebalance_and_what_stays_goes_on() -> None:
    log = Topics()
    keeper = worker(log, 0, 1)
    rounds(keeper)
    keeper.published(0, log.decided(0, sold(0)), [sold(0)])
    keeper.published(1, log.decided(1, sold(0)), [sold(0)])
    keeper.assigned([1])
    assert log.written == [], "no rebalance waits for Kafka"
    rounds(keeper)
    assert [(one["partition"], one["to_offset"]) for one in log.written] == [(0, 1)]
    rounds(keeper)
    assert len(log.written) == 1


def test_it_is_handed_over_at_once_and_not_at_the_next_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merchant_totals, "EVERY", 60.0)
    log = Topics()
    keeper = worker(log, 0)

    async def main() -> None:
        running = asyncio.create_task(keeper.run())
        await asyncio.sleep(0.01)
        keeper.published(0, log.decided(0, sold(0)), [sold(0)])
        keeper.assigned([])
        async with asyncio.timeout(5):
            while not log.written:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        running.cancel()

    asyncio.run(main())


@pytest.fixture
def _news_only_when_there_is_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merchant_totals, "NEWS_EVERY", 1e9)


@pytest.mark.usefixtures("_news_only_when_there_is_reason")
def test_a_worker_that_keeps_a_partition_it_has_handed_over_goes_on_behind_it() -> None:
    log = Topics()
    log.decided(0, sold(0))
    keeper = worker(log, 0)
    rounds(keeper)
    keeper.published(0, log.decided(0, sold(0)), [sold(0)])
    asyncio.run(keeper.hand_over())
    log.reads.clear()
    keeper.published(0, log.decided(0, sold(0), sold(1)), [sold(0), sold(1)])
    rounds(keeper)
    assert bounds(log) == [(0, 1), (1, 2), (2, 3)]
    assert topics.STATUS not in [topic for topic, _, _ in log.reads]


@pytest.mark.usefixtures("_news_only_when_there_is_reason")
def test_so_it_does_when_it_hands_over_while_it_reads_another_partition() -> None:
    log = Topics()
    log.decided(1, sold(0))
    keeper = worker(log, 1)
    rounds(keeper)
    keeper.published(1, log.decided(1, sold(0)), [sold(0)])
    log.decided(0, sold(0))
    keeper.assigned([0, 1])

    async def meanwhile() -> None:
        handing_over = list[asyncio.Task[None]]()
        log.meanwhile = lambda: handing_over.append(asyncio.create_task(keeper.hand_over()))
        log.reads.clear()
        await keeper.round(0.0)
        await asyncio.gather(*handing_over)

    asyncio.run(meanwhile())
    assert [read for read in log.reads if read[0] == topics.STATUS] == [(topics.STATUS, 0, 0)]
    assert check(log) == []


@pytest.mark.usefixtures("_news_only_when_there_is_reason")
def test_a_new_owner_asks_at_once_what_has_been_handed_over() -> None:
    log = Topics()
    before, after = worker(log, 0), worker(log, 1)
    rounds(before, after)
    before.published(0, log.decided(0, sold(0)), [sold(0)])
    asyncio.run(before.hand_over())
    after.assigned([0, 1])
    after.claimed(0)
    log.reads.clear()
    rounds(after)
    assert [read for read in log.reads if read[0] == topics.STATUS] == [(topics.STATUS, 0, 1)]


def test_a_stop_does_not_wait_for_a_log_that_is_down_or_hangs_and_nothing_is_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def hangs(*_: Any) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(merchant_totals, "HANDED_OVER_WITHIN", 0.01)
    log = Topics()
    keeper = worker(log, 0)
    rounds(keeper)
    keeper.published(0, log.decided(0, sold(0)), [sold(0)])
    log.is_down = True
    asyncio.run(keeper.hand_over())
    log.is_down = False
    with monkeypatch.context() as patch:
        patch.setattr(log, "publish_batch", hangs)
        asyncio.run(asyncio.wait_for(keeper.hand_over(), 2))
    assert log.written == []
    rounds(keeper)
    assert bounds(log) == [(0, 1)]


def test_until_the_log_is_a_week_old_no_merchant_is_new_since_all_are_unknown() -> None:
    log = Topics()
    log.decided(0, sold(0), sold(1), sold(WARM_UP))
    keeper = worker(log, 0)
    assert keeper.features([sold(0)]) == (None, None)
    rounds(keeper)
    young, old = features(keeper.known, WARM_UP - 1), features(keeper.known, WARM_UP)
    assert young == dict.fromkeys(MERCHANT_FEATURES, UNKNOWN)
    assert old is not None
    assert old["merchant_count_7d"] == 2
    assert features(keeper.known, WARM_UP, "another") == {**old, **_none()}


def _none() -> Features:
    return {
        **dict.fromkeys((name for name in MERCHANT_FEATURES if "count" in name), 0),
        "merchant_mean": UNKNOWN, "merchant_customers": 0, "merchant_frauds": 0,
    }  # fmt: skip


def test_labels_of_fraud_count_from_the_day_after_they_were_said_once() -> None:
    log = Topics()
    log.decided(0, sold(0, "old"), sold(WARM_UP), sold(WARM_UP + 1), sold(WARM_UP + 9))
    said = labelled(WARM_UP + 1, "m")
    log.at(topics.LABEL, 1).extend([said, said, labelled(WARM_UP + 2, label="genuine")])
    log.at(topics.LABEL, 0).append(labelled(WARM_UP + 1, "another"))
    log.at(topics.LABEL, 0).append({**said, "replaced_label": "fraud", "transaction_id": "again"})
    keeper, other = worker(log, 0), worker(log, 0)
    rounds(keeper, other, other)
    for known in (keeper.known, other.known):
        after = features(known, WARM_UP + 2)
        before = features(known, WARM_UP + 1)
        assert after
        assert before
        assert (after["merchant_frauds"], after["merchant_days_since_last_fraud"]) == (1, 2)
        assert before["merchant_frauds"] == 0
    stretches = [one for one in log.written if one["source"] == "transaction_label"]
    found = [(one["partition"], one["from_offset"], one["to_offset"]) for one in stretches]
    assert sorted(found) == [(0, 0, 2), (1, 0, 3)]


def test_two_that_both_take_themselves_for_the_owner_write_it_down_twice_and_it_counts_once() -> None:
    log = Topics()
    log.decided(0, sold(0, "old"), sold(WARM_UP), sold(WARM_UP + 1))
    one, other = worker(log, 0), worker(log, 0)
    for keeper in (one, other):  # both have read the log before either has written
        asyncio.run(keeper._catch_up(0, keeper._stretch(0)))
    rounds(one, other, one)
    assert bounds(log) == 2 * [(0, 1), (1, 2), (2, 3)]
    for keeper in (one, other):
        found = features(keeper.known, WARM_UP + 1)
        assert found is not None
        assert found["merchant_count_30d"] == 1
    assert check(log) == []


def test_while_the_log_is_down_nothing_is_lost_and_it_is_written_when_it_is_back() -> None:
    log = Topics()
    keeper = worker(log, 0)
    rounds(keeper)
    keeper.published(0, log.decided(0, sold(0)), [sold(0)])
    keeper.published(0, log.decided(0, sold(1)), [sold(1)])
    log.is_down = True
    with pytest.raises(LogUnavailable):
        rounds(keeper)
    log.is_down = False
    rounds(keeper)
    assert [(one["from_offset"], one["to_offset"]) for one in log.written] == [(0, 1)]


def test_what_is_published_by_this_worker_is_not_read_again() -> None:
    log = Topics()
    keeper = worker(log, 0)
    rounds(keeper)
    log.reads.clear()
    for day in range(3):
        keeper.published(0, log.decided(0, sold(day)), [sold(day)])
        rounds(keeper)
    assert [topic for topic, _, _ in log.reads if topic == topics.STATUS] == []
    assert [(one["from_offset"], one["to_offset"]) for one in log.written] == [(0, 1), (1, 2)]


def test_what_another_owner_has_published_meanwhile_is_read() -> None:
    log = Topics()
    keeper = worker(log, 0)
    rounds(keeper)
    log.decided(0, sold(0), sold(0))
    keeper.claimed(0)
    keeper.published(0, log.decided(0, sold(1)), [sold(1)])
    rounds(keeper)
    assert [[total["count"] for total in one["totals"]] for one in log.written] == [[2], [1]]


def test_what_the_last_owner_publishes_while_the_partition_is_read_before_the_claim_is_counted() -> None:
    log = Topics()
    keeper = worker(log, 0)
    log.decided(0, sold(0))

    def woken() -> None:
        log.once_its_end_is_known = lambda: None
        log.decided(0, sold(0))
        keeper.claimed(0)

    log.once_its_end_is_known = woken
    rounds(keeper)
    for day in (1, 2):
        keeper.published(0, log.decided(0, sold(day)), [sold(day)])
    rounds(keeper)
    assert sum(total["count"] for one in log.written for total in one["totals"]) == 4
    assert check(log) == []


def test_what_is_published_while_the_log_cannot_be_read_is_read_later_with_what_was_before_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log = Topics()
    keeper = worker(log, 0)
    rounds(keeper)
    keeper.claimed(0)
    log.decided(0, sold(0))  # by another owner
    keeper.published(0, log.decided(0, sold(0)), [sold(0)])
    monkeypatch.setattr(merchant_totals, "NEWS_EVERY", 1e9)
    log.is_down = True
    with pytest.raises(LogUnavailable):
        rounds(keeper)
    log.is_down = False
    keeper.published(0, log.decided(0, sold(1)), [sold(1)])
    rounds(keeper)
    assert [[total["count"] for total in one["totals"]] for one in log.written] == [[2], [1]]


def test_what_is_read_before_its_publication_is_acknowledged_counts_once() -> None:
    log = Topics()
    keeper = worker(log, 0)
    offsets = log.decided(0, sold(0), sold(0))
    rounds(keeper)
    keeper.published(0, offsets, [sold(0), sold(0)])
    keeper.published(0, log.decided(0, sold(1)), [sold(1)])
    keeper.published(0, log.decided(0, sold(2)), [sold(2)])
    rounds(keeper)
    assert [[total["count"] for total in one["totals"]] for one in log.written] == [[2], [1]]


def test_what_another_worker_has_written_of_a_partition_is_gone_on_from(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log = Topics()
    one, other = worker(log, 0), worker(log, 0)
    rounds(one, other)
    for keeper in (one, other):
        keeper.published(0, [0], [sold(0)])
    log.decided(0, sold(0))
    monkeypatch.setattr(merchant_totals, "IDLE", -1)
    rounds(other, now=(DAY_0 + 2) * DAY)
    one.published(0, log.decided(0, sold(0), sold(1)), [sold(0), sold(1)])
    rounds(one, one)
    assert bounds(log) == [(0, 1), (0, 2), (1, 2), (2, 3)]
    assert one.known.history.features(["m"], DAY_0 + 1)[0].tolist()[0] == 2
    assert check(log) == []


def test_a_day_is_known_better_when_another_partition_has_written_its_part_of_it() -> None:
    log = Topics()
    log.decided(0, sold(0, "old"), sold(WARM_UP), sold(WARM_UP + 1))
    log.decided(1, sold(WARM_UP), sold(WARM_UP + 1))
    one, other = worker(log, 0), worker(log, 1)
    counts = []
    for keeper in (one, other):
        rounds(keeper, one)
        found = features(one.known, WARM_UP + 1)
        assert found
        counts.append(found["merchant_count_1d"])
    assert counts == [1, 2]


def test_a_partition_that_is_no_longer_ours_is_not_read() -> None:
    log = Topics()
    log.decided(0, sold(0))
    keeper = worker(log, 0, 1)
    rounds(keeper)
    keeper.assigned([1])
    keeper.claimed(0)
    log.reads.clear()
    rounds(keeper)
    assert {(topic, partition) for topic, partition, _ in log.reads} == {(topics.MERCHANT_TOTALS, 0)}


def test_a_partition_may_be_revoked_while_the_log_is_read() -> None:
    log = Topics()
    log.decided(0, sold(0))
    keeper = worker(log, 0, 1)
    log.meanwhile = lambda: keeper.assigned([0])
    rounds(keeper)
    assert {partition for topic, partition, _ in log.reads if topic == topics.STATUS} == {0}


def test_a_day_that_ends_while_another_one_is_written_is_written_next() -> None:
    log = Topics()
    keeper = worker(log, 0)
    rounds(keeper)
    days = iter((2, 3))

    def publish() -> None:
        if day := next(days, None):
            keeper.published(0, log.decided(0, sold(day)), [sold(day)])

    log.while_it_is_written = publish
    for day in (0, 1):
        keeper.published(0, log.decided(0, sold(day)), [sold(day)])
    log.reads.clear()
    rounds(keeper, keeper, keeper)
    assert bounds(log) == [(0, 1), (1, 2), (2, 3)]
    assert topics.STATUS not in {topic for topic, _, _ in log.reads}


def test_an_idle_partition_ends_its_day_by_the_clock_and_one_at_work_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log = Topics()
    keeper, midnight = worker(log, 0), (DAY_0 + 1) * DAY
    rounds(keeper)
    keeper.published(0, log.decided(0, sold(0)), [sold(0)])
    rounds(keeper, now=midnight + AFTER_MIDNIGHT)
    assert log.written == []  # its last transaction was just now
    monkeypatch.setattr(merchant_totals, "IDLE", -1 if IDLE else 0)
    rounds(keeper, now=midnight + AFTER_MIDNIGHT - 1)
    assert log.written == []
    rounds(keeper, now=midnight + AFTER_MIDNIGHT)
    rounds(keeper, now=midnight + 2 * AFTER_MIDNIGHT)
    assert bounds(log) == [(0, 1)]


def test_a_clock_that_goes_backward_ends_no_day() -> None:
    log = Topics()
    log.decided(0, sold(5), sold(4), sold(0), sold(5), sold(6))
    keeper = worker(log, 0)
    rounds(keeper)
    one, _ = log.written
    assert {row["day"] - DAY_0: row["count"] for row in one["totals"]} == {5: 2, 4: 1, 0: 1}


def test_a_reassessment_is_no_other_transaction() -> None:
    log = Topics()
    log.decided(0, sold(0), sold(0, revision=2), sold(1))
    rounds(worker(log, 0))
    assert [row["count"] for row in log.written[0]["totals"]] == [1]


def test_of_a_stretch_with_a_new_merchant_in_each_transaction_the_busiest_are_on_record() -> None:
    totals = MerchantTotals()
    for n in range(3 * HELD_MOST):
        totals.add(sold(0, f"once {n}"), is_first_visit=True)
        if n % 3 == 0:
            totals.add(sold(0, "often"), is_first_visit=False)
        assert len(totals) <= HELD_MOST
    largest = totals.largest()
    assert len(largest) == KEPT_MOST
    assert (largest[0]["merchant_id"], largest[0]["count"]) == ("often", HELD_MOST)


def test_a_record_fits_into_a_message_whatever_the_merchants_are_called() -> None:
    totals, labels = MerchantTotals(), []
    for n in range(KEPT_MOST):
        name = f"{n:04}" + "\U0001f600" * 251
        totals.add(sold(0, name), is_first_visit=True)
        labels.append(labelled(0, name))
    named = sum(len(row["merchant_id"].encode()) for row in totals.largest())
    assert BYTES_MOST - 2_000 < named <= BYTES_MOST
    codec = Codec(topics.load_schema(topics.MERCHANT_TOTALS), 1, None)  # type: ignore[arg-type]
    assert len(codec.encode(of_statuses(0, 0, 1, totals))) < 500_000
    said: Any = labels[: merchant_totals.LABELS_MOST]
    assert len(codec.encode(of_labels(0, 0, 1, said))) < 600_000


def test_a_worker_keeps_a_bounded_number_of_merchants_those_labelled_and_the_latest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert MOST * 1_400 < 100_000_000  # bytes
    monkeypatch.setattr("app.processing.known_merchants.MOST", 10)
    known, totals = KnownMerchants(), MerchantTotals()
    warm(known)
    for day, n in ((0, 1), (0, 1), *((1 + n // 6, n) for n in range(2, 12))):
        totals.add(sold(day, f"m{n}"), is_first_visit=True)
    said: Any = [labelled(1, "m1")]
    known.fold([(1, of_labels(0, 0, 1, said)), (2, of_statuses(0, 0, 12, totals))], 3)
    assert len(known.history) == 5
    assert [n for n in range(12) if f"m{n}" in known.history] == [1, 6, 7, 8, 9]
    found = features(known, 3, "m1")
    assert found is not None
    assert (found["merchant_count_7d"], found["merchant_frauds"]) == (2, 1)
    gone = features(known, 3, "m2")
    assert gone is not None
    assert gone["merchant_count_7d"] == 0


def check(log: Topics) -> list[Any]:
    """What `verify --features` finds in the stretches."""
    checked = StretchCheck(list(enumerate(log.written)))
    found: list[Any] = []
    for (topic, partition), records in sorted(log.of.items()):
        if topic != topics.MERCHANT_TOTALS:
            found += checked.read(topic, partition, list(enumerate(records)))
    return [*found, *checked.ended()]


events = st.lists(
    st.one_of(
        st.tuples(
            st.just("sold"), st.integers(0, 1), st.integers(0, 2), st.sampled_from("abc"), st.integers(1, 3),
            st.booleans(),
        ),
        st.tuples(st.just("labelled"), st.integers(0, 1), st.sampled_from("abc")),
        st.tuples(st.just("round"), st.integers(0, 1)),
        st.tuples(st.just("moved"), st.integers(0, 1), st.integers(0, 1)),
        st.tuples(st.just("handed_over"), st.integers(0, 1)),
        st.tuples(st.just("killed"), st.integers(0, 1)),
    ),
    max_size=40,
)  # fmt: skip


class World:
    """Two partitions, two workers, and what may happen to them."""

    def __init__(self) -> None:
        self.log = Topics()
        self.owner, self.day = {0: 0, 1: 1}, -10
        self.workers = [worker(self.log, 0), worker(self.log, 1)]
        self.merchants = RecordedMerchants()

    def _of(self, number: int) -> list[int]:
        return [partition for partition, by in self.owner.items() if by == number]

    def sold(self, n: int, partition: int, days: int, merchant: str, cents: int, known: bool) -> None:
        self.day += days
        one = sold(self.day, merchant, cents, known=known, transaction_id=f"t{n}")
        keeper = self.workers[self.owner[partition]]
        rows, one["merchants_as_of"] = keeper.features([one])
        row = [UNKNOWN] * len(MERCHANT_FEATURES) if rows is None else rows[0].tolist()
        offsets = self.log.decided(partition, one)
        assert self.merchants.add(one, row, (partition, offsets[0])) is None
        keeper.published(partition, offsets, [one])

    def labelled(self, n: int, partition: int, merchant: str) -> None:
        self.log.at(topics.LABEL, partition).append(labelled(self.day, merchant, transaction_id=f"t{n}"))

    def round(self, _: int, number: int) -> None:
        rounds(self.workers[number])

    def handed_over(self, _: int, number: int) -> None:
        asyncio.run(self.workers[number].hand_over())

    def moved(self, _: int, partition: int, number: int) -> None:
        self.owner[partition] = number
        for each, keeper in enumerate(self.workers):
            keeper.assigned(self._of(each))
        self.workers[number].claimed(partition)

    def killed(self, _: int, number: int) -> None:
        self.workers[number] = worker(self.log, *self._of(number))


@settings(max_examples=150, deadline=None)
@given(events)
def test_any_log_with_any_kills_and_moves_gives_what_verify_makes_of_the_log(events: list[Any]) -> None:
    world = World()
    for n, (what, *of) in enumerate(events):
        getattr(world, what)(n, *of)
    log, workers = world.log, world.workers
    assert check(log) == []
    assert list(world.merchants.differences(list(enumerate(log.written)))) == []
    rounds(*workers, *workers)
    whole, by_hand, tomorrow = KnownMerchants(), MerchantsByHand(log), world.day + 1
    whole.fold(list(enumerate(log.written)), len(log.written))
    for known, merchant in product((one.known for one in workers), "abc"):
        found = features(known, tomorrow, merchant)
        assert found == features(whole, tomorrow, merchant)
        if found and found["merchant_count_30d"] != UNKNOWN:
            assert found["merchant_count_30d"] == by_hand.count_30d(merchant, world.day)


class MerchantsByHand:
    """The obvious way, over what is written."""

    def __init__(self, log: Topics) -> None:
        self.sold = []
        for partition in (0, 1):
            ends = [
                one["to_offset"]
                for one in log.written
                if (one["source"], one["partition"]) == ("transaction_status", partition)
            ]
            statuses = log.at(topics.STATUS, partition)[: max(ends, default=0)]
            self.sold += [(one["merchant_id"], one["event_timestamp"] // DAY - DAY_0) for one in statuses]

    def count_30d(self, merchant: str, day: int) -> int:
        return sum(name == merchant and day - 30 < on <= day for name, on in self.sold)


def written() -> Topics:
    log = Topics()
    log.decided(0, sold(0), sold(0), sold(1))
    log.at(topics.LABEL, 0).append(labelled(0))
    rounds(worker(log, 0))
    assert check(log) == []
    return log


@pytest.fixture
def log() -> Topics:
    return written()


def test_verify_names_a_total_that_is_not_that_of_its_stretch(log: Topics) -> None:
    log.written[0]["totals"][0]["count"] += 1
    (found,) = check(log)
    assert (found.topic, found.place) == ("merchant_totals", (0, 0))
    ((name, (recorded, made)),) = found.features.items()
    assert name == f"m on day {DAY_0}"
    assert (recorded["count"], made["count"]) == (3, 2)


def test_verify_names_a_fraud_that_nobody_reported(log: Topics) -> None:
    log.at(topics.LABEL, 0)[0]["label"] = "genuine"
    (found,) = check(log)
    assert list(found.features) == [f"m on day {DAY_0 - 1}, known on {DAY_0}"]


def test_verify_names_a_verdict_by_merchants_that_could_not_be_known() -> None:
    merchants, row = RecordedMerchants(), [7] * len(MERCHANT_FEATURES)
    found = merchants.add(sold(0), row, (0, 3))
    assert found is not None
    assert found.place == (0, 3)
    assert found.features["merchant_frauds"] == (7, UNKNOWN)


def test_verify_names_a_verdict_by_merchants_that_were_otherwise() -> None:
    log = Topics()
    log.decided(0, sold(0, "old"), sold(WARM_UP), sold(WARM_UP + 1))
    keeper = worker(log, 0)
    rounds(keeper)
    one = sold(WARM_UP + 1)
    rows, as_of = keeper.features([one])
    assert rows is not None
    row = rows[0].tolist()
    one["merchants_as_of"] = as_of
    for changed, wanted in ((row, []), ([*row[:-1], 5], [{"merchant_frauds": (5, 0)}])):
        merchants = RecordedMerchants()
        assert merchants.add(one, changed, (0, 3)) is None
        differ = merchants.differences(list(enumerate(log.written)))
        assert [found.features for found in differ] == wanted
    merchants = RecordedMerchants()
    assert merchants.add(one, row, (0, 3)) is None
    second = merchants.add(one, [*row[:-1], 5], (0, 4))
    assert second is not None
    assert second.features == {"merchant_frauds": (5, 0)}


def test_a_log_is_caught_up_with_in_small_pieces_and_more_slowly_while_transactions_are_decided(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock, waited = iter(range(10**6)), list[float]()
    monkeypatch.setattr("time.monotonic", lambda: next(clock) / 100)

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    monkeypatch.setattr("asyncio.sleep", sleep)
    monkeypatch.setattr(merchant_totals, "TURN_BUSY", 9)
    monkeypatch.setattr(merchant_totals, "TURN_IDLE", 1)

    def turn(*, is_busy: bool) -> float:
        """How much longer than a piece the others have their turn."""
        log = Topics()
        log.decided(0, *(sold(0) for _ in range(2 * merchant_totals.AT_ONCE)))
        keeper = worker(log, 0)
        if is_busy:
            keeper.features([sold(0)])
        waited.clear()
        rounds(keeper)
        pauses = [round(seconds / 0.02) for seconds in waited if seconds]  # a piece asks for the time twice
        assert len(pauses) == 2
        return max(pauses)

    assert turn(is_busy=False) == 1
    assert turn(is_busy=True) == 9
