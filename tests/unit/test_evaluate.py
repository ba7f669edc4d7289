"""`evaluate`: its figures by hand, and which verdict and which label of a transaction they are made of."""

from __future__ import annotations

import itertools
import json

import pytest

from app.commands.evaluate.command import as_object, as_text
from app.commands.evaluate.evaluation import Evaluated
from app.commands.evaluate.measures import (
    DAY,
    Cards,
    Decided,
    Known,
    average_precision,
    card_precision,
    measures,
)
from app.models.label import Label, TransactionLabel, labelled
from app.models.status import TransactionStatus
from tests.unit.samples import NOW, status, transaction

# The figures


def one(
    score: float | None, label: Label | None, card: str = "c", day: int = 0, threshold: float = 0.5
) -> Decided:
    """Rejected below the threshold, and where nobody has given a score."""
    return Decided(card, day, score is None or score < threshold, score, label)


#: Three rejected of which two were fraud; four accepted of which one was, and of one nobody has said anything.
SOME = [
    one(0.1, "fraud"),
    one(0.2, "genuine"),
    one(0.3, "fraud"),
    one(0.6, "genuine"),
    one(0.7, "fraud"),
    one(0.9, "genuine"),
    one(0.95, None),
]


def test_precision_is_of_the_rejected_and_recall_of_the_frauds() -> None:
    found = measures(SOME)
    assert (found.rejected, found.accepted) == (Known(2, 1, 0), Known(1, 2, 1))
    assert found.precision == pytest.approx(2 / 3)
    assert found.recall == pytest.approx(2 / 3)


def test_average_precision_is_the_mean_precision_where_each_fraud_is_caught() -> None:
    # Behind one of one, two of three, three of five alarms.
    assert average_precision(SOME) == pytest.approx((1 / 1 + 2 / 3 + 3 / 5) / 3)


def test_equal_scores_are_one_threshold_whatever_their_order() -> None:
    for order in itertools.permutations(
        [one(0.1, "fraud"), one(0.1, "fraud"), one(0.1, "genuine"), one(0.3, "fraud")]
    ):
        assert average_precision(order) == pytest.approx(2 / 3 * 2 / 3 + 1 / 3 * 3 / 4)


@pytest.mark.parametrize("missing", [one(0.01, None), one(0.4, None), one(0.99, None)])
def test_a_label_that_is_missing_is_neither_good_nor_bad(missing: Decided) -> None:
    before, after = measures(SOME), measures([*SOME, missing, missing])
    assert (after.precision, after.recall) == (before.precision, before.recall)
    assert after.average_precision == before.average_precision
    assert after.rejected.not_labelled + after.accepted.not_labelled == 3


def test_what_was_rejected_without_a_score_is_in_precision_and_in_no_ranking() -> None:
    for nothing in (None, float("nan")):
        unscored = Decided("c", 0, True, nothing, "genuine")
        found = measures([*SOME, unscored])
        assert found.precision == pytest.approx(2 / 4)
        assert found.average_precision == average_precision(SOME)
        assert found.scored == Known(3, 3, 1)


def test_where_nothing_is_known_there_is_no_figure() -> None:
    for decided in ([], [one(0.1, None), one(0.9, None)]):
        found = measures(decided)
        assert (found.precision, found.recall, found.average_precision) == (None, None, None)
        assert found.cards.precision is None
    no_fraud = measures([one(0.1, "genuine")])
    assert (no_fraud.precision, no_fraud.recall, no_fraud.average_precision) == (0.0, None, None)


DAYS = [
    one(0.10, "fraud", "a", 1),
    one(0.90, "genuine", "a", 1),
    one(0.20, "genuine", "b", 1),
    one(0.05, None, "c", 1),
    one(0.01, "fraud", "a", 2),  # was found on day 1: nobody looks into it again
    one(0.30, "genuine", "b", 2),
    one(0.40, "genuine", "d", 2),
    one(0.50, "fraud", "e", 2),
    one(0.60, None, "e", 3),
    one(0.60, "genuine", "f", 3),
    one(0.70, None, "f", 3),  # not all of it is known
]


def test_card_precision_is_the_known_share_of_each_days_most_suspicious_customers() -> None:
    # Day 1: c (not known) and a (fraud), 1 of 1. Day 2: b and d (genuine), 0 of 2. Day 3: nothing is known.
    assert card_precision(DAYS, most=2) == Cards(1 / 2, 2, 1, 2, 3)


def test_a_card_that_was_not_on_the_list_is_looked_for_on_the_next_day() -> None:
    # Day 1: c alone. Day 2: a, which nobody has found yet.
    assert card_precision(DAYS, most=1) == Cards(1.0, 1, 1, 0, 2)


def test_with_all_labels_and_enough_cards_it_is_the_books_figure() -> None:
    day = [one(n / 1000, "fraud" if n % 4 == 0 else "genuine", f"card-{n}", 0) for n in range(300)]
    assert card_precision(day).precision == pytest.approx(25 / 100)


# Which records count


def verdict(id_: str, score: float, revision: int = 1) -> TransactionStatus:
    one = status(transaction(transaction_id=id_), score=score, revision=revision)
    return {**one, "status": "rejected" if score < 0.5 else "accepted"}


def word(id_: str, label: Label, at: int, event: int = NOW) -> TransactionLabel:
    return labelled(transaction(transaction_id=id_, event_timestamp=event), label, None, at)


def evaluated(
    statuses: list[TransactionStatus], labels: list[TransactionLabel], since: int | None = None
) -> Evaluated:
    found = Evaluated(since)
    for each in statuses:
        found.add_status(each)
    for label in labels:
        found.add_label(label)
    return found


def test_the_highest_revision_and_the_newest_label_count_in_any_order_and_however_often() -> None:
    statuses = [verdict("a", 0.1), verdict("a", 0.9, revision=2)]
    labels = [word("a", "fraud", 1), word("a", "genuine", 3), word("a", "fraud", 2)]
    for some in itertools.permutations(statuses):
        for words in itertools.permutations(labels):
            found = evaluated([*some, *some], [*words, words[0]])
            customer = transaction()["customer_id"]
            assert found.decided == [Decided(customer, NOW // DAY, False, 0.9, "genuine")]


def test_a_label_before_its_verdict_waits_for_it() -> None:
    early = word("a", "fraud", 1)
    assert evaluated([], [early]).undecided == {"a"}
    found = evaluated([verdict("a", 0.1)], [early])
    assert (found.undecided, measures(found.decided).precision) == (set(), 1.0)


def test_a_label_of_a_transaction_from_before_the_span_counts_nowhere() -> None:
    since = NOW * 1000
    old, new = word("old", "fraud", 1, event=NOW - 1), word("new", "fraud", 1, event=NOW)
    found = evaluated([verdict("a", 0.9)], [old, new], since)
    assert found.undecided == {"new"}
    assert measures(found.decided).accepted == Known(0, 0, 1)


def test_a_pending_status_is_no_decision() -> None:
    assert evaluated([{**verdict("a", 0.9), "status": "pending"}], []).decided == []


def test_a_label_that_the_table_does_not_take_is_none_here_either() -> None:
    found = evaluated([verdict("a", 0.9)], [word("a", "fraud", 2**60)])
    assert (found.unreadable, measures(found.decided).accepted) == (1, Known(0, 0, 1))


# What is printed

TEXT = """\
evaluate: 4 decided, since 2021-06-19 05:15:56 UTC; 3 have a label
                            fraud      genuine   not labelled
rejected                        1            0              0
accepted                        1            1              1
1 labels are missing: these count as neither fraud nor genuine

precision                   1.000   1 of 1 rejected ones were fraud
recall                      0.500   1 of 2 known frauds were rejected
average precision           0.833   of the scores of 3 labelled ones, 2 of them fraud
card precision@100          1.000   mean of 1 days: 1 of 1 known cards were compromised, 0 are not known
1 more have a label and no verdict in this span
1 records could not be read and are left out"""


def test_it_says_how_many_labels_are_missing_and_what_each_figure_is_of() -> None:
    found = evaluated(
        [verdict("a", 0.1), verdict("b", 0.8), verdict("c", 0.7), verdict("d", 0.9)],
        [word("a", "fraud", 1), word("b", "fraud", 1), word("c", "genuine", 1), word("e", "fraud", 1)],
        NOW * 1000,
    )
    found.unreadable = 1
    assert as_text(found, measures(found.decided)) == TEXT
    said = json.loads(json.dumps(as_object(found, measures(found.decided))))
    assert said["rejected"] == {"fraud": 1, "genuine": 0, "not_labelled": 0}
    assert (said["precision"], said["recall"], said["cards"]["days"]) == (1.0, 0.5, 1)
    assert (said["undecided_with_a_label"], said["unreadable"], said["since"]) == (1, 1, NOW * 1000)


def test_where_there_is_no_figure_it_says_so() -> None:
    found = Evaluated()
    assert "evaluate: 0 decided, all of the log; 0 have a label" in as_text(found, measures([]))
    assert "precision                       -   0 of 0 rejected ones" in as_text(found, measures([]))
