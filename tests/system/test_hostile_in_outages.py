"""In each outage the bff still answers honest and hostile clients in its own format.

No 500; every 503 is a problem+json that says when to retry and under which id it is in the log.
"""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import chain
from typing import Any

import pytest
import redis

from exercises.faults import PartLog
from infra.native import stack
from reconciliation.readers import PATH
from tests.support import hostile, http, log
from tests.support.dead import kill, whole
from tests.support.http import Answer
from tests.support.load import nothing_lost
from tests.support.meanwhile import again_and_again

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("whole_again")]

NODES = ("cassandra-1", "cassandra-2", "cassandra-3")
COUNT = 200
#: Seconds for an answer: the bff's own time-outs are 1.8 for Kafka and 2 for an Idempotency-Key.
PATIENCE = 2.5
WORKER = "http://127.0.0.1:5002"
SEEDS = iter(range(1, 100))


def honest(known: str) -> list[Answer]:
    """One call of each kind, concurrently."""
    body = json.dumps(http.EXAMPLE).encode()
    key = {"Idempotency-Key": str(uuid.uuid4())}
    calls: list[Callable[[], Answer]] = [
        lambda: http.call("GET"),
        lambda: http.call("GET", f"{PATH}?limit=1000"),
        lambda: http.call("GET", f"{PATH}/{known}"),
        lambda: http.call("GET", f"{PATH}/{uuid.uuid4()}"),
        lambda: http.call("POST", PATH, body),
        lambda: http.call("POST", PATH, body, key),
        lambda: http.call("GET", "/health/live"),
        lambda: http.call("GET", "/health/ready"),
        lambda: http.call("GET", "/metrics"),
        lambda: http.call("GET", "/health/ready", url=WORKER),
    ]
    with ThreadPoolExecutor(len(calls)) as pool:
        return [one.result() for one in [pool.submit(call) for call in calls]]


def faults(answer: Answer) -> Iterator[str]:
    """What is wrong with the form of an answer."""
    headers = {name.lower(): value for name, value in answer.headers.items()}
    if answer.status >= 200 and not headers.get("x-request-id"):
        yield "no X-Request-Id"
    if answer.status < 500:
        return
    if answer.status != 503:
        yield "not a 503"
    if not headers.get("retry-after", "").isdigit():
        yield "no Retry-After"
    if headers.get("content-type") != "application/problem+json":
        yield "not a problem+json"
    elif answer.body and answer.json["request_id"] != headers["x-request-id"]:
        yield "another request_id in the body"
    if b"127.0.0." in answer.body:
        yield "an address"


class Clients:
    """Sends everything in each state and collects what was wrong."""

    def __init__(self) -> None:
        self.known = http.taken()
        self.taken: list[str] = []
        self.wrong: list[tuple[str, list[str], Answer]] = []

    def ask(self, state: str, expected: int | None = None) -> None:
        """`expected`: a status that some honest call must get, otherwise the state was not reached."""
        polite = honest(self.known)
        rude = asyncio.run(hostile.answers(hostile.requests(next(SEEDS), COUNT), PATIENCE))
        for answer in chain(polite, rude):
            if found := list(faults(answer)):
                self.wrong.append((state, found, answer))
        statuses = [answer.status for answer in polite]
        print(state, statuses, dict(Counter(answer.status for answer in rude)))  # noqa: T201
        assert expected is None or expected in statuses, (state, statuses)
        self.taken += [
            answer.json["transaction_id"] for answer in chain(polite, rude) if answer.status == 201
        ]


def ready(url: str | None = None) -> tuple[int, dict[str, Any]]:
    """Status and parts."""
    answer = http.call("GET", "/health/ready", url=url)
    return answer.status, answer.json["parts"]


def nodes_die_one_by_one() -> None:
    """With one node left both roles still work and report it; with none the worker is not ready."""
    for node, word in zip(NODES, ("ok (2 of 3 nodes up)", "1 of 3 nodes up: no quorum"), strict=False):
        kill(node)
        for url in (None, WORKER):
            log.wait_until(partial(says, url, word), 5, f"{word}, by {url or 'the bff'}")
            assert ready(url)[0] == 200, ready(url)
    kill(NODES[2])
    log.wait_until(lambda: ready(WORKER)[0] == 503, 5, "the worker is not ready without Cassandra")
    assert ready()[0] == 200, "the bff has Redis"


def says(url: str | None, word: str) -> bool:
    return bool(ready(url)[1]["cassandra"] == word)


def the_log_has_the_reason_under_the_requests_id() -> None:
    said, mine = PartLog("bff"), f"outage-{time.time_ns()}"
    answer = http.post(headers={"Idempotency-Key": mine, "X-Request-Id": mine})
    assert (answer.status, answer.json["request_id"], answer.headers["X-Request-Id"]) == (503, mine, mine)
    log.wait_until(lambda: bool(said.lines(mine, "503", "Cassandra")), 2, "the reason")


def test_no_500_and_every_503_in_our_form_in_each_outage() -> None:
    clients = Clients()
    # Redis loses its data faster than the bff fills it.
    with redis.Redis() as client, again_and_again(client.flushall, 0.05):
        clients.ask("Redis being rebuilt")
    kill("kafka")
    clients.ask("Kafka down", 503)
    stack.start("kafka")
    kill("redis")
    clients.ask("Redis down")
    stack.start("redis")
    nodes_die_one_by_one()
    the_log_has_the_reason_under_the_requests_id()
    clients.ask("Cassandra down", 503)
    kill("redis")
    clients.ask("Redis and Cassandra down", 503)
    stack.start("redis")
    redis.Redis().flushall()
    clients.ask("Cassandra down, Redis back and empty", 503)
    whole()
    assert not clients.wrong, clients.wrong[:10]
    nothing_lost([clients.known, *clients.taken])
