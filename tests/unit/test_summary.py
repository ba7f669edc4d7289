"""The demo's last page: what it says when all is right, and when it is not."""

from dataclasses import replace

import pytest

from generator.client import Answer
from reconciliation.readers import Verdict
from reconciliation.reconcile import compare
from reconciliation.summary import Outcome, percentile, summary

STATUSES = {f"id-{n}": "accepted" if n % 4 else "rejected" for n in range(200)}


def answer(id_: str) -> Answer:
    """A 201."""
    return Answer(id_, 201, 0, 0, 0.01)


def outcome(lose: str = "", change: str = "") -> Outcome:
    """200 transactions, a quarter of them rejected; Cassandra without one of them, or with another status."""
    stored = {id_: status for id_, status in STATUSES.items() if id_ != lose}
    if change:
        stored[change] = "pending"
    published = {id_: [Verdict(1, status, 0.5, None, "m1")] for id_, status in STATUSES.items()}
    reconciliation = compare(STATUSES, dict.fromkeys(STATUSES, 1), published, stored, STATUSES, STATUSES)
    return Outcome(
        answers=[answer(id_) for id_ in STATUSES],
        seconds_to_final=[n / 1000 for n in range(1, 201)],
        reconciliation=reconciliation,
        start_seconds=31.24,
        processes=12,
    )


def lines(of: Outcome) -> list[str]:
    """The page's lines, each with single spaces."""
    return [" ".join(line.split()) for line in summary(of).splitlines()]


def test_a_good_run_is_reported_with_every_number() -> None:
    assert outcome().good
    assert lines(outcome())[:19] == [
        "sent 200 200 acknowledged with 201",
        "accepted 150 75.0%",
        "rejected 50 25.0%",
        "pending 0",
        "lost 0",
        "",
        "latency p50 100 ms, p99 198 ms, from POST to its final status in GET",
        "start 31.2 s until all 12 processes were ready",
        "",
        "Counted by id there missing",
        "-" * 44,
        "answers 201 200 -",
        "topic transaction_created 200 0",
        "topic transaction_status 200 0",
        "Cassandra, by id 200 0",
        "GET, page by page 200 0",
        "GET, each by id 200 0",
        "",
        "All places agree: the same ids, the same statuses, one verdict each. Nothing lost.",
    ]


def test_times_of_a_busy_machine_are_said_to_be_that(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    busy = "busy load average 11.9 on 2 cores before the demo began: times are longer"
    assert busy in lines(replace(outcome(), load_before=11.94))
    assert not any(line.startswith("busy") for line in lines(replace(outcome(), load_before=0.9)))


def test_numbers_stand_under_each_other_and_lines_fit_a_terminal() -> None:
    page = summary(outcome()).splitlines()
    assert [line[:20].rstrip()[-4:].strip() for line in page[:5]] == ["200", "150", "50", "0", "0"]
    assert {len(line[:20]) for line in page[:5]} == {20}
    assert {len(line) for line in page[9:17]} == {46}
    assert all(
        len(line) <= 100 for line in page if "curl" not in line and "transaction_timestamp" not in line
    )


def test_it_says_where_to_look_next() -> None:
    page = summary(outcome())
    for hint in ("make up", "make cqlsh NAME=cassandra-2", "make topic NAME=", "curl -X POST", "docs/"):
        assert hint in page


def test_a_transaction_missing_in_one_store_is_named_and_nothing_is_called_good() -> None:
    of = outcome(lose="id-7")
    assert not of.good
    assert "lost 1" in lines(of)
    assert "Cassandra, by id 199 1" in lines(of)
    assert "! missing in stored: id-7" in lines(of)
    assert "Nothing lost" not in summary(of)


def test_stores_that_differ_are_named() -> None:
    of = outcome(change="id-1")
    assert not of.good
    assert (
        "! differs: id-1 published says accepted, stored says pending, listed says accepted, shown says accepted"
        in lines(of)
    )


def test_many_errors_do_not_fill_the_screen() -> None:
    of = outcome()
    nothing = compare(STATUSES, {}, {}, {}, {}, {})
    page = summary(replace(of, reconciliation=nothing))
    assert page.count("\n  ! missing") == 10
    assert "! and 990 more" in page


def test_a_post_that_was_not_acknowledged_is_counted_with_its_reason() -> None:
    of = outcome()
    refused = replace(of, answers=[*of.answers, Answer(None, 503, 0, 0, 0.01, "503 Kafka does not answer")])
    assert not refused.good
    assert lines(refused)[:2] == ["sent 201 200 acknowledged with 201", "failed 1 503 Kafka does not answer"]


def test_a_transaction_without_a_final_status_is_not_good() -> None:
    of = outcome()
    assert not replace(of, seconds_to_final=of.seconds_to_final[1:]).good


def test_a_stack_that_was_up_has_no_start_to_report_and_nothing_final_no_latency() -> None:
    page = lines(replace(outcome(), start_seconds=None, seconds_to_final=[]))
    assert "start the stack was up already" in page
    assert "latency no transaction became final" in page


@pytest.mark.parametrize(("percent", "value"), [(50, 50), (99, 99), (100, 100), (0, 1)])
def test_a_percentile_is_a_value_that_was_measured(percent: float, value: float) -> None:
    assert percentile(list(range(100, 0, -1)), percent) == value


def test_a_percentile_of_one_value_is_that_value() -> None:
    assert percentile([3.0], 99) == 3.0
