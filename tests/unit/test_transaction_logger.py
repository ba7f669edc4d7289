"""What the log says about transactions: a line each while they are few, and never a customer's data."""

import asyncio
import logging
from collections.abc import Callable

import pytest

from app.observability.transaction_logger import EACH_UP_TO, OUTAGE_OVER_AFTER, TransactionLogger
from tests.unit.samples import status, transaction
from tests.unit.virtual_time import run


def lines(
    caplog: pytest.LogCaptureFixture, *seconds: Callable[[TransactionLogger], None], each: bool = False
) -> list[str]:
    """What is logged when these happen in seconds that follow each other."""
    caplog.set_level(logging.INFO, "transactions")

    async def main() -> None:
        transaction_logger = TransactionLogger(each)
        for happens in seconds:
            happens(transaction_logger)
            await asyncio.sleep(1)

    run(main())
    return [record.getMessage() for record in caplog.records]


def arriving(count: int) -> Callable[[TransactionLogger], None]:
    def happens(transaction_logger: TransactionLogger) -> None:
        for n in range(count):
            transaction_logger.arrived(f"id-{n}")

    return happens


def deciding(*sizes: int, each_is: str = "accepted") -> Callable[[TransactionLogger], None]:
    def happens(transaction_logger: TransactionLogger) -> None:
        for size in sizes:
            transaction_logger.decided(
                [status(transaction(transaction_id=f"id-{n}"), status=each_is) for n in range(size)]
            )

    return happens


def test_up_to_ten_a_second_each_transaction_has_its_line(caplog: pytest.LogCaptureFixture) -> None:
    assert EACH_UP_TO == 10
    said = lines(caplog, arriving(10), deciding(4, 6))
    assert said[:10] == [f"transaction id-{n} arrived" for n in range(10)]
    assert said[10:] == [f"transaction id-{n} accepted" for n in (*range(4), *range(6))]


def test_beyond_ten_a_second_arrivals_are_counted_in_one_line(caplog: pytest.LogCaptureFixture) -> None:
    said = lines(caplog, arriving(1_000), arriving(1))
    assert len(said) == 10 + 2
    assert said[10:] == ["990 more transactions arrived", "transaction id-0 arrived"]


def test_beyond_ten_a_second_a_batch_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    said = lines(caplog, deciding(2_000, 500), deciding(11, each_is="rejected"))
    assert said == [
        "2000 transactions: 2000 accepted",
        "500 transactions: 500 accepted",
        "11 transactions: 11 rejected",
    ]


def test_a_line_for_a_batch_counts_each_verdict(caplog: pytest.LogCaptureFixture) -> None:
    def happens(transaction_logger: TransactionLogger) -> None:
        transaction_logger.decided([status(status="accepted" if n % 3 else "rejected") for n in range(30)])

    assert lines(caplog, happens) == ["30 transactions: 20 accepted, 10 rejected"]


def test_no_more_than_ten_transactions_a_second_have_a_line_of_their_own(
    caplog: pytest.LogCaptureFixture,
) -> None:
    said = lines(caplog, deciding(*[1] * 25), deciding(9, 9))
    assert len([line for line in said[:25] if line.startswith("transaction id")]) == 10
    assert len([line for line in said[25:] if line.startswith("transaction id")]) == 9


def test_with_the_setting_each_has_its_line_at_any_rate(caplog: pytest.LogCaptureFixture) -> None:
    assert len(lines(caplog, deciding(2_000), arriving(100), each=True)) == 2_100


def test_a_line_says_why_it_was_rejected_without_an_assessment(caplog: pytest.LogCaptureFixture) -> None:
    def happens(transaction_logger: TransactionLogger) -> None:
        transaction_logger.decided([status(status="rejected", reason="antifraud_unavailable")])

    (line,) = lines(caplog, happens)
    assert line.endswith(" rejected (antifraud_unavailable)")


def test_nothing_decided_logs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    assert lines(caplog, deciding(0)) == []


@pytest.mark.parametrize("each", [False, True])
def test_no_customers_data_are_in_the_log(caplog: pytest.LogCaptureFixture, each: bool) -> None:
    secret = {
        "value_in_cents": 777_001,
        "description": "secret-description",
        "customer_id": "secret-customer",
        "merchant_id": "secret-merchant",
        "transaction_timestamp": 777_002,
        "latitude": 77.7003,
        "longitude": 77.7004,
    }

    def happens(transaction_logger: TransactionLogger) -> None:
        transaction_logger.arrived("id-0")
        for size in (1, 30):
            transaction_logger.decided([status(transaction(transaction_id="id-0", **secret))] * size)

    text = "\n".join(lines(caplog, happens, each=each))
    assert "id-0" in text
    assert not [value for value in secret.values() if str(value) in text]


def unassessed(transaction_logger: TransactionLogger) -> None:
    transaction_logger.unassessed(3)


def quiet(_: TransactionLogger) -> None:
    pass


def test_an_outage_of_antifraud_is_one_line_however_long(caplog: pytest.LogCaptureFixture) -> None:
    (line,) = lines(caplog, *[unassessed] * 300)
    assert "No antifraud replica answers" in line
    assert caplog.records[0].levelno == logging.ERROR


def test_the_next_outage_has_its_line_again(caplog: pytest.LogCaptureFixture) -> None:
    assert len(lines(caplog, unassessed, *[quiet] * int(OUTAGE_OVER_AFTER), unassessed)) == 2


def test_the_end_of_an_outage_logs_its_cost_once(caplog: pytest.LogCaptureFixture) -> None:
    transaction_logger = TransactionLogger(each=False)
    transaction_logger.assessed()
    for _ in range(4):
        transaction_logger.unassessed(3)
    for _ in range(3):
        transaction_logger.assessed()
    _, end = [record.getMessage() for record in caplog.records]
    assert "12 transactions were rejected unassessed" in end
    assert "make reassess" in end


def test_an_outage_just_after_the_machine_has_started_is_reported(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.monotonic", lambda: 0.5)
    TransactionLogger(each=False).unassessed(1)
    assert len(caplog.records) == 1
