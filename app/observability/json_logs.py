"""Logs as JSON, an object per line, for those who collect them (setting LOG_FORMAT=json)."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

#: The id of the HTTP request at work; empty outside of one. app.web.request_id sets it.
request_id: ContextVar[str] = ContextVar("request_id", default="")


def no_trace() -> str:
    """Where nothing is traced."""
    return ""


class JsonFormatter(logging.Formatter):
    """A line has time (UTC), level, logger, process and message; request_id, trace_id, transaction_id where known.

    A transaction's id comes from the call: `log.info(…, extra={"transaction_id": …})`. An exception's trace is in
    `exception`, so that an event is one line whatever happens.
    """

    def __init__(self, process: str, trace_id: Callable[[], str] = no_trace):
        """`process`: the role's name; `trace_id`: of the trace at work, empty if there is none."""
        super().__init__()
        self._process = process
        self._trace_id = trace_id

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "process": self._process,
            "message": record.getMessage(),
            "request_id": request_id.get(),
            "trace_id": self._trace_id(),
            "transaction_id": getattr(record, "transaction_id", ""),
            "exception": self.formatException(record.exc_info) if record.exc_info else record.exc_text or "",
        }
        return json.dumps({name: value for name, value in line.items() if value}, ensure_ascii=False)


def config(process: str, trace_id: Callable[[], str] = no_trace) -> dict[str, Any]:
    """For Faust's setting `logging_config`: its own, with this formatter in place of the coloured one."""
    formatter = {"()": JsonFormatter, "process": process, "trace_id": trace_id}
    return {"version": 1, "merge": True, "formatters": {"colored": formatter}}
