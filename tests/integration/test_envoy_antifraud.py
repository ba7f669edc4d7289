"""Antifraud on the running stack, asked through Envoy and each replica directly."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from typing import Any

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from antifraud.simulate import generator_traffic
from schemas.proto import antifraud_pb2 as pb
from schemas.proto.antifraud_pb2_grpc import AntifraudAPIStub

ENVOY = os.environ.get("ANTIFRAUD_ADDRESS", "127.0.0.1:5005")
HOST = ENVOY.rpartition(":")[0]
ADDRESSES = {"ANTIFRAUD_ADDRESS": ENVOY, "antifraud-1": f"{HOST}:5004", "antifraud-2": f"{HOST}:5003"}


@pytest.fixture(params=ADDRESSES)
def channel(request: pytest.FixtureRequest) -> Iterator[grpc.Channel]:
    """Envoy first, then each replica."""
    address = ADDRESSES[request.param]
    with grpc.insecure_channel(address) as channel:
        try:
            grpc.channel_ready_future(channel).result(timeout=10)
        except grpc.FutureTimeoutError:
            pytest.fail(f"nothing answers on {address}: start the stack, or set ANTIFRAUD_ADDRESS")
        yield channel


def test_health_says_serving(channel: grpc.Channel) -> None:
    check = health_pb2_grpc.HealthStub(channel).Check
    for service in ("", "antifraud.v1.AntifraudAPI"):
        answer = check(health_pb2.HealthCheckRequest(service=service), timeout=5)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_a_batch_and_its_single_calls_agree_to_the_bit(channel: grpc.Channel) -> None:
    columns = generator_traffic(100, np.random.default_rng(4))
    stub = AntifraudAPIStub(channel)
    batch = stub.AntifraudAssesmentBatch(pb.AntifraudAssesmentBatchRequest(**vars(columns)), timeout=5)
    assert [s == pb.REJECTED for s in batch.status] == [s < batch.threshold for s in batch.score]
    assert {pb.ACCEPTED, pb.REJECTED} == set(batch.status)
    for row in range(100):
        one = pb.AntifraudAssesmentRequest(**{name: field[row] for name, field in vars(columns).items()})
        single = stub.AntifraudAssesment(one, timeout=5)
        assert (single.score, single.model_version) == (batch.score[row], batch.model_version)


def test_an_old_client_that_knows_four_fields_and_a_status_is_answered(channel: grpc.Channel) -> None:
    """Bytes as its own stubs write them: two varints, two doubles; the status is field 1, left out when 0."""
    call = channel.unary_unary("/antifraud.v1.AntifraudAPI/AntifraudAssesment")
    for value, timestamp in ((1, 7_000), (39_859_385, 1_624_079_756), (1_345_454_553, 1_224_409_756)):
        request = b"\x08" + _varint(value) + b"\x10" + _varint(timestamp)
        request += b"\x19" + struct.pack("<d", 93.1334) + b"\x21" + struct.pack("<d", 12.0445)
        answer = call(request, timeout=5)
        full = pb.AntifraudAssesmentResponse.FromString(answer)
        assert full.score > 0
        assert answer.startswith(b"\x08\x01") == (full.status == pb.REJECTED) == (full.score < full.threshold)


@pytest.mark.parametrize(
    ("fields", "named"),
    [({"latitude": float("nan")}, "latitude"), ({"longitude": float("inf")}, "longitude")],
)
def test_a_wrong_field_is_named(channel: grpc.Channel, fields: dict[str, Any], named: str) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        AntifraudAPIStub(channel).AntifraudAssesment(pb.AntifraudAssesmentRequest(**fields), timeout=5)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert refused.value.details().startswith(named)


def test_a_batch_of_the_largest_size_is_answered_and_a_larger_one_refused(channel: grpc.Channel) -> None:
    stub = AntifraudAPIStub(channel)
    widest: dict[str, Any] = {
        "value_in_cents": -1,
        "transaction_timestamp": -(2**63),
        "latitude": 1e300,
        "longitude": -1e300,
    }
    full: dict[str, Any] = {name: [value] * 5_000 for name, value in widest.items()}
    answer = stub.AntifraudAssesmentBatch(pb.AntifraudAssesmentBatchRequest(**full), timeout=5)
    assert len(answer.status) == len(answer.score) == 5_000
    more: dict[str, Any] = {name: [value] * 5_001 for name, value in widest.items()}
    with pytest.raises(grpc.RpcError) as refused:
        stub.AntifraudAssesmentBatch(pb.AntifraudAssesmentBatchRequest(**more), timeout=5)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "5000" in refused.value.details()


def test_both_replicas_answer_through_envoy() -> None:
    with grpc.insecure_channel(ENVOY) as channel:
        stub = AntifraudAPIStub(channel)
        answers = [stub.AntifraudAssesment(pb.AntifraudAssesmentRequest(), timeout=5) for _ in range(20)]
    assert {answer.replica for answer in answers} == {"antifraud-1", "antifraud-2"}
    assert len({(answer.score, answer.threshold, answer.model_version) for answer in answers}) == 1


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)
