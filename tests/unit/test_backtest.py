"""`backtest` and `disagreements`: their figures by hand, which records count, and how a replica is asked."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import grpc
import grpc.aio
import pytest

from app.assessment.client import Antifraud
from app.commands.backtest import run
from app.commands.backtest.comparison import Amount, Changed, Comparison, Rejected, compare
from app.commands.backtest.decisions import ACCEPTED, NO_SCORE, REJECTED, Decisions
from app.commands.backtest.judges import ByAskingReplicas, Judge, by_recorded_scores, by_the_shadow
from app.commands.backtest.report import as_object, as_text, spanned
from app.commands.shared import console
from app.commands.shared.read_range import WHOLE, ReadRange
from app.errors import AntifraudUnavailable, Poison, UnknownModel, WrongAnswer
from app.messaging import topics
from app.models.label import Label, TransactionLabel, labelled
from app.models.status import TransactionStatus
from app.settings import Settings
from history.features import FEATURES
from schemas.proto import antifraud_pb2 as pb
from tests.unit.samples import NOW, status, transaction

KNOWN = dict.fromkeys(FEATURES, 3)


def verdict(
    id_: str, score: float | None, *, cents: int = 100, card: str = "c", **changes: Any
) -> TransactionStatus:
    """Rejected below 0.5, and where nobody has given a score."""
    one = status(
        transaction(transaction_id=id_, value_in_cents=cents, customer_id=card),
        score=score,
        status="rejected" if score is None or score < 0.5 else "accepted",
        history=KNOWN,
    )
    return {**one, **changes}  # type: ignore[typeddict-item]


def word(id_: str, label: Label, at: int = 1) -> TransactionLabel:
    return labelled(transaction(transaction_id=id_), label, None, at)


def decisions(
    statuses: Sequence[TransactionStatus], after: Sequence[int], labels: Sequence[TransactionLabel] = ()
) -> Decisions:
    found = Decisions()
    for one, code in zip(statuses, after, strict=True):
        found.add([one], [code], ["m-2"], [True])
    for label in labels:
        found.add_label(label)
    return found


# The figures

#: Five of three customers: two newly rejected, one newly accepted, two as they were.
SOME = [
    verdict("a", 0.9, cents=999, card="x"),
    verdict("b", 0.8, cents=1_000, card="x"),
    verdict("c", 0.1, cents=20_000_000, card="y"),
    verdict("d", 0.2, cents=50, card="z"),
    verdict("e", 0.7, cents=70, card="z"),
]
AFTER = [REJECTED, REJECTED, ACCEPTED, REJECTED, ACCEPTED]
WORDS = [word("a", "fraud"), word("c", "genuine"), word("d", "fraud"), word("e", "genuine")]
WORDS += [word(f"of another span {n}", "fraud") for n in range(30)]
NOTHING = Amount(0, 0)
FOUND = Comparison(
    compared=5,
    customers=2,
    no_score=0,
    without_features=0,
    models={"model-1": 5},
    other_models={"m-2": 5},
    newly_rejected=Changed(
        Amount(2, 1_999), 1, Amount(1, 999), NOTHING, Amount(1, 1_000), (1, 1, 0, 0, 0, 0)
    ),
    newly_accepted=Changed(
        Amount(1, 20_000_000), 1, NOTHING, Amount(1, 20_000_000), NOTHING, (0, 0, 0, 0, 0, 1)
    ),
    before=Rejected(Amount(2, 20_000_050), Amount(1, 50), Amount(1, 20_000_000)),
    after=Rejected(Amount(3, 2_049), Amount(2, 1_049), NOTHING),
    fraud=Amount(2, 1_049),
    genuine=Amount(2, 20_000_070),
    not_labelled=Amount(1, 1_000),
)


def test_money_customers_amounts_and_labels_are_those_of_what_changed() -> None:
    found = compare(decisions(SOME, AFTER, WORDS))
    assert found == FOUND
    assert found.agreed == 2


def test_the_order_of_the_records_and_their_repetition_change_nothing() -> None:
    for order in itertools.permutations(range(5)):
        some, after = [SOME[n] for n in order] * 2, [AFTER[n] for n in order] * 2
        assert compare(decisions(some, after, [*WORDS, *reversed(WORDS)])) == FOUND


def test_of_a_transaction_the_highest_revision_and_the_newest_label_count() -> None:
    first, second = verdict("a", 0.9), verdict("a", 0.1, revision=2)
    labels = [word("a", "fraud", 3), word("a", "genuine", 5), word("a", "fraud", 4)]
    for some in itertools.permutations([(first, REJECTED), (second, ACCEPTED)]):
        for words in itertools.permutations(labels):
            found = compare(decisions([one for one, _ in some], [code for _, code in some], words))
            assert (found.compared, found.newly_rejected.total) == (1, NOTHING)
            assert (found.newly_accepted.total, found.newly_accepted.genuine) == (
                Amount(1, 100),
                Amount(1, 100),
            )


def test_what_has_no_score_is_left_out_and_counted_apart() -> None:
    found = compare(decisions(SOME, [*AFTER[:4], NO_SCORE], WORDS))
    assert (found.compared, found.no_score) == (4, 1)
    assert (found.newly_rejected, found.newly_accepted) == (FOUND.newly_rejected, FOUND.newly_accepted)
    assert found.genuine == Amount(1, 20_000_000)


def test_the_sum_of_the_largest_amounts_is_exact() -> None:
    largest = 2**63 - 1
    some = [verdict(str(n), 0.9, cents=largest) for n in range(5)]
    assert compare(decisions(some, [REJECTED] * 5)).newly_rejected.total == Amount(5, 5 * largest)


def test_of_nothing_all_is_nothing() -> None:
    found = compare(Decisions())
    assert (found.compared, found.agreed, found.models) == (0, 0, {})
    assert "the same verdict for 0 of 0, another one for 0, of 0 customers" in as_text(found, "x", 0)


# By what it is decided


def judged(judge: Judge, *statuses: TransactionStatus) -> list[int]:
    return list(asyncio.run(judge(statuses)).after)  # type: ignore[arg-type]


def test_another_threshold_decides_by_the_scores_on_record() -> None:
    some = [verdict("a", 0.29), verdict("b", 0.3), verdict("c", None)]
    assert judged(by_recorded_scores(0.3), *some) == [REJECTED, ACCEPTED, NO_SCORE]


def test_the_second_model_decides_where_it_has_given_a_score_and_another_one_where_it_is_named() -> None:
    some = [
        verdict("a", 0.9, shadow_score=0.1, shadow_version="m-2"),
        verdict("b", 0.1, shadow_score=0.5, shadow_version="m-3"),
        verdict("c", 0.1, shadow_score=None, shadow_version="m-2"),
        verdict("d", 0.1),
    ]
    assert judged(by_the_shadow(None), *some) == [REJECTED, ACCEPTED, NO_SCORE, NO_SCORE]
    assert judged(by_the_shadow("m-2"), *some) == [REJECTED, NO_SCORE, NO_SCORE, NO_SCORE]


class Replica:
    """Scores by the amount; knows the model m-2."""

    def __init__(self) -> None:
        self.requests: list[Any] = []
        self.in_flight = self.most_in_flight = 0
        self.fails: list[BaseException] = []
        self.says = "m-2"

    async def AntifraudAssesmentBatch(self, request: Any, timeout: float, metadata: Any) -> Any:  # noqa: N802
        self.requests.append(request)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        await asyncio.sleep(0.01)
        self.in_flight -= 1
        if self.fails:
            raise self.fails.pop()
        if request.model_version != "m-2":
            known = f"model_version: antifraud-1 has no model {request.model_version!r}; it has: m-1, m-2"
            raise refusal(grpc.StatusCode.INVALID_ARGUMENT, known)
        scores = [0.1 if cents >= 1_000 else 0.45 for cents in request.value_in_cents]
        return pb.AntifraudAssesmentBatchResponse(
            status=[pb.REJECTED if score < 0.4 else pb.ACCEPTED for score in scores],
            score=scores,
            threshold=0.4,
            model_version=self.says,
            replica="antifraud-1",
        )


def refusal(code: grpc.StatusCode, details: str) -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(), details=details)


def asking(replica: Replica, model: str = "m-2", threshold: float | None = None) -> ByAskingReplicas:
    antifraud = Antifraud(Settings())
    antifraud._stub = replica
    return ByAskingReplicas(antifraud, model, threshold)


def test_another_model_is_asked_by_its_version_with_the_features_on_record() -> None:
    replica, old = Replica(), {k: v for k, v in verdict("b", 0.9).items() if k != "history"}
    judge = asking(replica)
    found = asyncio.run(judge([verdict("a", 0.9, cents=2_000), old]))  # type: ignore[list-item]
    assert (found.after, found.models, found.has_features) == (
        [REJECTED, ACCEPTED],
        ["m-2"] * 2,
        [True, False],
    )
    (request,) = replica.requests
    assert request.model_version == "m-2"
    assert list(request.history) == [3] * len(FEATURES) + [-1] * len(FEATURES)
    assert judge.thresholds == {0.4}, "the replica's, until another one is said"


def test_another_model_at_another_threshold() -> None:
    judge = asking(Replica(), threshold=0.46)
    assert judged(judge, verdict("a", 0.9, cents=2_000), verdict("b", 0.9)) == [REJECTED, REJECTED]
    assert judge.thresholds == {0.46}


def test_an_unknown_model_ends_it_at_once_with_the_known_ones() -> None:
    replica = Replica()
    with pytest.raises(UnknownModel, match=r"^antifraud-1 has no model 'm-9'; it has: m-1, m-2$"):
        judged(asking(replica, "m-9"), verdict("a", 0.9))
    assert len(replica.requests) == 1


def test_a_replica_that_does_not_know_the_field_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "PAUSE_MOST", 0.001)
    replica = Replica()
    replica.says = "m-1"
    with pytest.raises(WrongAnswer, match="was asked to score with m-2 and answers with m-1"):
        judged(asking(replica), verdict("a", 0.9))


def test_a_call_that_fails_is_made_again() -> None:
    replica = Replica()
    replica.fails = [refusal(grpc.StatusCode.UNAVAILABLE, "no healthy upstream")]
    assert judged(asking(replica), verdict("a", 0.9)) == [ACCEPTED]


# A span of the log


class Log:
    """What the topics have, a few records at a time."""

    def __init__(self, statuses: Sequence[Any], labels: Sequence[Any] = ()) -> None:
        self.topics = {topics.STATUS: list(statuses), topics.LABEL: list(labels)}
        self.asked: list[tuple[str, ReadRange]] = []

    async def decoded(self, _: Settings, topic: str, span: ReadRange, out: Any) -> AsyncIterator[list[Any]]:
        self.asked.append((topic, span))
        records = self.topics[topic]
        for first in range(0, len(records), 700):
            yield records[first : first + 700]


def decided_anew(
    monkeypatch: pytest.MonkeyPatch, log: Log, judge: Judge, span: ReadRange = WHOLE
) -> Decisions:
    monkeypatch.setattr(run, "decoded", log.decoded)
    return asyncio.run(run.decided_anew(Settings(), span, judge, None))


def test_a_span_is_decided_in_large_batches_with_a_bounded_number_of_calls_in_flight(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    replica = Replica()
    log = Log([verdict(str(n), 0.9, cents=2_000) for n in range(12_345)])
    found = compare(decided_anew(monkeypatch, log, asking(replica)))
    assert found.newly_rejected.total == Amount(12_345, 12_345 * 2_000)
    assert [len(one.value_in_cents) for one in replica.requests] == [run.BATCH] * 12 + [345]
    assert replica.most_in_flight == run.IN_FLIGHT


def test_the_span_is_of_the_verdicts_and_labels_are_read_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    span = ReadRange(since=NOW * 1000)
    log = Log([verdict("a", 0.4)], [word("a", "genuine"), Poison("no label")])
    found = decided_anew(monkeypatch, log, by_recorded_scores(0.3), span)
    assert log.asked == [(topics.STATUS, span), (topics.LABEL, WHOLE)]
    assert compare(found).newly_accepted.genuine == Amount(1, 100)
    assert found.unreadable == 1


def test_what_cannot_be_read_and_what_is_pending_is_no_decision(monkeypatch: pytest.MonkeyPatch) -> None:
    log = Log([verdict("a", 0.4), Poison("no status"), {**verdict("b", 0.4), "status": "pending"}])
    found = decided_anew(monkeypatch, log, by_recorded_scores(0.3))
    assert (compare(found).compared, found.unreadable) == (1, 1)


def test_a_call_that_cannot_be_made_ends_it_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    async def judge(_: Sequence[TransactionStatus]) -> Any:
        raise AntifraudUnavailable("UNAVAILABLE: no healthy upstream")

    with pytest.raises(AntifraudUnavailable, match="no healthy upstream"):
        decided_anew(monkeypatch, Log([verdict(str(n), 0.4) for n in range(5_000)]), judge)


# What is printed

TEXT = """\
backtest: decided anew with m-2
the same verdict for 2 of 5 (40.00%), another one for 3, of 2 customers

                     transactions               amount   customers      fraud    genuine   not labelled
newly rejected                  2                19.99           1          1          0              1
newly accepted                  1           200,000.00           1          0          1              0

by amount                  newly rejected   newly accepted
below 10.00                             1                0
10.00 to 100.00                         1                0
100.00 to 1,000.00                      0                0
1,000.00 to 10,000.00                   0                0
10,000.00 to 100,000.00                 0                0
100,000.00 or more                      0                1

                                as it was decided          as it would have been
rejected                           2 (200,000.50)                      3 (20.49)   of 5
fraud caught                             1 (0.50)                      2 (10.49)   of 2 (10.49) known
fraud missed                             1 (9.99)                       0 (0.00)
genuine annoyed                    1 (200,000.00)                       0 (0.00)   of 2 (200,000.70) known

1 labels are missing: these count as neither fraud nor genuine"""


def test_it_says_what_would_have_changed_in_money_customers_and_labels() -> None:
    assert as_text(FOUND, "backtest: decided anew with m-2", 0) == TEXT


def test_it_says_what_was_left_out_or_decided_by_less() -> None:
    found = Decisions()
    found.add(SOME, [*AFTER[:4], NO_SCORE], ["m-2"] * 5, [True, False, True, True, True])
    said = as_text(compare(found), "x", 7).splitlines()[-3:]
    assert said == [
        "1 are from before features were recorded, and decided without any history",
        "1 more have no score to decide by and are left out",
        "7 records could not be read and are left out",
    ]


def test_as_json_it_is_all_of_it_in_cents() -> None:
    said = json.loads(json.dumps(as_object(FOUND, ReadRange(since=5), 0.4, 7)))
    assert (said["since"], said["until"], said["threshold"], said["unreadable"], said["agreed"]) == (
        5,
        None,
        0.4,
        7,
        2,
    )
    assert said["newly_rejected"]["total"] == {"transactions": 2, "cents": 1_999}
    assert said["after"]["fraud"] == {"transactions": 2, "cents": 1_049}
    assert said["newly_rejected"]["by_amount"] == [1, 1, 0, 0, 0, 0]


def test_a_span_is_said_in_words() -> None:
    assert spanned(WHOLE) == "from the beginning of the log"
    assert spanned(ReadRange(NOW * 1000, (NOW + 1) * 1000)) == (
        "since 2021-06-19 05:15:56 UTC until 2021-06-19 05:15:57 UTC"
    )


def test_a_row_takes_few_bytes() -> None:
    assert decisions(SOME, AFTER).rows().dtype.itemsize <= 40
