"""How the generator logs: text, or JSON with an object per line (LOG_FORMAT=json), worded as the workers' logs are."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping
from datetime import UTC, datetime

TEXT = "%(asctime)s %(levelname)s %(message)s"


class JsonFormatter(logging.Formatter):
    """Time (UTC), level, logger, process, message and transaction_id; the trace of an exception beside it."""

    def __init__(self, process: str):
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "process": self._process,
            "message": record.getMessage(),
            "transaction_id": getattr(record, "transaction_id", ""),
            "exception": self.formatException(record.exc_info) if record.exc_info else "",
        }
        return json.dumps({name: value for name, value in line.items() if value}, ensure_ascii=False)


def configure(process: str, environment: Mapping[str, str]) -> None:
    """Log to stdout, from INFO on."""
    handler = logging.StreamHandler(sys.stdout)
    chosen = environment.get("PAYMENTS_LOG_FORMAT") or environment.get("LOG_FORMAT")
    handler.setFormatter(JsonFormatter(process) if chosen == "json" else logging.Formatter(TEXT))
    logging.basicConfig(handlers=[handler], level=logging.INFO)
