"""The old system's contract, line by line, on the running deployment mode."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
import time
import uuid
from typing import Any
from urllib.request import Request, urlopen

import grpc
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from reconciliation.readers import PATH, bff_url
from tests.support import http, log, store

TEN_KEYS = {
    "customer_id": str,
    "description": str,
    "event_timestamp": int,
    "latitude": float,
    "longitude": float,
    "merchant_id": str,
    "status": str,
    "transaction_id": str,
    "transaction_timestamp": int,
    "value_in_cents": int,
}

# The exercises' own lines.
CURL = """curl -X POST http://localhost:5001/api/v1/transactions \\
  --data '{"value_in_cents":39859385,"description":"teste sem scylla-1","customer_id":"c408a342-5c78-4e31-afc8-c7c710b07340","merchant_id":"0f3eaa5d-79eb-48bc-ad0d-c775efa3646e","transaction_timestamp":1624079756,"latitude":93.1334,"longitude":12.0445}' \\
  -H "Content-Type: application/json"
"""  # noqa: E501
CQL = "USE transactions; SELECT * FROM transactions WHERE transaction_id = '{}';"


# POST


def test_post_answers_201_and_the_new_id_alone() -> None:
    answer = http.post()
    assert answer.status == 201
    assert answer.headers["Content-Type"].startswith("application/json")
    assert list(answer.json) == ["transaction_id"]
    assert str(uuid.UUID(answer.json["transaction_id"])) == answer.json["transaction_id"]


def test_each_post_is_a_new_transaction() -> None:
    assert http.taken() != http.taken()


@pytest.mark.parametrize("field", sorted(http.EXAMPLE))
def test_a_missing_field_is_a_400(field: str) -> None:
    body = {name: value for name, value in http.EXAMPLE.items() if name != field}
    refused(http.call("POST", PATH, json.dumps(body).encode(), {"Content-Type": "application/json"}))


@pytest.mark.parametrize("field", sorted(http.EXAMPLE))
@pytest.mark.parametrize("value", [None, True, [], {}], ids=repr)
def test_a_wrong_type_is_a_400(field: str, value: Any) -> None:
    refused(http.post({field: value}))


@pytest.mark.parametrize("field", ["value_in_cents", "transaction_timestamp"])
@pytest.mark.parametrize("value", ["5", 5.5, 5.0, False], ids=repr)
def test_strings_fractions_and_booleans_are_not_integers(field: str, value: Any) -> None:
    refused(http.post({field: value}))


@pytest.mark.parametrize("body", [b"", b"no JSON", b"[]", b"7", b'"text"', b"null", b'{"value_in_cents": 5'])
def test_a_body_that_is_not_a_json_object_is_a_400(body: bytes) -> None:
    refused(http.call("POST", PATH, body, {"Content-Type": "application/json"}))


def refused(answer: http.Answer) -> None:
    assert answer.status == 400, answer
    assert answer.json["error"].startswith("Invalid request payload")


def test_unknown_fields_are_ignored() -> None:
    assert "colour" not in http.final(http.taken({"colour": "red", "nested": {"deep": [1]}}))


def test_an_integer_is_a_coordinate_too() -> None:
    found = http.final(http.taken({"latitude": 12, "longitude": -7}))
    assert (found["latitude"], found["longitude"]) == (12.0, -7.0)


def test_a_latitude_above_90_is_accepted() -> None:
    assert http.final(http.taken({"latitude": 93.1334}))["latitude"] == 93.1334


def test_a_call_without_content_type_is_answered_like_json() -> None:
    assert http.post(headers={}).status == 201
    refused(http.call("POST", PATH, b"no JSON"))


def test_the_curl_call_of_the_exercises() -> None:
    answer = _with_curl() if shutil.which("curl") else _with_urllib()
    assert http.final(json.loads(answer)["transaction_id"])["description"] == "teste sem scylla-1"


def _with_curl() -> str:
    line = CURL.replace("http://localhost:5001", bff_url()) if "BFF_URL" in os.environ else CURL
    done = subprocess.run(["/bin/sh", "-c", line], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _with_urllib() -> str:
    body = CURL.split("'")[1].encode()
    request = Request(bff_url() + PATH, body, {"Content-Type": "application/json"})  # noqa: S310
    with urlopen(request, timeout=10) as answer:  # noqa: S310
        assert answer.status == 201
        return str(answer.read().decode())


@pytest.mark.parametrize("cents", [1, 50, 1_345_454_553, 2**53 + 1, 2**63 - 1])
def test_cents_are_exact_everywhere(cents: int) -> None:
    before = {topic: log.ends(topic) for topic in (log.CREATED, log.STATUS)}
    id_ = http.taken({"value_in_cents": cents})
    assert http.final(id_)["value_in_cents"] == cents
    assert listed(id_)["value_in_cents"] == cents
    assert store.row(id_)["value_in_cents"] == cents
    for topic, since in before.items():
        (record,) = [r for r in log.read(topic, since) if log.id_of(r) == id_.encode()]
        assert log.decoded(record.value)["value_in_cents"] == cents


# GET


def listed(id_: str) -> dict[str, Any]:
    """Its entry in the newest page, where it appears a moment after the POST."""
    log.wait_until(lambda: bool(_entries(id_)), 5, f"{id_} listed")
    return _entries(id_)[0]


def _entries(id_: str) -> list[dict[str, Any]]:
    return [entry for entry in http.page()["transactions"] if entry["transaction_id"] == id_]


def test_an_entry_has_the_ten_keys_and_their_types() -> None:
    before = int(time.time())
    id_ = http.taken()
    http.final(id_)
    entry = listed(id_)
    assert {key: type(value) for key, value in entry.items()} == TEN_KEYS
    assert {key: entry[key] for key in http.EXAMPLE} == http.EXAMPLE
    assert entry["status"] in ("accepted", "rejected")
    assert before <= entry["event_timestamp"] <= time.time()


def test_without_limit_get_gives_the_newest_100_newest_first() -> None:
    mine = [http.taken({"description": f"number {number}"}) for number in range(105)]
    log.wait_until(lambda: _ids(http.page())[0] >= mine[-1], 5, "the last one listed")
    assert _ids(http.page()) == sorted(mine, reverse=True)[:100]


def test_get_gives_as_many_as_asked() -> None:
    http.taken()
    assert len(http.page(limit=1)["transactions"]) == 1


@pytest.mark.parametrize("query", ["state=accepted", "limit=3&customer=c", "Limit=3"])
def test_an_unknown_query_parameter_is_refused_not_ignored(query: str) -> None:
    answer = http.call("GET", f"{PATH}?{query}")
    assert answer.status == 400, answer
    assert "limit, cursor" in answer.json["error"]


def test_an_id_in_capitals_is_the_same_id() -> None:
    id_ = http.taken()
    http.final(id_)
    answer = http.call("GET", f"{PATH}/{id_.upper()}")
    assert (answer.status, answer.json["transaction_id"]) == (200, id_)


def test_without_transactions_the_list_is_empty() -> None:
    # A cursor is opaque to clients; here one is made that points behind everything.
    beyond = base64.urlsafe_b64encode(b"0000000000:0").decode().rstrip("=")
    answer = http.page(cursor=beyond)
    assert answer["transactions"] == []
    assert answer["next_cursor"] is None


def _ids(page: dict[str, Any]) -> list[str]:
    return [entry["transaction_id"] for entry in page["transactions"]]


def test_the_status_webhook_is_gone() -> None:
    answer = http.call("PATCH", f"{PATH}/{http.taken()}/status", b'{"status": "accepted"}')
    assert answer.status in (404, 405)


# Kafka


def test_a_record_of_transaction_created() -> None:
    before = log.ends(log.CREATED)
    id_ = http.taken()
    (record,) = [r for r in log.read(log.CREATED, before) if log.id_of(r) == id_.encode()]
    schema_id, schema = log.latest_schema(log.CREATED)
    assert record.value[:5] == b"\0" + schema_id.to_bytes(4, "big")
    found = log.decoded(record.value)
    assert set(found) == {*TEN_KEYS} - {"status"} == {field["name"] for field in schema["fields"]}
    assert {key: found[key] for key in http.EXAMPLE} == http.EXAMPLE
    assert found["transaction_id"] == id_
    assert abs(found["event_timestamp"] - time.time()) < 60


@pytest.mark.parametrize("topic", [log.CREATED, log.STATUS])
def test_the_registry_holds_the_schema_and_keeps_it_compatible(topic: str) -> None:
    assert log.registry(f"/config/{topic}-value") == (200, {"compatibilityLevel": "BACKWARD_TRANSITIVE"})
    _, schema = log.latest_schema(topic)
    optional = {"name": "colour", "type": ["null", "string"], "default": None}
    required = {"name": "colour", "type": "string"}
    assert _compatible(topic, _with_field(schema, optional))
    assert not _compatible(topic, _with_field(schema, required))
    status, answer = log.registry(f"/subjects/{topic}-value/versions", _with_field(schema, required))
    assert status == 409, answer


def _with_field(schema: dict[str, Any], field: dict[str, Any]) -> dict[str, str]:
    return {"schema": json.dumps({**schema, "fields": [*schema["fields"], field]})}


def _compatible(topic: str, schema: dict[str, str]) -> bool:
    status, answer = log.registry(f"/compatibility/subjects/{topic}-value/versions/latest", schema)
    assert status == 200, answer
    return bool(answer["is_compatible"])


# gRPC


def old_client(address: str) -> tuple[int, bytes]:
    """A unary call with the old system's own definition: status, and the raw answer."""
    request, response = _old_messages()
    with grpc.insecure_channel(address) as channel:
        call = channel.unary_unary("/antifraud.v1.AntifraudAPI/AntifraudAssesment")
        asked = request(
            value_in_cents=39859385, transaction_timestamp=1624079756, latitude=93.1334, longitude=12.0445
        )
        raw: bytes = call(asked.SerializeToString(), timeout=10, wait_for_ready=True)
    return response.FromString(raw).status, raw


def _old_messages() -> tuple[Any, Any]:
    kinds = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="old.proto", package="antifraud.v1", syntax="proto3")
    status = file.enum_type.add(name="AntifraudAssesmentStatus")
    status.value.add(name="ACCEPTED", number=0)
    status.value.add(name="REJECTED", number=1)
    request = file.message_type.add(name="AntifraudAssesmentRequest")
    fields = {
        "value_in_cents": kinds.TYPE_INT64,
        "transaction_timestamp": kinds.TYPE_INT64,
        "latitude": kinds.TYPE_DOUBLE,
        "longitude": kinds.TYPE_DOUBLE,
    }
    for number, (name, kind) in enumerate(fields.items(), 1):
        request.field.add(name=name, number=number, type=kind, label=kinds.LABEL_OPTIONAL)
    response = file.message_type.add(name="AntifraudAssesmentResponse")
    response.field.add(
        name="status",
        number=1,
        type=kinds.TYPE_ENUM,
        type_name=".antifraud.v1.AntifraudAssesmentStatus",
        label=kinds.LABEL_OPTIONAL,
    )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    classes = message_factory.GetMessageClassesForFiles(["old.proto"], pool)
    return classes["antifraud.v1.AntifraudAssesmentRequest"], classes[
        "antifraud.v1.AntifraudAssesmentResponse"
    ]


def test_an_old_grpc_client_is_served_by_envoy_and_by_each_replica() -> None:
    envoy = os.environ.get("ANTIFRAUD_ADDRESS", "127.0.0.1:5005")
    said = {address: old_client(address)[0] for address in (envoy, "127.0.0.1:5004", "127.0.0.1:5003")}
    assert set(said.values()) in ({0}, {1}), said


# Cassandra


@pytest.mark.parametrize("node", ["cassandra-1", "cassandra-2", "cassandra-3"])
def test_the_cqlsh_query_of_the_exercises(node: str) -> None:
    id_ = http.taken()
    status = http.final(id_)["status"]
    log.wait_until(lambda: store.has(id_), 5, "the row")
    command = [sys.executable, "-m", "infra.native", "cqlsh", node, "--execute", CQL.format(id_)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    head, values = [line for line in done.stdout.splitlines() if "|" in line]
    row = dict(zip(_cells(head), _cells(values), strict=True))
    assert set(row) >= {*TEN_KEYS}
    assert (row["transaction_id"], row["status"]) == (id_, status)
    assert (row["value_in_cents"], row["latitude"]) == ("39859385", "93.1334")


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.split("|")]


def test_the_keyspace_has_three_replicas() -> None:
    (found,) = store.query(
        "SELECT replication FROM system_schema.keyspaces WHERE keyspace_name = 'transactions'"
    )
    factors = {key: value for key, value in found["replication"].items() if key != "class"}
    assert set(factors.values()) == {"3"}, found
