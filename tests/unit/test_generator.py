"""The generator's traffic follows the contract, at the requested rate."""

import asyncio
import itertools
import logging
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from uuid import UUID

import pytest
from aiohttp import web

from generator import client, metrics
from generator.__main__ import Report, options
from generator.client import Answer, Outage, send
from generator.traffic import CUSTOMERS, transaction, transactions
from tests.unit.http_server import served

FIELDS = {
    "value_in_cents": int,
    "description": str,
    "customer_id": str,
    "merchant_id": str,
    "transaction_timestamp": int,
    "latitude": float,
    "longitude": float,
}


def test_a_transaction_has_exactly_the_fields_of_the_contract() -> None:
    assert {name: type(value) for name, value in transaction(Random(1)).items()} == FIELDS


def test_ten_thousand_transactions_stay_in_the_ranges_of_the_contract() -> None:
    for one in transactions(10_000, seed=2):
        assert 50 <= int(one["value_in_cents"]) <= 1_345_454_553
        assert 1_224_409_756 <= int(one["transaction_timestamp"]) <= 1_624_079_756
        assert 0 <= float(one["latitude"]) < 100
        assert 0 <= float(one["longitude"]) < 100
        assert one["description"] == "some purchase"
        UUID(str(one["merchant_id"]))


def test_the_ends_of_a_range_are_part_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("generator.traffic.CENTS", (50, 51))
    assert {one["value_in_cents"] for one in transactions(100, seed=3)} == {50, 51}


def test_there_are_a_hundred_customers_and_all_of_them_buy() -> None:
    assert len(set(CUSTOMERS)) == 100
    assert {one["customer_id"] for one in transactions(5_000, seed=4)} == set(CUSTOMERS)


def test_a_seed_gives_the_same_transactions_again_and_another_seed_others() -> None:
    assert list(transactions(5, seed=5)) == list(transactions(5, seed=5))
    assert list(transactions(5, seed=5)) != list(transactions(5, seed=6))


def test_without_a_count_the_traffic_has_no_end() -> None:
    assert len(list(itertools.islice(transactions(seed=7), 300))) == 300


class Bff:
    """A fake bff with given answers that records when it was called, and how many calls ran at a time."""

    def __init__(self, seconds: float = 0, statuses: tuple[int, ...] = ()) -> None:
        self.seconds, self.statuses = seconds, list(statuses)
        self.asked: list[float] = []
        self.now = self.most = 0

    async def answer(self, _: web.Request) -> web.Response:
        self.asked.append(time.monotonic())
        number = len(self.asked)  # before others are asked too
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(self.seconds)
        self.now -= 1
        status = self.statuses.pop(0) if self.statuses else 201
        body = {"transaction_id": f"id-{number}"} if status == 201 else {"error": "no"}
        return web.json_response(body, status=status)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        async with served([web.post("/api/v1/transactions", self.answer)]) as port:
            yield f"http://127.0.0.1:{port}"


def sent_to(bff: Bff, count: int, rate: float, concurrency: int = 64, timeout: float = 5.0) -> list[Answer]:
    answers: list[Answer] = []

    async def go() -> None:
        async with bff.serving() as url:
            bodies = transactions(count, seed=8)
            await send(bodies, answers.append, url=url, rate=rate, concurrency=concurrency, timeout=timeout)

    asyncio.run(go())
    return answers


def test_every_answer_is_reported_with_its_id_and_its_times() -> None:
    answers = sent_to(Bff(), count=20, rate=500)
    assert {answer.transaction_id for answer in answers} == {f"id-{n}" for n in range(1, 21)}
    assert all(answer.due <= answer.sent < answer.answered for answer in answers)


def test_the_rate_is_kept_and_not_exceeded_although_answers_are_slow() -> None:
    bff = Bff(seconds=0.2)
    sent_to(bff, count=20, rate=100)
    lasted = bff.asked[-1] - bff.asked[0]
    assert 0.17 <= lasted < 2  # 19 steps of 10 ms; one after the other would take 4 s


def test_never_more_than_the_concurrency_is_in_flight() -> None:
    bff = Bff(seconds=0.05)
    sent_to(bff, count=20, rate=1000, concurrency=3)
    assert bff.most == 3


def test_time_spent_waiting_for_a_free_slot_counts_as_latency() -> None:
    answers = sent_to(Bff(seconds=0.05), count=6, rate=1000, concurrency=1)
    assert max(answer.sent - answer.due for answer in answers) > 0.2


@pytest.fixture
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "FIRST_WAIT", 0.01)
    monkeypatch.setattr(client, "LONGEST_WAIT", 0.04)


@pytest.mark.usefixtures("short_waits")
def test_an_outage_is_two_lines_in_the_log_however_many_fail(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "generator")
    answers = sent_to(Bff(statuses=(503,) * 6), count=8, rate=10)
    assert [answer.status for answer in answers] == [503] * 6 + [201] * 2
    down, back = [record.getMessage() for record in caplog.records]
    assert "does not serve" in down
    assert "6 transactions failed" in back


def test_the_wait_in_an_outage_grows_and_is_bounded_with_jitter() -> None:
    outage = Outage()
    waits = [outage.next_wait() for _ in range(40)]
    assert client.FIRST_WAIT / 2 <= waits[0] <= client.FIRST_WAIT
    assert all(client.LONGEST_WAIT / 2 <= wait <= client.LONGEST_WAIT for wait in waits[4:])
    assert len(set(waits)) == 40


def test_a_refused_transaction_is_not_an_outage_and_keeps_the_rate(caplog: pytest.LogCaptureFixture) -> None:
    answers = sent_to(Bff(statuses=(400,)), count=2, rate=100)
    assert [answer.status for answer in answers] == [400, 201]
    assert answers[0].error == "400 no"
    assert not caplog.records


def test_no_answer_in_time_is_a_failure_of_unknown_outcome() -> None:
    (answer,) = sent_to(Bff(seconds=1), count=1, rate=1, timeout=0.05)
    assert (answer.status, answer.transaction_id, answer.unserved) == (0, None, True)
    assert "0.05 s" in answer.error


def test_stopping_awaits_calls_in_flight_and_reports_them() -> None:
    answers: list[Answer] = []

    async def go() -> None:
        async with Bff(seconds=0.2).serving() as url:
            sending = asyncio.create_task(send(transactions(), answers.append, url=url, rate=1))
            await asyncio.sleep(0.1)
            sending.cancel()
            await asyncio.wait([sending])
            assert sending.cancelled()

    asyncio.run(go())
    assert [answer.status for answer in answers] == [201]


def lines_at(rate: float, caplog: pytest.LogCaptureFixture) -> list[str]:
    caplog.set_level(logging.INFO, "generator")
    report = Report(rate)
    for n in range(3):
        report.on_answer(Answer(f"id-{n}", 201, 0, 0, 0.004))
    report.close_second()
    return [record.getMessage() for record in caplog.records]


def test_up_to_ten_a_second_each_transaction_has_its_line(caplog: pytest.LogCaptureFixture) -> None:
    assert lines_at(10, caplog) == [f"201 id-{n} in 4 ms" for n in range(3)]


def test_above_ten_a_second_there_is_one_line_a_second(caplog: pytest.LogCaptureFixture) -> None:
    assert lines_at(11, caplog) == ["3 acknowledged, slowest 4 ms"]


def test_an_answer_is_counted_by_its_status_with_the_time_that_the_client_waited() -> None:
    def seen(status: str) -> tuple[float, float]:
        name, labels = "payments_generator_post_seconds", {"status": status}
        count, total = (
            metrics.REGISTRY.get_sample_value(f"{name}_{end}", labels) for end in ("count", "sum")
        )
        return count or 0.0, total or 0.0

    before = {status: seen(status) for status in ("201", "0")}
    report = Report(1)
    report.on_answer(Answer("id", 201, due=0, sent=1, answered=1.25))
    report.on_answer(Answer(None, 0, due=0, sent=1, answered=6, error="no answer within 5.0 s"))
    assert seen("201") == (before["201"][0] + 1, before["201"][1] + 0.25)
    assert seen("0") == (before["0"][0] + 1, before["0"][1] + 5)


def test_metrics_are_served_only_when_a_port_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GENERATOR_METRICS_PORT", raising=False)
    assert options([]).metrics_port is None
    assert options(["--metrics-port", "5016"]).metrics_port == 5016
    monkeypatch.setenv("GENERATOR_METRICS_PORT", "5017")
    assert options([]).metrics_port == 5017


def test_a_port_for_metrics_that_is_taken_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GENERATOR_LISTEN_HOST", raising=False)
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(SystemExit) as ended:
        metrics.serve(taken.getsockname()[1])
    assert str(ended.value).startswith("generator: cannot serve metrics on 127.0.0.1:")
