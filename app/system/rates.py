"""What happens a second: on the arrows of the picture, in the steps, at the stores and replicas. No I/O."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

from app.system import samples
from app.system.samples import POSTS, Counts, Key

#: Seconds that rates are an average of.
OVER = 5.0

TRANSACTIONS = "/api/v1/transactions"
CREATED, STATUS = "transaction_created", "transaction_status"
BUSY, WAITING = "payments_step_busy_seconds_total", "payments_step_waiting_seconds_total"


class Window:
    """What was counted in the last seconds, by worker."""

    def __init__(self) -> None:
        self._looks: deque[tuple[float, float, dict[str, dict[Key, float]]]] = deque()

    def add(self, at: float, seconds: float, by_worker: Mapping[str, Mapping[Key, float]]) -> None:
        """What was counted since the look before, `seconds` ago."""
        self._looks.append((at, seconds, {name: dict(counts) for name, counts in by_worker.items()}))
        while len(self._looks) > 1 and at - self._looks[0][0] >= OVER:
            self._looks.popleft()

    @property
    def seconds(self) -> float:
        """How long that was."""
        return sum(seconds for _, seconds, _ in self._looks) or 1.0

    def by_worker(self) -> dict[str, dict[Key, float]]:
        """A second, by worker."""
        names = {name for _, _, found in self._looks for name in found}
        return {
            name: {
                key: value / self.seconds
                for key, value in samples.added(found.get(name, {}) for *_, found in self._looks).items()
            }
            for name in sorted(names)
        }


def arrows(rate: Counts) -> list[dict[str, Any]]:
    """Records a second, but for the client's calls and Cassandra's requests."""
    created = samples.total(rate, f"{POSTS}_count", method="POST", path=TRANSACTIONS, status="201")
    shown = samples.total(rate, "payments_batch_records_sum", topic=STATUS)
    found = {
        ("client", "bff"): calls(rate),
        ("bff", "kafka"): created,
        ("kafka", "transactions"): samples.total(rate, "payments_batch_records_sum", topic=CREATED),
        ("transactions", "envoy"): samples.total(rate, "payments_assessments_total"),
        **{("envoy", replica): value for replica, value in assessed_by(rate).items()},
        ("transactions", "kafka"): samples.total(rate, "payments_verdicts_total"),
        ("transactions", "cassandra"): sum(consistency(rate)["write"].values()),
        ("kafka", "bff"): shown,
        ("bff", "redis"): shown + samples.total(rate, "payments_reads_total", store="redis"),
        ("bff", "cassandra"): samples.total(rate, "payments_reads_total", store="cassandra"),
    }
    return [
        {"from": one, "to": other, "per_second": round(value, 2)} for (one, other), value in found.items()
    ]


def calls(rate: Counts) -> float:
    """Clients' calls about transactions."""
    counted = samples.by_label(rate, f"{POSTS}_count", "path")
    return sum(value for path, value in counted.items() if path.startswith(TRANSACTIONS))


def steps(by_worker: Mapping[str, Counts]) -> list[dict[str, Any]]:
    """The shares of time that each step was busy, waited between two tries, and was idle: they add up to 1."""
    found = []
    for worker, rate in by_worker.items():
        busy, waiting = samples.by_label(rate, BUSY, "step"), samples.by_label(rate, WAITING, "step")
        for step in busy | waiting:
            works = round(min(1.0, busy.get(step, 0.0)), 3)
            waits = round(min(1.0 - works, waiting.get(step, 0.0)), 3)
            idle = round(1.0 - works - waits, 3)
            found.append({"worker": worker, "step": step, "busy": works, "waiting": waits, "idle": idle})
    return found


def assessed_by(rate: Counts) -> dict[str, float]:
    """Transactions a second by the replica that assessed them."""
    found = samples.by_label(rate, "payments_assessments_total", "replica")
    return {replica: round(value, 2) for replica, value in sorted(found.items())}


def consistency(rate: Counts) -> dict[str, dict[str, float]]:
    """Requests a second by the consistency level reached: QUORUM and ONE are the local data centre's."""
    return {
        request: {
            level.removeprefix("LOCAL_"): round(value, 2)
            for level, value in samples.by_label(
                rate, "payments_cassandra_requests_total", "consistency", request=request
            ).items()
        }
        for request in ("write", "read")
    }
