"""The comparison of the stores, on plain data: each difference is named by id."""

import asyncio
import struct
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import fastavro
import pytest
from aiohttp import web

from history.features import FEATURES
from reconciliation import readers
from reconciliation.readers import Verdict
from reconciliation.reconcile import Reconciliation, compare
from tests.support.feed import new_id
from tests.unit.http_server import serving

GOOD = Verdict(1, "accepted", 0.9, None, "m1")
IDS = ("a", "b", "c")

Places = dict[str, dict[str, Any]]


def all_there() -> Places:
    """Every id once in every place, accepted."""
    status = dict.fromkeys(IDS, "accepted")
    return {
        "created": dict.fromkeys(IDS, 1),
        "published": {id_: [GOOD] for id_ in IDS},
        "stored": dict(status),
        "listed": dict(status),
        "shown": dict(status),
    }


def reconciliation(change: Callable[[Places], object] = lambda _: None) -> Reconciliation:
    """The comparison after one thing was changed."""
    there = all_there()
    change(there)
    return compare(IDS, **there)


def test_all_ids_everywhere_with_one_status_agree() -> None:
    result = reconciliation()
    assert result.agrees
    assert result.faults() == []
    assert result.there == dict.fromkeys(all_there(), 3)
    assert result.statuses == {"accepted": 3}


@pytest.mark.parametrize("place", all_there())
def test_what_is_missing_in_one_store_is_named_by_id(place: str) -> None:
    result = reconciliation(lambda there: there[place].pop("b"))
    assert not result.agrees
    assert result.faults() == [f"missing in {place}: b"]
    assert result.lost == ["b"]
    assert result.there[place] == 2


def test_a_transaction_missing_everywhere_is_lost_once() -> None:
    def nowhere(there: Places) -> None:
        for place in there.values():
            del place["c"]

    result = reconciliation(nowhere)
    assert result.lost == ["c"]
    assert len(result.faults()) == 5


def test_an_unknown_id_is_ignored_in_every_store() -> None:
    def stranger(there: Places) -> None:
        there["created"]["x"] = 7
        there["published"]["x"] = [GOOD, GOOD._replace(status="rejected")]
        for place in ("stored", "listed", "shown"):
            there[place]["x"] = "pending"

    assert reconciliation(stranger) == reconciliation()


@pytest.mark.parametrize(
    "other",
    [
        {"status": "rejected"},
        {"score": 0.8},
        {"score": None},
        {"reason": "antifraud_unavailable"},
        {"model_version": "m2"},
    ],
    ids=str,
)
def test_two_verdicts_for_one_revision_are_found_whatever_differs(other: dict[str, Any]) -> None:
    result = reconciliation(lambda there: there["published"]["a"].insert(0, GOOD._replace(**other)))
    assert result.flipped == ["a"]
    assert not result.agrees
    assert "published with two verdicts for one revision: a" in result.faults()


def test_a_repeated_verdict_is_counted_and_not_an_error() -> None:
    result = reconciliation(lambda there: there["published"]["a"].append(GOOD))
    assert result.published_again == 1
    assert result.agrees


def test_a_later_revision_is_not_a_second_verdict_and_is_the_one_that_counts() -> None:
    def assessed_again(there: Places) -> None:
        # out of order, and without the score that the first has
        there["published"]["a"] = [GOOD._replace(revision=2, status="rejected", score=None), GOOD]
        for place in ("stored", "listed", "shown"):
            there[place]["a"] = "rejected"

    assert reconciliation(assessed_again).agrees


@pytest.mark.parametrize("place", ["stored", "listed", "shown"])
def test_a_store_with_another_status_is_named(place: str) -> None:
    result = reconciliation(lambda there: there[place].update(b="rejected"))
    assert list(result.differing) == ["b"]
    assert result.differing["b"][place] == "rejected"
    assert not result.agrees
    assert f"{place} says rejected" in result.faults()[0]


def test_a_second_record_in_transaction_created_is_an_error() -> None:
    result = reconciliation(lambda there: there["created"].update(a=2))
    assert result.created_again == 1
    assert not result.agrees


def test_pending_everywhere_is_not_yet_right() -> None:
    def undecided(there: Places) -> None:
        there["published"]["a"] = [GOOD._replace(revision=0, status="pending")]
        for place in ("stored", "listed", "shown"):
            there[place]["a"] = "pending"

    result = reconciliation(undecided)
    assert not result.agrees
    assert result.faults() == ["1 still pending"]


def test_an_id_acknowledged_twice_counts_once() -> None:
    assert compare(["a", "a"], **all_there()).sent == 1


SCHEMA = fastavro.schema.load_schema(
    Path(__file__).parents[2] / "schemas" / "avro" / "transaction_status.avsc", _write_hint=False
)


def framed(record: dict[str, Any], number: int) -> bytes:
    """A record in Confluent's wire format."""
    to = BytesIO()
    fastavro.schemaless_writer(to, SCHEMA, record)
    return struct.pack(">bI", 0, number) + to.getvalue()


def decoded(value: bytes) -> dict[str, Any]:
    """What the reader makes of it, with schema 7 already known."""
    known = {7: fastavro.parse_schema(SCHEMA)}
    return asyncio.run(readers._decoded(value, known, registry=None))  # type: ignore[arg-type]


def test_a_status_record_is_read_as_its_schema_says_and_has_every_field_of_a_verdict() -> None:
    record = {
        field["name"]: {"string": "text", "int": 3, "long": 1 << 40, "double": 0.5}.get(str(field["type"]))
        for field in SCHEMA["fields"]
    } | {"status": "accepted", "history": dict.fromkeys(FEATURES, -1)}
    assert decoded(framed(record, 7)) == record
    assert set(Verdict._fields) <= set(record)


def test_a_record_without_the_wire_formats_first_byte_is_refused() -> None:
    with pytest.raises(ValueError, match="wire format"):
        decoded(b'{"transaction_id": "a"}')


def test_the_topics_are_read_from_when_the_oldest_id_was_made() -> None:
    older, newer = new_id(at=1_700_000_000), new_id(at=1_700_000_100)
    assert readers.made([newer, older]) == 1_700_000_000_000 - readers.CLOCKS_APART


@pytest.mark.parametrize("ids", [[], ["of-another-form"], [str(uuid4())]])
def test_if_an_id_carries_no_time_the_whole_topic_is_read(ids: list[str]) -> None:
    assert readers.made(ids) is None
    assert readers.made([*ids, new_id()]) is None or not ids


@pytest.mark.parametrize(
    ("answers", "shown", "asked"),
    [
        ([200], "accepted", 1),
        ([503, 200], "accepted", 2),
        ([503] * 9, None, readers.TRIES),
        ([404, 200], None, 1),
    ],
)
def test_a_get_that_no_store_could_answer_is_asked_again_and_says_nothing_of_a_loss(
    monkeypatch: pytest.MonkeyPatch, answers: list[int], shown: str | None, asked: int
) -> None:
    left = iter(answers)

    async def answer(_: web.Request) -> web.Response:
        return web.json_response({"status": "accepted"}, status=next(left))

    async def main() -> str | None:
        async with serving({f"{readers.PATH}/a": answer}) as port, aiohttp.ClientSession() as session:
            monkeypatch.setattr(readers, "bff_url", lambda: f"http://127.0.0.1:{port}")
            return await readers.status_of(session, "a")

    monkeypatch.setattr(readers, "AGAIN_AFTER", 0.0)
    assert asyncio.run(main()) == shown
    assert len(answers) - len(list(left)) == asked
