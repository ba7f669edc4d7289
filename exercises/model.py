"""An antifraud replica asked directly, without Envoy and without our app: what does the model say of these fields?"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import grpc

from infra.native import ports
from reconciliation import readers
from schemas.proto import antifraud_pb2 as pb
from schemas.proto import antifraud_pb2_grpc as pb_grpc

Fields = Mapping[str, Any]

AT_A_TIME = 500
WORDS = {pb.ACCEPTED: "accepted", pb.REJECTED: "rejected"}


async def asked_for(ids: Collection[str]) -> dict[str, Fields]:
    """The fields of each transaction, as its client sent them."""
    wanted = frozenset(ids)
    return {
        record["transaction_id"]: record async for record in readers.records("transaction_created", wanted)
    }


def answers(replica: str, transactions: Mapping[str, Fields]) -> dict[str, str]:
    """The replica's own verdict on each."""
    said: dict[str, str] = {}
    ids = list(transactions)
    address = str(ports.endpoints(replica)[0])
    with grpc.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)]) as channel:
        stub = pb_grpc.AntifraudAPIStub(channel)
        for start in range(0, len(ids), AT_A_TIME):
            some = ids[start : start + AT_A_TIME]
            answer = stub.AntifraudAssesmentBatch(_request([transactions[id_] for id_ in some]), timeout=10)
            said |= {id_: WORDS[status] for id_, status in zip(some, answer.status, strict=True)}
    return said


def _request(transactions: list[Fields]) -> pb.AntifraudAssesmentBatchRequest:
    fields = ("value_in_cents", "transaction_timestamp", "latitude", "longitude")
    columns = {field: [transaction[field] for transaction in transactions] for field in fields}
    return pb.AntifraudAssesmentBatchRequest(**columns)
