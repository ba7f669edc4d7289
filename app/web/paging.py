"""The query of GET: which, how many, and from where on; cursors are opaque to clients."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping, Sequence

from multidict import MultiMapping

from app.models.status import STATUSES, Filter
from app.models.transaction import IDENTIFIER_MOST, SECONDS_MAX
from app.web.validation import InvalidRequest

DEFAULT_LIMIT = 100
LIST_PARAMETERS = ("limit", "cursor", "status", "customer_id")
FIND_PARAMETERS = ("wait",)
#: Seconds that a GET may wait for a status: less than load balancers wait for an answer.
WAIT_MOST = 30
#: A number as JSON has it, since that is what the description says.
_SECONDS = re.compile(r"-?[0-9]{1,20}(\.[0-9]{1,40})?(e[+-]?[0-9]{1,3})?")
_KEY = re.compile(r"[0-9]{10}:.{1,255}", re.DOTALL)


def check_parameters(query: MultiMapping[str], known: Sequence[str] = ()) -> None:
    """A filter that is ignored would give an answer to another question: InvalidRequest names what would be."""
    there_are = ", ".join(known) or "none"
    unknown = sorted(set(query) - set(known))[:10]
    if unknown:
        reason = f"is not a known query parameter; known here: {there_are}"
        raise InvalidRequest([{"field": name[:100], "reason": reason} for name in unknown])
    if twice := [name for name in known if len(query.getall(name, ())) > 1]:
        raise InvalidRequest([{"field": name, "reason": "is given more than once"} for name in twice])


def filter_of(query: Mapping[str, str]) -> Filter | None:
    """Which transactions are asked for, None for all; InvalidRequest."""
    status, customer_id = query.get("status"), query.get("customer_id")
    if status is not None and status not in STATUSES:
        raise InvalidRequest([{"field": "status", "reason": f"must be one of {', '.join(STATUSES)}"}])
    if customer_id is not None and not 1 <= len(customer_id) <= IDENTIFIER_MOST:
        reason = f"must have 1 to {IDENTIFIER_MOST} characters"
        raise InvalidRequest([{"field": "customer_id", "reason": reason}])
    return Filter(status, customer_id) if query.keys() & {"status", "customer_id"} else None


def limit_of(text: str | None, most: int) -> int:
    """The page's size, 1 to `most`; InvalidRequest."""
    if text is None:
        return DEFAULT_LIMIT
    if not (text.isascii() and text.isdigit() and len(text) <= 6 and 1 <= int(text) <= most):
        raise InvalidRequest([{"field": "limit", "reason": f"must be an integer from 1 to {most}"}])
    return int(text)


def wait_of(text: str | None) -> float:
    """Seconds to wait for a status, 0 to WAIT_MOST; InvalidRequest."""
    if text is None:
        return 0.0
    if not (_SECONDS.fullmatch(text) and 0 <= float(text) <= WAIT_MOST):
        raise InvalidRequest([{"field": "wait", "reason": f"must be seconds from 0 to {WAIT_MOST}"}])
    return float(text)


def cursor_of(key: str | None) -> str | None:
    """The cursor for the page after a sort key."""
    return None if key is None else base64.urlsafe_b64encode(key.encode()).decode().rstrip("=")


def key_of(cursor: str | None) -> str | None:
    """The sort key in a cursor of ours; InvalidRequest for any other text."""
    if cursor is None:
        return None
    try:
        key = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        key = ""
    # Beyond the year 9999 no month has a name that a list could be read by.
    if not _KEY.fullmatch(key) or cursor_of(key) != cursor or int(key[:10]) > SECONDS_MAX // 60:
        raise InvalidRequest(
            [{"field": "cursor", "reason": "is none of ours: pass a next_cursor as it was given"}]
        )
    return key
