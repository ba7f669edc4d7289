"""Two bffs are one: what one has taken the other shows, and a client may go from one to the other at any time."""

from __future__ import annotations

import re
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis

from infra.native import ports, stack
from infra.native.paths import LOGS
from reconciliation.readers import PATH
from tests.support import http, log
from tests.support.dead import kill
from tests.support.events import listener
from tests.support.load import nothing_lost

pytestmark = pytest.mark.usefixtures("two")

FIRST, SECOND = (f"http://{ports.endpoints(name)[0]}" for name in ("bff", "bff-2"))


@pytest.fixture(scope="module")
def two() -> Iterator[None]:
    stack.scale("bff", 2)
    yield
    stack.scale("bff", 1)


def test_what_one_bff_has_answered_with_201_the_other_one_shows_at_once_or_says_that_it_may_lack_it() -> None:
    missing, unsaid, unknown = 0, list[str](), list[str]()
    for number in range(150):
        one, other = (FIRST, SECOND) if number % 2 else (SECOND, FIRST)
        id_ = http.taken(url=one)
        page = http.page(limit=20, url=other)
        found = http.call("GET", f"{PATH}/{id_}", url=other)
        if id_ not in http.listed(page):
            missing += 1
            unsaid += [] if page["pending_may_be_missing"] else [id_]
        unknown += [id_] if found.status not in (200, 503) else []
    assert (unsaid, unknown) == ([], []), f"{missing} missing"


def test_an_idempotency_key_is_one_transaction_at_both(two: None) -> None:
    before, key = log.ends(log.CREATED), str(uuid.uuid4())

    def post(url: str) -> http.Answer:
        return http.post(
            {"description": key}, {"Content-Type": "application/json", "Idempotency-Key": key}, url
        )

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(post, [FIRST, SECOND] * 8))
    assert {answer.status for answer in answers} <= {201, 409}
    (id_,) = {answer.json["transaction_id"] for answer in answers if answer.status == 201}
    assert {post(url).json["transaction_id"] for url in (FIRST, SECOND)} == {id_}
    written = [log.decoded(record.value) for record in log.read(log.CREATED, before)]
    assert [one["transaction_id"] for one in written if one["description"] == key] == [id_]


def test_a_cursor_goes_on_at_the_other_one(two: None) -> None:
    mine = [http.taken(url=url) for url in (FIRST, SECOND) * 6]
    for id_ in mine:
        http.final(id_)
    found, cursor = list[str](), None
    for url in (FIRST, SECOND, FIRST, SECOND):
        page = http.page(limit=3, cursor=cursor, url=url)
        found += [one["transaction_id"] for one in page["transactions"]]
        cursor = page["next_cursor"]
    assert found == sorted(mine, reverse=True)


@pytest.mark.long
def test_who_listens_goes_on_at_the_other_one_when_a_bff_is_killed_and_misses_nothing(two: None) -> None:
    ids = list[str]()
    with listener(urls=[SECOND, FIRST]) as one:
        for killed, left in (("bff-2", FIRST), ("bff", SECOND)):
            ids += [http.taken(url=left) for _ in range(20)]
            kill(killed)
            ids += [http.taken(url=left) for _ in range(20)]
            stack.start(killed)
        for id_ in ids:
            one.wait_for(id_)
        time.sleep(1)
        heard = Counter(event["transaction_id"] for event in one.of("status"))
        assert one.of("gap") == []
    assert {id_: heard[id_] for id_ in ids} == dict.fromkeys(ids, 1)
    nothing_lost(ids)


def test_an_empty_redis_is_filled_by_one_of_them(two: None) -> None:
    logs = [LOGS / "bff.log", LOGS / "bff-2.log"]
    before = [path.stat().st_size for path in logs]
    id_ = http.taken()
    http.final(id_)
    redis.Redis().flushall()

    def is_complete(url: str) -> bool:
        page = http.page(url=url)
        return bool(page["source"] == "redis" and not page["pending_may_be_missing"])

    log.wait_until(lambda: is_complete(FIRST) and is_complete(SECOND), 30, "complete again, for both")
    written = [path.read_bytes()[size:] for path, size in zip(logs, before, strict=True)]
    assert sum(text.count(b"Redis was filled") for text in written) == 1
    assert id_ in http.listed(http.page(url=FIRST))


def test_what_a_bff_of_an_earlier_release_wrote_is_shown_whole_and_written_again_when_it_has_left(
    two: None,
) -> None:
    """It knew no reasons. While both are there it writes what it decides; then nobody has to empty Redis."""
    id_ = http.taken()
    http.final(id_)
    key = f"{int(id_.replace('-', '')[:12], 16) // 60_000:010d}:{id_}"
    with redis.Redis(decode_responses=True) as store:
        text = str(store.hget("transactions:entries", key))
        earlier = re.sub(r',"reasons":.*}', "}", text)
        store.hset("transactions:entries", key, earlier)
        for url in (FIRST, SECOND):
            found = http.call("GET", f"{PATH}/{id_}", url=url).json
            assert "reasons" in found, "by Cassandra's row"
        assert store.hget("transactions:entries", key) == earlier != text
        stack.stop("bff-2")
        try:
            log.wait_until(lambda: store.hget("transactions:entries", key) == text, 30, "written again")
        finally:
            stack.start("bff-2")
