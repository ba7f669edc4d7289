"""One POST or one GET of the list, as a client sends it, and its answer."""

from __future__ import annotations

import json
import random
import time
from http.client import HTTPConnection, HTTPException
from urllib.parse import urlsplit

from exercises.recorded_calls import LISTED, Get, get_of
from generator.client import PATH, Answer
from generator.traffic import transaction
from reconciliation.readers import bff_url


def post() -> tuple[Answer, str]:
    """A transaction, and the error if it was not taken."""
    body, sent = json.dumps(transaction(random.Random())).encode(), time.monotonic()
    status, said = _call("POST", PATH, body)
    taken = status == 201
    id_, error = (json.loads(said)["transaction_id"], "") if taken else (None, f"{status} {said}")
    return Answer(id_, status, sent, sent, time.monotonic(), error), "" if taken else error_in(said)


def get() -> tuple[Get, str]:
    """The newest, and where they are from, or the error."""
    sent = time.monotonic()
    status, said = _call("GET", f"{PATH}?limit={LISTED}")
    found = get_of(sent, status, said)
    return found, f"from {found.source}" if status == 200 else error_in(said)


def error_in(said: str) -> str:
    """What an answer that is an error says in words; the whole text of one that is not ours."""
    try:
        return str(json.loads(said)["error"])
    except (ValueError, KeyError, TypeError):
        return said


def _call(method: str, path: str, body: bytes | None = None) -> tuple[int, str]:
    """Status (0 for none), answer."""
    target = urlsplit(bff_url())
    connection = HTTPConnection(target.hostname or "", target.port, timeout=10)
    try:
        connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
        response = connection.getresponse()
        return response.status, response.read().decode()
    except (OSError, HTTPException) as failure:
        return 0, f"{type(failure).__name__}: {failure}"
    finally:
        connection.close()
