"""/metrics on every worker, as Prometheus reads it: the metrics rise with what happens."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping

import pytest
from prometheus_client.parser import text_string_to_metric_families

from infra.native import stack
from reconciliation.readers import bff_url
from tests.support import http

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-")
WORKERS = {"bff": bff_url(), "transactions": "http://127.0.0.1:5002"}
DEPENDENCIES = {
    "bff": {"kafka", "cassandra", "redis"},
    "transactions": {"kafka", "cassandra", "antifraud"},
}
COUNT = 5

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def url(worker: str) -> str:
    """Where a worker answers; in combined mode both are one process."""
    return bff_url() if stack.current_mode() == "combined" else WORKERS[worker]


def scraped(worker: str) -> Samples:
    answer = http.call("GET", "/metrics", url=url(worker))
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/plain; version=")
    families = text_string_to_metric_families(answer.body.decode())
    return {(s.name, frozenset(s.labels.items())): s.value for family in families for s in family.samples}


def total(samples: Samples, name: str, **labels: str) -> float:
    """The sum of a metric over all labels that are not given."""
    wanted = frozenset(labels.items())
    return sum(value for (found, with_), value in samples.items() if found == name and wanted <= with_)


def risen(before: Mapping[str, Samples], worker: str, name: str, **labels: str) -> float:
    return total(scraped(worker), name, **labels) - total(before[worker], name, **labels)


def reconcile_until_settled(worker: str, name: str, **labels: str) -> float:
    """A gauge once it is 0, or what it is after 10 s."""
    deadline = time.monotonic() + 10
    while (value := total(scraped(worker), name, **labels)) and time.monotonic() < deadline:
        time.sleep(0.2)
    return value


def test_what_becomes_of_transactions_is_counted() -> None:
    # The generator's last one may still be on its way.
    assert reconcile_until_settled("transactions", "payments_lag_records", topic="transaction_created") == 0
    before = {worker: scraped(worker) for worker in WORKERS}
    ids = [http.taken() for _ in range(COUNT)]
    assert http.post({"value_in_cents": 0}).status == 400
    for transaction_id in ids:
        http.final(transaction_id, within=30)
    posts = {"method": "POST", "path": "/api/v1/transactions"}
    assert risen(before, "bff", "payments_http_request_seconds_count", **posts, status="201") == COUNT
    assert risen(before, "bff", "payments_http_request_seconds_count", **posts, status="400") == 1
    assert risen(before, "bff", "payments_reads_total") >= COUNT
    assert risen(before, "bff", "payments_batch_records_sum", topic="transaction_status") >= COUNT
    assert reconcile_until_settled("transactions", "payments_lag_records", topic="transaction_created") == 0
    assert risen(before, "transactions", "payments_verdicts_total") == COUNT
    assert risen(before, "transactions", "payments_batch_records_sum", topic="transaction_created") == COUNT
    quorum = {"request": "write", "consistency": "LOCAL_QUORUM"}
    assert risen(before, "transactions", "payments_cassandra_requests_total", **quorum) >= 1
    for step in ("decide", "publish", "store"):
        assert risen(before, "transactions", "payments_step_seconds_count", step=step) >= 1
        assert risen(before, "transactions", "payments_step_busy_seconds_total", step=step) > 0
    assert risen(before, "transactions", "payments_end_to_end_seconds_count") == COUNT
    assert 0 < risen(before, "transactions", "payments_end_to_end_seconds_sum") < 30 * COUNT
    assert risen(before, "transactions", "payments_assessments_total") == COUNT
    assert risen(before, "transactions", "payments_assessment_records_sum") == COUNT
    assert risen(before, "transactions", "payments_assessment_seconds_count", outcome="ok") >= 1
    for worker, store, request in (
        ("transactions", "cassandra", "write"),
        ("bff", "redis", "write"),
        ("bff", "redis", "read"),
    ):
        what = {"store": store, "request": request, "outcome": "ok"}
        assert risen(before, worker, "payments_store_seconds_count", **what) >= 1


@pytest.mark.parametrize(
    ("worker", "topic"), [("transactions", "transaction_created"), ("bff", "transaction_status")]
)
def test_a_worker_that_has_done_all_is_not_behind_in_any_partition(worker: str, topic: str) -> None:
    http.final(http.taken(), within=30)
    assert reconcile_until_settled(worker, "payments_lag_records", topic=topic) == 0
    assert reconcile_until_settled(worker, "payments_oldest_record_seconds", topic=topic) == 0
    partitions = {
        dict(labels)["partition"] for name, labels in scraped(worker) if name == "payments_lag_records"
    }
    assert {"0", "1", "2", "3"} <= partitions


@pytest.mark.parametrize(("worker", "dependencies"), DEPENDENCIES.items())
def test_a_worker_says_which_dependencies_are_up_and_which_version_it_is(
    worker: str, dependencies: set[str]
) -> None:
    found = scraped(worker)
    said = {
        dict(labels)["dependency"]: value for (n, labels), value in found.items() if n.endswith("ndency_up")
    }
    assert said.items() >= dict.fromkeys(dependencies, 1.0).items()
    assert total(found, "payments_cassandra_nodes_down") == 0
    assert total(found, "payments_build_info") == 1
    assert total(found, "process_cpu_seconds_total") > 0


@pytest.mark.parametrize("worker", WORKERS)
def test_no_label_is_an_id_or_a_clients_text(worker: str) -> None:
    http.call("GET", "/api/v1/transactions/01890000-0000-7000-8000-000000000000")
    http.call("BREW", "/coffee-01890000-0000-7000-8000-000000000000")
    answer = http.call("GET", "/metrics", url=url(worker)).body.decode()
    assert not UUID.search(answer)
    assert "BREW" not in answer
    assert "coffee" not in answer


@pytest.mark.parametrize("worker", WORKERS)
def test_a_worker_that_makes_progress_is_alive(worker: str) -> None:
    answer = http.call("GET", "/health/live", url=url(worker))
    assert (answer.status, answer.json) == (200, {"alive": True})
