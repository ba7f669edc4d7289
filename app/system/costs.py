"""What a dead part costs a client: the one table, which docs/operations.md repeats (a test holds the two equal)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from app.system.parts import HOLDING, Finding

#: How the finding of a Kafka ends that has lost some brokers.
OF_BROKERS = " brokers"


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the table: what is down, and one sentence for what that costs."""

    down: str
    cost: str


COSTS = {
    "kafka": Row(
        "Kafka",
        "POST answers 503 within 2 s, never a 201 that is not in the log; GET works; what was acknowledged is decided "
        "once Kafka is back.",
    ),
    "kafka, a broker": Row(
        "Kafka brokers, enough of them left",
        "Nothing: within two seconds the brokers that are left take and give every record.",
    ),
    "registry": Row(
        "the schema registry",
        "Nothing: schemas are known since the start; a worker that starts meanwhile waits for it.",
    ),
    "cassandra": Row(
        "Cassandra nodes, a quorum of them left",
        "Nothing: the other nodes store and give every row at quorum.",
    ),
    "cassandra without quorum": Row(
        "Cassandra nodes, no quorum left",
        "POST and GET work, on the word of the nodes that are left; what these do not have is a 503, as is a POST "
        "with an Idempotency-Key.",
    ),
    "cassandra, all": Row(
        "all Cassandra nodes",
        "POST answers 201, with an Idempotency-Key 503; GET shows recent transactions from Redis, older ones are 503; "
        "the worker holds its place and stores once a node is back.",
    ),
    "redis": Row(
        "Redis", "POST answers 201; GET reads Cassandra, and says that pending transactions may be missing."
    ),
    "redis incomplete": Row(
        "Redis, back and being refilled", "GET reads Cassandra until Redis has the newest transactions again."
    ),
    "both stores": Row("Redis and all Cassandra nodes", "POST answers 201; GET answers 503."),
    "antifraud": Row(
        "antifraud replicas, another one left",
        "Nothing: the replicas that are left assess everything, without a false rejection.",
    ),
    "antifraud, all": Row(
        "all antifraud replicas, or Envoy",
        "POST answers 201; after a few seconds of retries transactions are rejected with reason "
        "antifraud_unavailable, until a replica answers.",
    ),
    "antifraud, all, held": Row(
        "the same with `ANTIFRAUD_UNAVAILABLE_POLICY=hold`",
        "POST answers 201; transactions stay pending until a replica answers.",
    ),
    "bff": Row("bffs, another one left", "Nothing that a second try does not mend: the other bffs answer."),
    "bff stuck": Row(
        "a bff that is stuck", "POST answers 201; verdicts reach GET late, until the bff is restarted."
    ),
    "bff holding": Row(
        "a bff that holds a partition",
        "POST answers 201; verdicts of one partition reach GET late, until its batch can be read or is passed over.",
    ),
    "transactions": Row(
        "transactions workers, another one left",
        "POST answers 201; transactions of its partitions stay pending for about 10 s, until another worker has them.",
    ),
    "transactions, all": Row(
        "all transactions workers",
        "POST answers 201; transactions stay pending in Kafka, and are decided in order once a worker is back.",
    ),
    "transactions stuck": Row(
        "a transactions worker that is stuck",
        "POST answers 201; transactions of its partitions stay pending until it is restarted.",
    ),
    "transactions holding": Row(
        "a transactions worker that holds a partition",
        "POST answers 201; transactions of one partition stay pending until its batch can be read or is passed over.",
    ),
}


def costs_of(found: Mapping[str, Finding], *, quorum: int, when_antifraud_is_down: str) -> dict[str, str]:
    """What each part that is not up costs, in the light of the others; "" for what is up or unknown.

    `quorum`: Cassandra nodes that it takes.
    """
    keys = {name: _key(name, found, quorum, when_antifraud_is_down) for name in found}
    return {name: COSTS[key].cost if key else "" for name, key in keys.items()}


def kind_of(name: str) -> str:
    """cassandra-2 is a cassandra."""
    return re.sub(r"-\d+$", "", name)


def _key(name: str, found: Mapping[str, Finding], quorum: int, when_antifraud_is_down: str) -> str | None:
    state = found[name].state
    if state in ("up", "unknown"):
        return None
    match kind_of(name):
        case "cassandra":
            return _of_cassandra(found, state, quorum)
        case "redis":
            return _of_redis(found, state)
        case "antifraud" | "envoy" as kind:
            return _of_antifraud(found, state, kind, when_antifraud_is_down)
        case "bff" | "transactions" as kind:
            if state == "degraded":
                return f"{kind} {'holding' if found[name] == HOLDING else 'stuck'}"
            return f"{kind}, all" if kind == "transactions" and not _living(found, kind) else kind
        case "kafka" | "registry" as kind:
            return kind if state == "down" else _of_degraded_kafka(found[name])
    return None


def _of_degraded_kafka(finding: Finding) -> str | None:
    return "kafka, a broker" if finding.word.endswith(OF_BROKERS) else None  # topics may also be wrong


def _of_cassandra(found: Mapping[str, Finding], state: str, quorum: int) -> str | None:
    living = _living(found, "cassandra")
    if not living:
        return "cassandra, all" if _living(found, "redis") else "both stores"
    if living < quorum:
        return "cassandra without quorum"
    return "cassandra" if state == "down" else None


def _of_redis(found: Mapping[str, Finding], state: str) -> str:
    if not _living(found, "cassandra"):
        return "both stores"
    return "redis" if state == "down" else "redis incomplete"


def _of_antifraud(
    found: Mapping[str, Finding], state: str, kind: str, when_antifraud_is_down: str
) -> str | None:
    if state != "down":
        return None
    if kind == "antifraud" and _living(found, "antifraud"):
        return "antifraud"
    return "antifraud, all, held" if when_antifraud_is_down == "hold" else "antifraud, all"


def _living(found: Mapping[str, Finding], kind: str) -> int:
    return sum(finding.state in ("up", "degraded") for finding in _of_kind(found, kind))


def _of_kind(found: Mapping[str, Finding], kind: str) -> Iterable[Finding]:
    return (finding for name, finding in found.items() if kind_of(name) == kind)
