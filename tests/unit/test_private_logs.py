"""LOG_CUSTOMER_DATA=0: no text that may quote what a client sent is in a log line; what operators need is."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from app.agents import labels, statuses
from app.errors import Poison, StoreUnavailable, TooManyDeadLetters
from app.observability import private_logs
from app.observability.transaction_logger import TransactionLogger
from app.processing import assignment
from app.processing.dead_letter_limit import DeadLetterLimit
from app.web.server import CannotStart
from tests.unit.samples import status

ROOT = Path(__file__).parents[2]
#: What a client sent; with a quote in it, since exceptions show texts in quotes.
SECRET = "maria's card"
WORKER = """
import logging
from mode.utils.logging import setup_logging
from app.main import app
setup_logging(loglevel="info", logging_config=dict(app.conf.logging_config) if app.conf.logging_config else None)
log = logging.getLogger("app.x")
def decide():
    raise KeyError("maria's card")
try:
    try:
        decide()
    except KeyError as exc:
        raise ValueError("not maria's card") from exc
except ValueError as exc:
    log.exception("a bug: %s", exc)
    log.error("a bug", exc_info=exc)
log.info("transaction %s arrived", "id-1")
"""


@pytest.fixture
def without() -> Iterator[None]:
    plain = logging.getLogRecordFactory()
    private_logs.leave_out(quoting=Poison)
    yield
    logging.setLogRecordFactory(plain)


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize("chosen", ["0", ""])
def test_a_worker_logs_where_an_exception_came_by_and_not_what_it_says(form: str, chosen: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WORKER],
        cwd=ROOT,
        env=os.environ | {"PAYMENTS_LOG_FORMAT": form, "PAYMENTS_LOG_CUSTOMER_DATA": chosen},
        capture_output=True,
        text=True,
        check=True,
    )
    said = done.stdout + done.stderr
    assert ("maria" in said) is (chosen == "")
    for wanted in ("ValueError", "KeyError", "in decide", "transaction id-1 arrived"):
        assert wanted in said


def test_a_record_that_is_no_good_is_named_by_its_place_alone(
    without: None, caplog: pytest.LogCaptureFixture
) -> None:
    record = SimpleNamespace(topic="transaction_label", partition=2, offset=17)
    labels._report([(record, f"not a label: {SECRET}")])
    statuses._report([(record, f"not a status: {SECRET}")])
    assignment._report("decide", 1, Poison(SECRET))
    limit = DeadLetterLimit(1, 1.0)
    dead: Any = [
        SimpleNamespace(partition=0, record=SimpleNamespace(offset=n), reason=SECRET) for n in range(3)
    ]
    batch = SimpleNamespace(partition=0, records=[one.record for one in dead])
    with pytest.raises(TooManyDeadLetters):
        limit.count(SimpleNamespace(batches=[batch]), dead)  # type: ignore[arg-type]
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 4
    assert "maria" not in "".join(said) + caplog.text
    assert "transaction_label[2]@17" in said[0]
    assert "[left out]" in said[0]


def test_why_a_transaction_was_rejected_is_not_said_where_it_is_of_the_customers_habits(
    without: None, caplog: pytest.LogCaptureFixture
) -> None:
    habits = '[{"feature": "count_1h", "value": "9", "words": "9 purchases in the last hour"}]'
    with caplog.at_level(logging.INFO):
        TransactionLogger(each=True).decided(
            [
                status(status="rejected", reason=None, reasons=habits),
                status(status="rejected", reason="antifraud_unavailable", reasons=None),
            ]
        )
    first, second = (record.getMessage() for record in caplog.records)
    assert "purchases" not in first
    assert "antifraud_unavailable" in second


def test_what_operators_have_to_do_is_still_said(without: None, caplog: pytest.LogCaptureFixture) -> None:
    assignment._report("store", 1, StoreUnavailable("Cassandra: no host"))
    logging.getLogger("app.x").error("Cannot start: %s", CannotStart("set TOKENS_FILE"))
    assert "Cassandra: no host" in caplog.text
    assert "set TOKENS_FILE" in caplog.text
