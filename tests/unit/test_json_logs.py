"""LOG_FORMAT=json: each event is one JSON object, with the ids that lead from one log to the other."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import make_mocked_request

from app.observability import json_logs
from app.observability.json_logs import JsonFormatter
from app.observability.transaction_logger import TransactionLogger
from app.web import request_id
from infra.native import processes
from tests.unit.samples import status, transaction

ROOT = Path(__file__).parents[2]
ID = "017a22b2-6ae0-7000-8000-000000000001"
#: Logs as a worker does: Faust sets its logging up by what the app gives it.
WORKER = """
import logging
from mode.utils.logging import setup_logging
from app.main import app
setup_logging(loglevel="info", logging_config=dict(app.conf.logging_config) if app.conf.logging_config else None)
log = logging.getLogger("app.x")
log.info("two\\nlines, and %s", "«words»")
try:
    1 / 0
except ZeroDivisionError:
    log.exception("a bug")
"""
REPLICA = 'import os, logging; from antifraud import logs; logs.configure("antifraud-1", os.environ)'
GENERATOR = 'import os, logging; from generator import logs; logs.configure("generator", os.environ)'
SAYS = '; logging.getLogger("x").info("says\\n%s", "so", extra={"transaction_id": "t"})'


def logged(code: str, form: str = "json") -> list[str]:
    environment = {name: value for name, value in os.environ.items() if "LOG_FORMAT" not in name}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=environment | {"PAYMENTS_LOG_FORMAT": form},
        capture_output=True,
        text=True,
        check=True,
    )
    return (done.stdout + done.stderr).splitlines()


def test_a_workers_log_is_one_object_per_event_whatever_is_in_it() -> None:
    first, second = map(json.loads, logged(WORKER))
    assert first.keys() == {"time", "level", "logger", "process", "message"}
    assert first["message"] == "two\nlines, and «words»"
    assert (first["level"], first["logger"], first["process"]) == ("INFO", "app.x", "main")
    assert second["level"] == "ERROR"
    assert second["exception"].splitlines()[-1] == "ZeroDivisionError: division by zero"


def test_without_the_setting_it_is_text_as_before() -> None:
    lines = logged(WORKER, "text")
    assert lines[0].endswith("two")
    assert "[INFO]" in lines[0]


def test_a_replica_and_the_generator_log_in_the_same_words() -> None:
    (replica,), (generator,) = (list(map(json.loads, logged(code + SAYS))) for code in (REPLICA, GENERATOR))
    assert replica.keys() == {"time", "level", "logger", "process", "message"}
    assert (replica["process"], generator["process"]) == ("antifraud-1", "generator")
    assert generator["transaction_id"] == "t"
    assert replica["message"] == generator["message"] == "says\nso"
    assert "says" in logged(REPLICA + SAYS, "text")[0]


def lines_of(caplog: pytest.LogCaptureFixture, trace: str = "") -> list[dict[str, Any]]:
    formatter = JsonFormatter("bff", lambda: trace)
    return [json.loads(formatter.format(record)) for record in caplog.records]


def test_a_line_has_the_id_of_the_request_at_work_and_of_its_trace(caplog: pytest.LogCaptureFixture) -> None:
    before = json_logs.request_id.set("")
    try:
        id_ = request_id.begin(make_mocked_request("GET", "/"))
        logging.getLogger("x").warning("in a request")
        (line,) = lines_of(caplog, trace="0af7651916cd43dd8448eb211c80319c")
    finally:
        json_logs.request_id.reset(before)
    assert line["request_id"] == id_
    assert line["trace_id"] == "0af7651916cd43dd8448eb211c80319c"


def test_outside_of_both_it_has_neither(caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("x").warning("alone")
    assert lines_of(caplog)[0].keys() == {"time", "level", "logger", "process", "message"}


def test_a_transactions_line_has_its_id_as_a_field(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "transactions")
    transaction_logger = TransactionLogger(each=True)
    transaction_logger.arrived(ID)
    transaction_logger.decided([status(transaction(transaction_id=ID))])
    assert [line["transaction_id"] for line in lines_of(caplog)] == [ID, ID]


@pytest.mark.parametrize("form", ["text", "json"])
def test_the_launcher_finds_what_a_worker_waits_for_in_either_form(
    form: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = "Waiting for Kafka: no broker at 127.0.0.1:9092 answers"
    logging.getLogger("app.resources").warning(words)
    text = JsonFormatter("bff").format(caplog.records[0]) if form == "json" else f"[x] [1] [WARNING] {words}"
    monkeypatch.setattr(processes, "last_words", lambda name, count: f"    {text}")
    assert processes.waits_for("bff") == words
