"""schemas/: examples decode, what v1 wrote stays readable, and the generated code is that of the .proto file."""

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_type_hints

import pytest

from app.messaging import topics
from app.messaging.codec import Codec
from app.messaging.topics import load_schema
from app.models.label import TransactionLabel
from app.models.merchant_totals import Stretch
from app.models.status import TransactionStatus
from app.models.transaction import Transaction
from history.features import CUSTOMER, FEATURES, MERCHANT, UNKNOWN

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "schemas" / "examples"
PROTO = ROOT / "schemas" / "proto"
SCHEMAS = sorted(path.stem for path in topics.SCHEMAS.glob("*.avsc"))


def example(schema: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((EXAMPLES / f"{schema}.json").read_text())
    return loaded


def written_by_v1(schema: str) -> bytes:
    """A record as the first version of the schema wrote it (id 1). This file never changes."""
    return bytes.fromhex((EXAMPLES / f"{schema}.v1.hex").read_text())


def codec(schema: str, number: int = 2) -> Codec:
    async def first(number: int) -> Mapping[str, Any] | None:
        known: dict[str, Any] = json.loads((EXAMPLES / f"{schema}.v1.avsc").read_text())
        return known if number == 1 else None

    return Codec(load_schema(schema), number, first)


def test_every_schema_has_its_examples_and_every_example_its_schema() -> None:
    assert SCHEMAS == ["merchant_totals", "transaction_created", "transaction_label", "transaction_status"]
    wanted = {f"{schema}{end}" for schema in SCHEMAS for end in (".json", ".v1.hex", ".v1.avsc")}
    assert {path.name for path in EXAMPLES.iterdir()} == wanted


@pytest.mark.parametrize("schema", SCHEMAS)
def test_an_example_survives_encoding_and_decoding(schema: str) -> None:
    assert asyncio.run(codec(schema).decode([codec(schema).encode(example(schema))])) == [example(schema)]


@pytest.mark.parametrize("schema", SCHEMAS)
def test_a_record_written_by_the_first_version_decodes_to_the_example(schema: str) -> None:
    (record,) = asyncio.run(codec(schema).decode([written_by_v1(schema)]))
    assert record == example(schema)


@pytest.mark.parametrize(
    ("schema", "model"),
    [
        (topics.CREATED, Transaction),
        (topics.STATUS, TransactionStatus),
        (topics.LABEL, TransactionLabel),
        (topics.MERCHANT_TOTALS, Stretch),
    ],
)
def test_a_schema_and_its_model_have_the_same_fields_in_the_same_order(schema: str, model: type) -> None:
    assert [field["name"] for field in load_schema(schema)["fields"]] == list(get_type_hints(model))


@pytest.mark.parametrize("schema", [topics.CREATED, topics.STATUS])
def test_the_fields_of_transaction_created_open_both_schemas(schema: str) -> None:
    types = [(field["name"], field["type"]) for field in load_schema(schema)["fields"]]
    assert types[:9] == [(f["name"], f["type"]) for f in load_schema("transaction_created")["fields"]]
    assert dict(types)["value_in_cents"] == "long"
    assert dict(types)["latitude"] == "double"


def test_what_was_known_is_on_record_with_every_feature_in_order() -> None:
    (field,) = (field for field in load_schema(topics.STATUS)["fields"] if field["name"] == "history")
    assert [one["name"] for one in field["type"]["fields"]] == list(FEATURES)
    assert field["default"] == dict.fromkeys(FEATURES, UNKNOWN)
    assert {one["default"] for one in field["type"]["fields"]} == {UNKNOWN}
    docs = [one["doc"] for one in field["type"]["fields"]]
    assert docs == [
        f"{one.unit}: {one.meaning}" + (f"; -1: {one.unknown}" if one.unknown else "")
        for one in CUSTOMER + MERCHANT
    ]


def test_every_feature_is_described_in_the_docs() -> None:
    text = (ROOT / "docs" / "features.md").read_text()
    for one in CUSTOMER + MERCHANT:
        assert f"| `{one.name}` | {one.unit} | {one.meaning} | {one.unknown or 'never'} |" in text


def test_the_generated_protobuf_code_is_that_of_the_proto_file(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "grpc_tools.protoc", "-I.", f"--python_out={tmp_path}"]
    command += [f"--grpc_python_out={tmp_path}", f"--pyi_out={tmp_path}", "schemas/proto/antifraud.proto"]
    subprocess.run(command, cwd=ROOT, check=True)
    made = sorted((tmp_path / "schemas" / "proto").iterdir())
    assert [path.name for path in made] == sorted(path.name for path in PROTO.glob("*_pb2*.py*"))
    for path in made:
        assert path.read_text() == (PROTO / path.name).read_text(), f"{path.name}: generate it again"


CONTRACT = r"""
package antifraud\.v1;
service AntifraudAPI \{
rpc AntifraudAssesment\(AntifraudAssesmentRequest\) returns \(AntifraudAssesmentResponse\);
enum AntifraudAssesmentStatus \{ ACCEPTED = 0; REJECTED = 1;
message AntifraudAssesmentRequest \{ int64 value_in_cents = 1; int64 transaction_timestamp = 2;
int64 transaction_timestamp = 2; double latitude = 3; double longitude = 4; \} message AntifraudAssesmentResponse
message AntifraudAssesmentResponse \{ AntifraudAssesmentStatus status = 1;
"""


@pytest.mark.parametrize("line", CONTRACT.strip().splitlines())
def test_old_antifraud_clients_are_still_understood(line: str) -> None:
    text = re.sub(r"//[^\n]*", "", (PROTO / "antifraud.proto").read_text())
    assert re.search(line, " ".join(text.split()))
