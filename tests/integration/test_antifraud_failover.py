"""One of two replicas dies, hangs or comes back under load: no call fails, no verdict changes."""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import grpc
import numpy as np
import pytest

from antifraud.model import Model, load
from antifraud.simulate import Columns, generator_traffic
from schemas.proto import antifraud_pb2 as pb
from schemas.proto.antifraud_pb2_grpc import AntifraudAPIStub
from tests.integration.replicas import NAMES, Replicas

THRESHOLD = 0.5
BATCH = 500


class Outcome(NamedTuple):
    """One call as its client saw it."""

    error: str
    replica: str
    right: bool
    seconds: float


@pytest.fixture(scope="module")
def model() -> Model:
    return load()


@pytest.fixture(scope="module")
def processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replicas]:
    replicas = Replicas(tmp_path_factory.mktemp("replicas"))
    try:
        yield replicas
    finally:
        replicas.close()


@pytest.fixture
def replicas(processes: Replicas) -> Replicas:
    """Both replicas at work behind Envoy."""
    processes.heal()
    return processes


class Load:
    """Calls through Envoy, each answer compared with the model's own."""

    def __init__(self, address: str, model: Model) -> None:
        self.channel = grpc.insecure_channel(address, options=[("grpc.use_local_subchannel_pool", 1)])
        self.stub = AntifraudAPIStub(self.channel)
        self.columns: Columns = generator_traffic(20 * BATCH, np.random.default_rng(11))
        self.scores = model.score(*self.columns.rows(slice(5_000)).all()).tolist()
        self.scores += model.score(*self.columns.rows(slice(5_000, None)).all()).tolist()

    def unary(self, number: int) -> Outcome:
        row = number % len(self.scores)
        fields = {name: field[row] for name, field in vars(self.columns).items()}
        return self._call(
            self.stub.AntifraudAssesment, pb.AntifraudAssesmentRequest(**fields), slice(row, row + 1)
        )

    def batch(self, number: int) -> Outcome:
        rows = slice(number % 20 * BATCH, (number % 20 + 1) * BATCH)
        request = pb.AntifraudAssesmentBatchRequest(**vars(self.columns.rows(rows)))
        return self._call(self.stub.AntifraudAssesmentBatch, request, rows)

    def _call(self, method: Any, request: Any, rows: slice) -> Outcome:
        began = time.perf_counter()
        try:
            answer = method(request, timeout=5)
        except grpc.RpcError as error:
            return Outcome(
                f"{error.code().name} {error.details()}", "", right=False, seconds=time.perf_counter() - began
            )
        seconds = time.perf_counter() - began
        many = isinstance(answer, pb.AntifraudAssesmentBatchResponse)
        scores, statuses = (answer.score, answer.status) if many else ([answer.score], [answer.status])
        expected = self.scores[rows]
        right = list(scores) == expected and list(statuses) == [int(score < THRESHOLD) for score in expected]
        return Outcome("", answer.replica, right, seconds)


@pytest.fixture
def load_of(replicas: Replicas, model: Model) -> Iterator[Load]:
    load = Load(replicas.address, model)
    load.unary(0)
    with load.channel:
        yield load


def under_load(load: Load, what: Callable[[], object], calls: int = 3_000) -> list[Outcome]:
    """Return what the clients saw of unary and batch calls, with an incident after a quarter of them."""
    with ThreadPoolExecutor(16) as pool:
        # One batch per nine unary calls.
        running = [pool.submit(load.batch if n % 10 == 0 else load.unary, n) for n in range(calls)]
        running[calls // 4].result()
        what()
        return [call.result() for call in running]


def worst(outcomes: list[Outcome]) -> float:
    return max(outcome.seconds for outcome in outcomes)


def all_answered_rightly(outcomes: list[Outcome]) -> bool:
    wrong = [outcome for outcome in outcomes if outcome.error or not outcome.right]
    assert not wrong, (len(wrong), wrong[:5])
    return True


def test_both_replicas_get_work(load_of: Load) -> None:
    outcomes = under_load(load_of, lambda: None)
    assert all_answered_rightly(outcomes)
    share = Counter(outcome.replica for outcome in outcomes)
    assert set(share) == set(NAMES)
    assert min(share.values()) > len(outcomes) / 4


def test_both_replicas_get_work_of_one_client_that_sends_batch_after_batch(load_of: Load) -> None:
    share = Counter(load_of.batch(number).replica for number in range(200))
    assert set(share) == set(NAMES)
    assert min(share.values()) > 50


@pytest.mark.parametrize(
    ("name", "end"),
    [
        (NAMES[0], signal.SIGKILL),
        pytest.param(NAMES[1], signal.SIGKILL, marks=pytest.mark.long),
        (NAMES[1], signal.SIGTERM),
    ],
)
def test_the_end_of_a_replica_fails_no_call(
    replicas: Replicas, load_of: Load, name: str, end: signal.Signals
) -> None:
    outcomes = under_load(load_of, lambda: replicas.send(name, end))
    assert replicas.processes[name].returncode == (0 if end is signal.SIGTERM else -end)
    assert all_answered_rightly(outcomes)
    assert worst(outcomes) < 2
    # Later calls find the other one at once.
    later = [load_of.unary(number) for number in range(200)]
    assert all_answered_rightly(later)
    assert {outcome.replica for outcome in later} == set(NAMES) - {name}
    assert worst(later) < 0.5


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.long
def test_a_hung_replica_costs_a_call_a_bounded_time_and_no_verdict(
    replicas: Replicas, load_of: Load, name: str
) -> None:
    outcomes = under_load(load_of, lambda: replicas.send(name, signal.SIGSTOP))
    assert all_answered_rightly(outcomes)
    assert 0.5 < worst(outcomes) < 2.5  # each waits for one attempt at most, plus a busy machine
    replicas.wait_healthy(tuple(set(NAMES) - {name}), seconds=6)
    assert worst([load_of.unary(number) for number in range(200)]) < 0.5
    replicas.send(name, signal.SIGCONT)
    assert replicas.wait_healthy(seconds=10) < 10
    again = under_load(load_of, lambda: None)
    assert all_answered_rightly(again)
    assert Counter(outcome.replica for outcome in again)[name] > len(again) / 4


@pytest.mark.long
def test_with_both_dead_a_call_fails_fast_and_those_that_come_back_get_work(
    replicas: Replicas, load_of: Load
) -> None:
    for name in NAMES:
        replicas.send(name, signal.SIGKILL)
    outcomes = [load_of.unary(0) for _ in range(20)] + [load_of.batch(0) for _ in range(20)]
    assert {outcome.error.split()[0] for outcome in outcomes} == {"UNAVAILABLE"}
    assert worst(outcomes) < 1
    replicas.heal()
    again = under_load(load_of, lambda: None)
    assert all_answered_rightly(again)
    assert min(Counter(outcome.replica for outcome in again)[name] for name in NAMES) > len(again) / 4
