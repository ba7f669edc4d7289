"""Logs without customers' data (setting LOG_CUSTOMER_DATA=0): texts that may quote a value are left out.

Our own lines name transactions by their ids. What may quote more is the text of an exception, and a reason made of one.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterator
from typing import Any

LEFT_OUT = "[left out]"


class Quoting(str):
    """A text for the log that may quote what a client sent."""

    __slots__ = ()


def leave_out(quoting: type[Exception]) -> None:
    """From now on, in every line of this process. The texts of our own exceptions stay, but for those of `quoting`."""
    plain = logging.getLogRecordFactory()

    def without(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = plain(*args, **kwargs)
        if isinstance(record.args, tuple):
            record.args = tuple(_shown(arg, quoting) for arg in record.args)
        if record.exc_info and record.exc_info[1] is not None:
            record.exc_text = "".join(_places(record.exc_info[1])).rstrip()
            record.exc_info = None
        return record

    logging.setLogRecordFactory(without)


def _shown(arg: object, quoting: type[Exception]) -> object:
    if isinstance(arg, Quoting):
        return LEFT_OUT
    if not isinstance(arg, BaseException):
        return arg
    is_ours = type(arg).__module__.startswith("app.") and not isinstance(arg, quoting)
    return arg if is_ours else type(arg).__name__


def _places(exc: BaseException) -> Iterator[str]:
    """An exception and those that it came from, without what they say: the places in the code, and the types."""
    before = exc.__cause__ or (None if exc.__suppress_context__ else exc.__context__)
    if before is not None:
        yield from _places(before)
        yield "\nwhich led to:\n\n"
    yield from traceback.format_tb(exc.__traceback__)
    yield f"{type(exc).__name__}: {LEFT_OUT}\n"
