"""`--profile commerce`: a world at the asked rate, and frauds that are reported later."""

import asyncio
import logging
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import pytest
from aiohttp import web

from commerce.purchases import EPOCH
from commerce.stream import first_days
from commerce.world import World
from generator import labels
from generator.__main__ import options, run, traffic
from generator.commerce import Scale, purchases
from generator.labels import Labels
from generator.traffic import transaction
from tests.unit.http_server import served

DAY = 86_400
SMALL = Scale(customers=200, day=60.0)


def test_the_contracts_traffic_stays_the_default_and_the_environment_may_choose(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("GENERATOR_PROFILE", raising=False)
    assert options([]).profile == "contract"
    monkeypatch.setenv("GENERATOR_PROFILE", "commerce")
    assert options([]).profile == "commerce"
    assert options(["--profile", "contract"]).profile == "contract"


def test_a_profile_that_there_is_not_is_one_line_that_names_the_setting(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GENERATOR_PROFILE", "comerce")
    with pytest.raises(SystemExit):
        options([])
    assert "GENERATOR_PROFILE: 'comerce' is none of contract, commerce" in capsys.readouterr().err


def test_the_contracts_traffic_brings_no_numpy() -> None:
    code = "import sys, generator.__main__\nprint(*sys.modules)"
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert {"numpy", "commerce"} & set(done.stdout.split()) == set()


def test_commerce_without_numpy_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numpy", None)
    for name in [name for name in sys.modules if name == "generator.commerce" or name.startswith("commerce")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr("generator.commerce")
    with pytest.raises(SystemExit) as ended:
        traffic(options(["--profile", "commerce"]), Labels(""))
    assert str(ended.value) == "generator: --profile commerce needs numpy, which is not installed"


def test_a_purchase_has_the_fields_of_the_contract_and_no_others() -> None:
    (one,) = purchases(SMALL, count=1, seed=1)
    like = transaction(Random(1))
    assert {name: type(value) for name, value in one.items()} == {
        name: type(value) for name, value in like.items()
    }


def test_a_seed_gives_the_same_purchases_again_and_another_seed_others() -> None:
    first, again, other = (list(purchases(SMALL, 500, seed)) for seed in (1, 1, 2))
    assert first == again
    assert [one.reported_after for one in first] == [one.reported_after for one in again]
    assert first != other


def test_the_simulated_clock_never_goes_back_within_a_day_and_customers_come_again() -> None:
    some = list(purchases(SMALL, 2_000, seed=1))
    seconds = [int(one["transaction_timestamp"]) - EPOCH for one in some]
    assert min(seconds) >= 0
    assert seconds == sorted(seconds)
    assert len({one["customer_id"] for one in some}) <= 200


def test_the_world_begins_on_the_day_on_which_it_begins_in_training() -> None:
    world = World.made(1, SMALL.customers, merchants=90)
    _, _, _, time, *_ = world.columns_of(first_days(world, 1))
    sent = purchases(SMALL, len(time), seed=1)
    assert [one["transaction_timestamp"] for one in sent] == time.tolist()


def test_some_are_frauds_that_are_reported_one_to_seven_days_later() -> None:
    reported = [
        one.reported_after for one in purchases(SMALL, 20_000, seed=1) if one.reported_after is not None
    ]
    assert 0.003 < len(reported) / 20_000 < 0.03
    assert min(reported) >= DAY
    assert max(reported) <= 7 * DAY


@pytest.mark.parametrize(("rate", "day", "customers"), [(1 / 3, 3_600, 857), (10, 3_600, 25_714)])
def test_the_number_of_customers_follows_from_the_rate_and_the_day(
    rate: float, day: float, customers: int
) -> None:
    scale = Scale.of(rate, day)
    assert scale.customers == customers
    assert scale.day == pytest.approx(day, rel=0.001)
    assert scale.real(DAY) == scale.day


@pytest.mark.parametrize(("rate", "customers"), [(1e-3, 100), (1e4, 100_000)])
def test_beyond_its_bounds_the_day_gives_way(rate: float, customers: int) -> None:
    scale = Scale.of(rate, 3_600)
    assert scale.customers == customers
    assert scale.day * rate == pytest.approx(customers * 1.4)


def test_a_customer_buys_as_often_as_the_scale_says() -> None:
    some = list(purchases(SMALL, 5_000, seed=1))
    days = (int(some[-1]["transaction_timestamp"]) - EPOCH) / DAY
    assert 1.1 < 5_000 / days / 200 < 1.7


class Bff:
    """A fake bff that takes transactions, and labels with the given answers."""

    def __init__(self, *statuses: int) -> None:
        self.statuses = list(statuses)
        self.taken = 0
        self.labelled: list[tuple[str, str]] = []

    async def _transaction(self, _: web.Request) -> web.Response:
        self.taken += 1
        return web.json_response({"transaction_id": f"id-{self.taken}"}, status=201)

    async def _label(self, request: web.Request) -> web.Response:
        self.labelled.append((request.match_info["id"], (await request.json())["label"]))
        return web.json_response({}, status=self.statuses.pop(0) if self.statuses else 201)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        async with served(
            [
                web.post("/api/v1/transactions", self._transaction),
                web.post("/api/v1/transactions/{id}/label", self._label),
            ]
        ) as port:
            yield f"http://127.0.0.1:{port}"


def labelled(bff: Bff, *waits: tuple[str, float]) -> Labels:
    async def go() -> Labels:
        async with bff.serving() as url:
            some = Labels(url)
            for id_, after in waits:
                some.fraud(id_, after)
            some.close()
            await some.run()
        return some

    return asyncio.run(go())


@pytest.fixture
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labels, "FIRST_WAIT", 0.01)
    monkeypatch.setattr(labels, "LONGEST_WAIT", 0.02)


def test_labels_are_sent_when_they_are_due_whatever_the_order_in_which_they_came() -> None:
    bff = Bff()
    some = labelled(bff, ("late", 0.2), ("soon", 0.05))
    assert bff.labelled == [("soon", "fraud"), ("late", "fraud")]
    assert some.sent == 2


def test_a_label_that_comes_meanwhile_may_be_due_first() -> None:
    async def go() -> list[tuple[str, str]]:
        bff = Bff()
        async with bff.serving() as url:
            some = Labels(url)
            some.fraud("later", 60)
            running = asyncio.create_task(some.run())
            await asyncio.sleep(0.05)
            some.fraud("sooner", 0)
            await asyncio.sleep(0.5)
            running.cancel()
        return bff.labelled

    assert asyncio.run(go()) == [("sooner", "fraud")]


@pytest.mark.usefixtures("_short_waits")
def test_a_label_that_fails_is_tried_again_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    bff = Bff(503, 503, 503)
    some = labelled(bff, ("a", 0))
    assert [id_ for id_, _ in bff.labelled] == ["a"] * 4
    assert (some.sent, some.given_up) == (1, 0)
    assert [record.levelname for record in caplog.records] == ["WARNING"]


@pytest.mark.usefixtures("_short_waits")
def test_it_is_given_up_after_so_many_tries_and_the_next_one_has_its_turn(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bff = Bff(*[503] * labels.TRIES)
    some = labelled(bff, ("a", 0), ("b", 0))
    assert [id_ for id_, _ in bff.labelled] == ["a"] * labels.TRIES + ["b"]
    assert (some.sent, some.given_up) == (1, 1)
    assert [record.levelname for record in caplog.records] == ["WARNING", "ERROR"]


def test_what_will_never_be_taken_is_not_tried_again() -> None:
    bff = Bff(404)
    some = labelled(bff, ("a", 0))
    assert (len(bff.labelled), some.given_up) == (1, 1)


def test_what_waits_is_bounded_and_said_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(labels, "MOST_WAITING", 2)
    some = Labels("")
    for name in "abcd":
        some.fraud(name, 60)
    assert some.left_out == 2
    assert len(caplog.records) == 1


def test_each_fraud_that_was_taken_is_labelled_and_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    """A whole run: some seconds, in which the frauds of several simulated days come and are reported."""
    caplog.set_level(logging.INFO, "generator")
    bff, seed, count = Bff(), 3, 1_500

    async def go() -> int:
        async with bff.serving() as url:
            words = f"--profile commerce --rate 2000 --day 0.1 --count {count} --seed {seed} --concurrency 1"
            return await run(options([*words.split(), "--url", url]))

    assert asyncio.run(go()) == 0
    said = caplog.messages[-1]
    sent = purchases(Scale.of(2_000, 0.1), count, seed)
    frauds = {f"id-{n}" for n, one in enumerate(sent, start=1) if one.reported_after is not None}
    assert frauds
    assert {id_ for id_, _ in bff.labelled} == frauds
    assert said == f"1500 acknowledged, 0 failed, {len(frauds)} labelled"
