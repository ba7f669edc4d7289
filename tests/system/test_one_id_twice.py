"""One transaction_id is decided once, whoever writes it again, wherever, whenever, with any content."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from infra.native import stack
from reconciliation import readers
from tests.support import commands, http, log
from tests.support.feed import Feed, new_id, partition_of, record
from tests.system.test_metrics import scraped, total

WORKER, GROUP = "transactions", "transactions"
OTHER_CONTENT = "transaction_id is decided already, for other content"
#: By how many offsets a group is rewound: more than one micro-batch of each partition.
BACK = 2500

#: Transactions, each as its fields.
Records = Sequence[dict[str, Any]]


@pytest.fixture(autouse=True)
def _one_worker_at_the_end() -> Iterator[None]:
    yield
    if stack.current_scale("transactions") > 1:
        stack.scale("transactions", 1)


def id_at_home(partition: int) -> str:
    """A new id whose key belongs in this partition."""
    while partition_of(id_ := new_id()) != partition:
        pass
    return id_


def write(partitions: Sequence[int], records: Records) -> None:
    """Write each to its partition; wait until all are committed."""
    feed = Feed()
    values = [(p, r["transaction_id"].encode(), log.framed(feed.schema_id, feed.schema, r))
              for p, r in zip(partitions, records, strict=True)]  # fmt: skip
    log.produce(values)
    log.wait_until(lambda: log.lag(GROUP) == 0, 60, "all of them finished")


def published_once(ids: Sequence[str]) -> None:
    """Each is once in transaction_status, once in the list, and all stores agree."""
    published = asyncio.run(readers.published(ids))
    assert {id_: len(published[id_]) for id_ in ids} == dict.fromkeys(ids, 1)
    listed = Counter(entry["transaction_id"] for entry in http.page(1000)["transactions"])
    assert {listed[id_] for id_ in ids} == {1}
    assert "all agree" in commands.done("verify")


def dead_letters(ids: Sequence[str], before: log.Offsets) -> list[str]:
    """The reasons of the dead letters of these."""
    keys = {id_.encode() for id_ in ids}
    return [
        dict(one.headers)["dead_letter.reason"].decode()
        for one in log.read(log.DEAD_LETTER, before)
        if one.key in keys
    ]


@pytest.mark.parametrize("id_form", ["ours", pytest.param("foreign", marks=pytest.mark.long)])
def test_written_again_by_a_producer_that_retries_it_is_counted_and_dropped(id_form: str) -> None:
    id_ = new_id() if id_form == "ours" else f"foreign-{new_id()}"
    one, before, duplicates = (
        record(id_),
        log.ends(log.DEAD_LETTER),
        total(scraped(WORKER), "payments_duplicates_skipped_total"),
    )
    write([2, 2, 0, 1, 2, 3], [one] * 6)
    verdict = http.final(id_)
    write([0, 1, 2, 3], [one] * 4)
    assert http.final(id_) == verdict
    assert total(scraped(WORKER), "payments_duplicates_skipped_total") - duplicates == 9
    assert dead_letters([id_], before) == []
    published_once([id_])


def test_with_other_content_it_is_a_dead_letter_and_the_first_decision_stands() -> None:
    ids, before = [id_at_home(number % 4) for number in range(8)], log.ends(log.DEAD_LETTER)
    counted = total(scraped(WORKER), "payments_other_content_total")
    firsts = [record(id_) for id_ in ids]
    others = [{**one, "value_in_cents": one["value_in_cents"] + 1} for one in firsts]
    write([(n + 1) % 4 for n in range(8)], firsts)
    verdicts = {id_: http.final(id_) for id_ in ids}
    write([n % 4 for n in range(8)], others)  # a worker that starts may get these before the first ones
    assert {id_: http.final(id_) for id_ in ids} == verdicts
    assert dead_letters(ids, before) == [OTHER_CONTENT] * 8
    assert total(scraped(WORKER), "payments_other_content_total") - counted == 8
    published_once(ids)


@pytest.mark.long
def test_a_worker_that_starts_knows_what_was_decided_and_a_group_that_lost_its_offsets_decides_nothing_again() -> (
    None
):
    ids, before = [new_id() for _ in range(20)], log.ends(log.DEAD_LETTER)
    firsts = [record(id_) for id_ in ids]
    write([n % 4 for n in range(20)], firsts)
    stack.stop(WORKER)
    log.rewind(GROUP, {p: max(0, end - BACK) for p, end in log.ends(log.CREATED).items()})
    ends = log.ends(log.STATUS)
    stack.start(WORKER)
    log.wait_until(lambda: log.lag(GROUP) == 0, 120, "what it had is read again")
    write([(n + 1) % 4 for n in range(20)], firsts)
    assert log.read(log.STATUS, ends) == [], "decided again"
    assert dead_letters(ids, before) == []
    published_once(ids)


@pytest.mark.long
def test_two_workers_decide_it_once_wherever_its_key_does_not_belong() -> None:
    stack.scale("transactions", 2)
    log.wait_until(lambda: sorted(map(len, log.members(GROUP))) == [2, 2], 30, "each has two partitions")
    shares = log.members(GROUP)
    ids = [new_id() for _ in range(40)]
    firsts, before = [record(id_) for id_ in ids], log.ends(log.DEAD_LETTER)
    write([partition_of(id_) for id_ in ids], firsts)
    others_share = [next(share for share in shares if partition_of(id_) not in share)[0] for id_ in ids]
    ends = log.ends(log.STATUS)
    write(others_share, firsts)
    write(others_share, [{**one, "description": "something else"} for one in firsts])
    assert log.read(log.STATUS, ends) == [], "decided again"
    assert dead_letters(ids, before) == [OTHER_CONTENT] * 40
    published_once(ids)
