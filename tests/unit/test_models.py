"""The values: ids that sort by time, a transaction's partition, what can be stored, what is shown."""

import re
import time
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest

from app.models.assessment import ANTIFRAUD_UNAVAILABLE, unassessed
from app.models.status import (
    TransactionStatus,
    assessed,
    decided,
    decided_again,
    shadow_verdict,
    shown,
    sort_key,
)
from app.models.transaction import (
    ID_HEADER,
    SHARDS,
    TransactionRequest,
    bucket_of,
    bucket_of_id,
    id_of_record,
    new_transaction,
    shard_of,
    unstorable,
    uuid7,
    with_id,
)
from app.stores.transactions_table import first_minute, month_of, row_of
from tests.unit.samples import BAD, GOOD, MINUTE, NOW, status, transaction

FOREIGN = "16f051bb-14e0-4fda-95e5-507d01ea37dc"


def test_a_new_id_is_a_uuid_of_version_7_in_lower_case() -> None:
    for _ in range(1_000):
        text = uuid7(NOW)
        assert str(UUID(text)) == text
        assert (UUID(text).version, UUID(text).variant) == (7, "specified in RFC 4122")


@pytest.mark.parametrize("now", [0.0, 1.0, NOW + 0.123, NOW + 0.999, 253_402_300_799.0])
def test_an_id_holds_its_time_in_milliseconds(now: float) -> None:
    assert UUID(uuid7(now)).int >> 80 == int(now * 1000)


def test_ids_sort_by_time() -> None:
    ids = [uuid7(NOW + millis / 1000 + 0.0005) for millis in range(2_000)]
    assert ids == sorted(ids)


def test_ids_of_the_same_millisecond_differ_in_every_random_bit() -> None:
    ids = [UUID(uuid7(NOW)).int for _ in range(2_000)]
    assert len(set(ids)) == 2_000
    seen = 0
    for one in ids:
        seen |= one ^ ids[0]
    assert seen == 0xFFF << 64 | (1 << 62) - 1


def test_our_ids_are_stored_under_their_own_minute_whatever_the_event_says() -> None:
    assert bucket_of(uuid7(NOW), event_timestamp=5) == MINUTE
    assert bucket_of_id(uuid7(NOW)) == MINUTE


FOREIGN_IDS = [
    FOREIGN,
    "1",
    "",
    "z" * 36,
    "7" * 36,
    FOREIGN.replace("-", "_"),
    "0197a4c2-3d10-7b1e-9c55-0f6f3a8c21d",  # short by one
    "0197a4c2-3d10-7b1e-9c55-0f6f3a8c21d4-",
    "0197a4c2-3d10-7b1e-9c55-0f6f3a8c21dg",  # no hexadecimal digit
    "0197a4c2-3d10-7b1e-cc55-0f6f3a8c21d4",  # another variant
    "0197A4C2-3D10-7B1E-9C55-0F6F3A8C21D4",  # sorts elsewhere
    "-0000001-0000-7000-8000-000000000000",  # signs, underscores and other scripts' digits are numbers to Python
    "+1_34567-0000-7000-8000-000000000000",
    "\u0661" * 8 + "-0000-7000-8000-000000000000",
    "0197a4c2-3d10-7b1e-9c55-0f6f3a8c21d\n",
]


@pytest.mark.parametrize("foreign", FOREIGN_IDS)
def test_a_foreign_id_is_stored_under_its_events_minute(foreign: str) -> None:
    assert bucket_of_id(foreign) is None
    assert bucket_of(foreign, NOW) == MINUTE


def test_a_shard_depends_on_the_id_alone_and_never_changes() -> None:
    ids = ["0197a4c2-3d10-7b1e-9c55-0f6f3a8c21d4", FOREIGN, "", "é"]
    assert [shard_of(id_) for id_ in ids] == [3, 0, 0, 2]  # part of the stored data's layout
    assert SHARDS == 4


def test_the_transactions_of_one_minute_are_spread_evenly_over_the_shards() -> None:
    shards = [shard_of(uuid7(NOW)) for _ in range(8_000)]
    assert all(1_700 < shards.count(shard) < 2_300 for shard in range(SHARDS))


def test_a_new_transaction_has_the_requests_fields_an_id_and_its_arrival_time() -> None:
    fields = {k: v for k, v in transaction().items() if k not in ("transaction_id", "event_timestamp")}
    made = new_transaction(TransactionRequest.model_validate(fields), now=NOW + 0.9)
    assert made == transaction(transaction_id=made["transaction_id"], event_timestamp=NOW)
    assert bucket_of_id(made["transaction_id"]) == MINUTE


@pytest.mark.parametrize("now", [NOW, NOW + 0.9, NOW + 0.9999999, 1.9999999999999998])
def test_the_same_request_under_the_same_id_is_the_same_record(now: float) -> None:
    fields = {k: v for k, v in transaction().items() if k not in ("transaction_id", "event_timestamp")}
    request = TransactionRequest.model_validate(fields)
    first, again = new_transaction(request, now), new_transaction(request, now + 3600)
    assert with_id(again, first["transaction_id"]) == first


def test_without_a_time_it_is_now() -> None:
    fields = {k: v for k, v in transaction().items() if k not in ("transaction_id", "event_timestamp")}
    before = int(time.time())
    assert (
        before <= new_transaction(TransactionRequest.model_validate(fields))["event_timestamp"] <= time.time()
    )


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"latitude": -1e308, "longitude": 0.0},
        {"transaction_id": "x"},
        {"transaction_id": "x" * 255},
        {"description": "x" * 1000, "customer_id": "", "merchant_id": "x" * 255},
        {"event_timestamp": 0},
        {"event_timestamp": NOW + 3600},
        {"transaction_id": uuid7(NOW + 3600)},
        {"value_in_cents": 1, "transaction_timestamp": -(2**63)},
        {"value_in_cents": 2**63 - 1, "transaction_timestamp": 2**63 - 1},
    ],
)
def test_a_valid_record_of_another_producer_is_stored(changes: dict[str, object]) -> None:
    one = transaction(**changes)
    assert unstorable(one, NOW) is None
    bucket = bucket_of(one["transaction_id"], one["event_timestamp"])
    assert first_minute(month_of(bucket)) <= bucket
    assert re.fullmatch(r"\d{10}:.+", sort_key(one["transaction_id"], one["event_timestamp"]))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"latitude": float("nan")}, "latitude"),
        ({"longitude": float("inf")}, "longitude"),
        ({"longitude": float("-inf")}, "longitude"),
        ({"description": "x" * 1001}, "description"),
        ({"customer_id": "x" * 256}, "customer_id"),
        ({"merchant_id": "x" * 256}, "merchant_id"),
        ({"transaction_id": ""}, "transaction_id"),
        ({"transaction_id": "x" * 256}, "transaction_id"),
        ({"event_timestamp": -1}, "event_timestamp"),
        ({"value_in_cents": 0}, "value_in_cents"),
        ({"value_in_cents": -(2**63)}, "value_in_cents"),
        ({"event_timestamp": NOW + 3601}, "event_timestamp"),
        ({"event_timestamp": NOW * 1000}, "event_timestamp"),
        ({"transaction_id": uuid7(NOW + 3661)}, "transaction_id"),
        ({"event_timestamp": 2**63 - 1}, "event_timestamp"),
        ({"transaction_id": "ffffffff-ffff-7000-8000-000000000000"}, "transaction_id"),
    ],
)
def test_an_invalid_transaction_is_refused_by_its_field(changes: dict[str, object], says: str) -> None:
    assert (unstorable(transaction(**changes), NOW) or "").startswith(says)


def test_a_verdict_is_the_whole_transaction_with_its_assessment_and_its_source() -> None:
    made = decided(transaction(), GOOD, partition=3, offset=41, now_ms=99)
    assert transaction().items() <= made.items()
    assert (made["status"], made["revision"], made["decided_at"]) == ("accepted", 1, 99)
    assert (made["source_partition"], made["source_offset"]) == (3, 41)
    assert assessed(made) == {
        "revision": 1,
        "decided_at": 99,
        "score": 0.9,
        "reason": None,
        "model_version": "model-1",
        "threshold": 0.5,
        "replica": "antifraud-1",
        "reasons": [],
    }


def test_what_a_second_model_says_is_on_record_and_neither_shown_nor_stored() -> None:
    said = replace(GOOD, shadow_score=0.1, shadow_version="model-2")
    made = decided(transaction(), said, partition=3, offset=41, now_ms=99)
    assert (made["shadow_score"], made["shadow_version"]) == (0.1, "model-2")
    without = decided(transaction(), GOOD, partition=3, offset=41, now_ms=99)
    assert (without["shadow_score"], without["shadow_version"]) == (None, None)
    assert (assessed(made), shown(made, made["status"])) == (
        assessed(without),
        shown(without, without["status"]),
    )
    assert row_of((MINUTE, 0), made) == row_of((MINUTE, 0), without)


def test_how_many_were_assessed_in_one_call_is_on_record_also_of_a_reassessment() -> None:
    made = decided(transaction(), replace(GOOD, batch_size=12), 3, 41, 99)
    assert made["batch_size"] == 12
    assert decided_again(made, replace(BAD, batch_size=1), now_ms=100)["batch_size"] == 1


def test_a_reassessment_has_what_the_second_model_says_then() -> None:
    said = replace(GOOD, shadow_score=0.1, shadow_version="model-2")
    again = decided_again(decided(transaction(), said, 3, 41, 99), replace(BAD, shadow_score=0.3), now_ms=100)
    assert (again["status"], again["shadow_score"], again["shadow_version"]) == ("rejected", 0.3, None)


@pytest.mark.parametrize(("score", "says"), [(0.49, "rejected"), (0.5, "accepted"), (None, None)])
def test_a_second_model_would_decide_at_the_verdicts_threshold(score: float | None, says: str | None) -> None:
    assert shadow_verdict(status(shadow_score=score)) == says
    row = {name: value for name, value in status().items() if not name.startswith("shadow")}
    assert shadow_verdict(row) is None  # type: ignore[arg-type]


def test_an_unassessed_rejection_has_the_reason_and_no_score() -> None:
    assessments = unassessed(3)
    assert [(a.verdict, a.score, a.reason) for a in assessments] == [
        ("rejected", None, ANTIFRAUD_UNAVAILABLE)
    ] * 3


def test_the_list_shows_the_ten_keys_of_the_contract() -> None:
    assert shown(status(), "accepted") == {**transaction(), "status": "accepted"}
    assert len(shown(status(), "accepted")) == 10


def test_sort_keys_sort_as_the_list_does() -> None:
    ours, later = uuid7(NOW), uuid7(NOW + 0.5)
    keys = [
        sort_key("zzz", 59),
        sort_key(FOREIGN, NOW - 60),
        *sorted([sort_key(FOREIGN, NOW), sort_key(ours, 0), sort_key(later, 0)]),
        sort_key(uuid7(NOW + 60), 0),
        sort_key("a", 253_402_300_799),
    ]
    assert keys == sorted(keys)
    assert sort_key(ours, 0) < sort_key(later, 0)
    assert sort_key("zzz", 59) == "0000000000:zzz"


def test_every_field_has_its_unit_in_the_docs() -> None:
    text = (Path(__file__).parents[2] / "docs" / "transaction.md").read_text()
    table = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    named = {name for cell in table for name in re.findall(r"`(\w+)`", cell)}
    assert named == {*TransactionStatus.__annotations__, "label", "labelled_at"}


def test_a_record_names_its_transaction_in_a_header_and_one_of_before_in_its_key() -> None:
    assert id_of_record(b"a customer", [("traceparent", b"00-"), (ID_HEADER, b"an id")]) == "an id"
    assert id_of_record(b"an id", [("traceparent", b"00-")]) == "an id"
    assert id_of_record(None, []) == ""
