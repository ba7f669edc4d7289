"""One antifraud replica dies, then both.

With one dead the other assesses everything and nobody is rejected falsely. With both dead a transaction is
rejected after 5 seconds of retries, with the reason on record. Then `reassess` corrects those, and every
verdict is compared with each replica's direct answer for the same fields and the history on record.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import grpc

from exercises import checks
from exercises.context import Context, faust, say
from exercises.load_client import LoadClient
from history.features import FEATURES, UNKNOWN, VERSION
from infra.native import ports
from reconciliation import readers
from schemas.proto import antifraud_pb2 as pb
from schemas.proto import antifraud_pb2_grpc as pb_grpc

REPLICAS = ("antifraud-1", "antifraud-2")
UNAVAILABLE = "antifraud_unavailable"
AT_A_TIME = 500
STATUSES = {pb.ACCEPTED: "accepted", pb.REJECTED: "rejected"}
CONTROL = "Envoy neither retries nor checks health, and the worker does not try again."
OLD = "one of two dead: 53 of 100 rejected, 50 of them never assessed; both dead: all rejected"


def run(context: Context) -> None:
    """Kill one, then both; count; put right; compare with the model."""
    if context.control:
        context.faults.replace("envoy", command="python -m exercises.controls.bare_envoy")
        context.faults.replace("transactions", settings={"ANTIFRAUD_RETRY_TIMEOUT": "0.01"})
    with context.clients() as clients:
        context.watch(2)
        _one_dead(context, clients)
        _both_dead(context, clients)
        checks.caught_up(context, clients, "with both replicas back")
    context.count(clients.ids)
    if not context.control:
        _put_right(context, clients.ids)
        _as_the_model_says(context, clients.ids)


def _one_dead(context: Context, clients: LoadClient) -> None:
    context.step("One replica dies")
    died = context.faults.die("antifraud-1")
    context.watch(context.seconds(8, 4))
    alone = context.now()
    checks.served(context, clients, died, "with one replica dead")
    context.faults.back("antifraud-1")
    ids = [a.transaction_id for a in clients.posts(died, alone) if a.transaction_id]
    falsely = _unassessed(ids)
    say(f"  posted while it was dead: {len(ids)}, of them rejected without an assessment: {len(falsely)}")
    context.promise(
        "with one replica dead nobody is rejected without an assessment",
        bool(ids) and not falsely,
        f"{len(falsely)} of {len(ids)}",
    )


def _both_dead(context: Context, clients: LoadClient) -> None:
    context.step("Both replicas die")
    died = context.faults.die(*REPLICAS)
    context.watch(context.seconds(10, 7))
    checks.served(context, clients, died, "with both replicas dead")
    context.faults.back(*REPLICAS)


def _unassessed(ids: Collection[str]) -> list[str]:
    """Those whose newest verdict is a rejection without an assessment."""
    published = asyncio.run(readers.published(ids))
    return [id_ for id_, verdicts in published.items() if verdicts[-1].reason == UNAVAILABLE]


def _put_right(context: Context, ids: Collection[str]) -> None:
    context.step("What nobody could assess is put right: make reassess")
    before = _unassessed(ids)
    say(f"  rejected with reason {UNAVAILABLE}: {len(before)}")
    code, said = faust("reassess")
    say(f"  {said.strip().splitlines()[-1]}")
    after = _unassessed(ids)
    context.promise(
        "reassess gives each of those a verdict of the model",
        code == 0 and bool(before) and not after,
        f"{len(before)} before, {len(after)} after",
    )


def _as_the_model_says(context: Context, ids: Collection[str]) -> None:
    context.step("Every verdict beside the answer of each replica, asked directly for the same fields")
    asked, published = asyncio.run(_asked(ids)), asyncio.run(readers.published(ids))
    for replica in REPLICAS:
        said = _answers(replica, asked)
        differing = [id_ for id_, verdicts in published.items() if verdicts[-1].status != said[id_]]
        say(f"  {replica}: {len(said)} asked, {len(differing)} differ")
        context.promise(
            f"every verdict is {replica}'s own answer",
            len(published) == len(said) and not differing,
            f"{len(differing)} of {len(said)} differ",
        )


async def _asked(ids: Collection[str]) -> dict[str, dict[str, Any]]:
    """Each transaction as its client sent it, with the history that is on record with its verdict."""
    created = readers.records("transaction_created", frozenset(ids))
    found = {record["transaction_id"]: {**record, "history": {}} async for record in created}
    async for status in readers.records("transaction_status", frozenset(ids)):
        found[status["transaction_id"]]["history"] = status["history"]
    return found


def _answers(replica: str, transactions: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """The replica's own verdict on each: asked directly, without Envoy and without our app."""
    said: dict[str, str] = {}
    ids, address = list(transactions), str(ports.endpoints(replica)[0])
    with grpc.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)]) as channel:
        stub = pb_grpc.AntifraudAPIStub(channel)
        for start in range(0, len(ids), AT_A_TIME):
            some = ids[start : start + AT_A_TIME]
            answer = stub.AntifraudAssesmentBatch(_request([transactions[id_] for id_ in some]), timeout=10)
            said |= {id_: STATUSES[status] for id_, status in zip(some, answer.status, strict=True)}
    return said


def _request(transactions: Sequence[Mapping[str, Any]]) -> pb.AntifraudAssesmentBatchRequest:
    fields = ("value_in_cents", "transaction_timestamp", "latitude", "longitude")
    columns: dict[str, Any] = {
        field: [transaction[field] for transaction in transactions] for field in fields
    }
    history = [one["history"].get(name, UNKNOWN) for one in transactions for name in FEATURES]
    return pb.AntifraudAssesmentBatchRequest(**columns, history=history, history_version=VERSION)
