"""The capacity model finds what is put into it, its predictions behave, and the page has the report's figures."""

from __future__ import annotations

import asyncio
import json
import random
from dataclasses import asdict, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.models.transaction import SHARDS
from app.settings import Settings
from benchmarks import bill, capacity, capacity_model, capacity_page, feeding, loads, stage
from benchmarks.capacity_model import Costs, Model, fitted, non_negative, shared
from benchmarks.loads import Observed
from infra.native.paths import CODE
from tests.support import kubernetes

#: A machine of two cores, about as the one of benchmarks/report.md.
WORLD = Model(
    {
        "bff": Costs(0.02, 180e-6, 50e-6, 0.004, 0.003),
        "transactions": Costs(0.02, 0.0, 140e-6, 0.010, 0.0),
        "kafka": Costs(0.05, 20e-6, 15e-6, 0.005, 0.001),
        "cassandra-1": Costs(0.04, 0.0, 150e-6, 0.009, 0.0),
        "(the benchmark)": Costs(0.0, 80e-6, 0.0, 0.0, 0.0),
    },
    {"bff": 230e-6, "transactions": 145e-6, "kafka": 40e-6, "cassandra-1": 155e-6, "(the benchmark)": 80e-6},
    {"kafka": 1_400.0},
    cores=1.9,
    turn=0.01,
    batch_alone=0.03,
    batch_busier=3e-5,
    capacity=2_150.0,
    too_much=2_800.0,
    less=0.2,
    late_alone=0.35,
    late_busier=5e-5,
)


def observed(
    accepted: float, decided: float, rounds: float, offered: float = 0.0, behind: float = 0.0
) -> Observed:
    """What is seen of WORLD."""
    turns = shared(accepted, WORLD.turn)
    return Observed(
        "load",
        20.0,
        offered or accepted,
        accepted,
        decided,
        rounds,
        {name: costs.at(accepted, decided, rounds, turns) for name, costs in WORLD.cpu.items()},
        {name: total * decided for name, total in WORLD.wire.items()},
        behind,
    )


def at(rate: float) -> Observed:
    """A load that WORLD keeps up with."""
    batches = WORLD.batches(rate)
    return observed(rate, rate, batches, rate, rate * (WORLD.late_alone + WORLD.late_busier * rate))


def too_much(rate: float) -> Observed:
    decided = WORLD.predicted(rate, 30).rate
    return observed(decided, decided, decided / 2000, rate)


def seen() -> list[Observed]:
    several = [at(share * WORLD.capacity) for share in (0.2, 0.4, 0.6, 0.8)]
    alone = [observed(200, 0, 0), observed(1500, 0, 0), observed(4000, 0, 0)]
    full = (WORLD.cores - WORLD.total(0, 0, 0)) / (WORLD.total(0, 1, 1 / 2000) - WORLD.total(0, 0, 0))
    return [
        *alone,
        observed(0.1, 0.1, 0.1),
        observed(0, full, full / 2000),
        *several,
        too_much(1.3 * WORLD.capacity),
        too_much(2 * WORLD.capacity),
    ]


@pytest.mark.parametrize("share", capacity.PREDICTED)
def test_a_model_predicts_loads_that_it_was_not_fitted_on(share: float) -> None:
    model, rate = fitted(seen()), share * WORLD.capacity
    assert model.capacity == pytest.approx(WORLD.capacity, rel=0.05)
    predicted, wanted = model.predicted(rate, 36), WORLD.predicted(rate, 36)
    assert predicted.rate == pytest.approx(wanted.rate, rel=0.08)
    assert predicted.cores == pytest.approx(wanted.cores, rel=0.08)
    assert predicted.behind == pytest.approx(wanted.behind, rel=0.15)


def test_a_model_of_noisy_figures_is_not_far_off() -> None:
    rng = random.Random(1)
    noisy = [
        Observed(
            one.name,
            one.seconds,
            one.offered,
            one.accepted,
            one.decided,
            one.rounds * rng.uniform(0.95, 1.05),
            {name: cores * rng.uniform(0.95, 1.05) for name, cores in one.cores.items()},
            one.wire,
            one.behind * rng.uniform(0.95, 1.05),
        )
        for one in seen()
    ]
    model = fitted(noisy)
    for share in (0.3, 0.5, 0.7):
        rate = share * WORLD.capacity
        assert model.predicted(rate, 36).cores == pytest.approx(WORLD.predicted(rate, 36).cores, rel=0.15)
        assert model.predicted(rate, 36).behind == pytest.approx(WORLD.predicted(rate, 36).behind, rel=0.15)


@settings(deadline=None)
@given(st.floats(1, 20_000), st.floats(1, 20_000))
def test_more_posts_never_use_less_nor_leave_less_behind(one: float, other: float) -> None:
    fewer, more = (WORLD.predicted(rate, 36) for rate in sorted((one, other)))
    assert fewer.cores <= more.cores + 1e-6
    assert more.cores <= WORLD.cores
    if max(one, other) <= WORLD.capacity or min(one, other) > WORLD.capacity:
        assert fewer.behind <= more.behind * (1 + 1e-6) + 1e-3


@settings(deadline=None)
@given(st.floats(1, 20_000))
def test_no_more_is_decided_than_was_posted_nor_than_the_machine_can(rate: float) -> None:
    assert WORLD.predicted(rate, 36).rate <= min(rate, WORLD.capacity) * (1 + 1e-6)


def test_micro_batches_are_as_many_as_the_cores_allow_and_not_more() -> None:
    hasty = replace(WORLD, batch_alone=0.0, batch_busier=0.0)  # one for each transaction, if it could
    assert hasty.predicted(300, 36).cores == pytest.approx(WORLD.cores)


@settings(deadline=None)
@given(st.floats(1, 1e7))
def test_no_micro_batch_has_more_than_there_may_be_in_one(rate: float) -> None:
    assert rate / WORLD.batches(rate) <= capacity_model.BATCH * (1 + 1e-9)


def test_one_of_very_many_costs_what_a_full_bff_and_a_full_worker_took_for_each() -> None:
    model = fitted(seen())
    assert model.each["transactions"] == pytest.approx(140e-6 + 0.010 / 2000, rel=0.02)
    assert model.each["kafka"] == pytest.approx(
        35e-6 + 0.005 / 2000 + 0.001 * shared(4000, WORLD.turn) / 4000, rel=0.02
    )
    assert model.wire["kafka"] == pytest.approx(1_400, rel=0.02)


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(0, 10), st.floats(0, 10), st.floats(-10, 10)), min_size=1, max_size=8))
def test_nothing_costs_less_than_nothing(rows: list[tuple[float, float, float]]) -> None:
    assert min(non_negative([row[:2] for row in rows], [row[2] for row in rows]), default=0.0) >= 0


def test_a_machine_on_which_nothing_keeps_up_is_not_measured() -> None:
    with pytest.raises(SystemExit, match="kept up with none"):
        fitted([observed(500, 100, 1), observed(900, 100, 1)])


def test_a_machine_that_keeps_up_with_what_should_be_too_much_is_not_measured() -> None:
    with pytest.raises(SystemExit, match="was not seen"):
        fitted([observed(500, 500, 1), observed(900, 890, 1), observed(1_800, 900, 1)])


def test_terms_that_are_not_negative_are_found_as_they_are() -> None:
    rows = [[1.0, 0.0], [1.0, 1.0], [1.0, 3.0]]
    assert non_negative(rows, [2.0, 2.5, 3.5]) == pytest.approx([2.0, 0.5])


def test_the_first_guess_is_what_both_halves_cost_together() -> None:
    posted, idle, full = observed(1500, 0, 0), observed(0.1, 0.1, 0.1), seen()[4]
    guess = capacity.first_guess(idle, posted, full)
    assert guess == pytest.approx(WORLD.capacity, rel=0.25)


# Bytes


def test_bytes_are_counted_once_and_at_the_servers_end() -> None:
    text = (
        "ESTAB 0 0 127.0.0.1:9092 127.0.0.1:51000 cubic bytes_sent:700 bytes_acked:700 bytes_received:300 segs_out:2\n"
        "ESTAB 0 0 127.0.0.1:51000 127.0.0.1:9092 cubic bytes_sent:300 bytes_acked:300 bytes_received:700\n"
        "ESTAB 0 0 [::ffff:127.0.0.2]:9042 [::ffff:127.0.0.1]:51001 cubic bytes_received:50\n"
    )
    servers = {"127.0.0.1:9092": "kafka", "127.0.0.2:9042": "cassandra"}
    found = loads.by_connection(text, servers)
    assert found == {("kafka", "127.0.0.1:51000"): 1000, ("cassandra", "127.0.0.1:51001"): 50}


def test_a_connection_that_was_made_meanwhile_counts_from_its_beginning() -> None:
    before = {("kafka", "a"): 100.0, ("kafka", "gone"): 900.0}
    assert loads.carried(before, {("kafka", "a"): 150.0, ("kafka", "new"): 30.0})["kafka"] == 80


# The bill


@settings(deadline=None)
@given(st.integers(1, 2_000_000), st.integers(1, 2_000_000))
def test_more_transactions_never_need_fewer_machines(one: int, other: int) -> None:
    model = asdict(WORLD)
    model["each"] |= dict.fromkeys(_missing(), 1e-6)
    fewer, more = (bill.bill(model, rate) for rate in sorted((one, other)))
    assert fewer.machines <= more.machines
    assert fewer.tb_a_day <= more.tb_a_day
    assert fewer.partitions <= more.partitions


def _missing() -> set[str]:
    return {process for part in bill.PARTS for process in part.processes} - set(WORLD.cpu)


def test_two_replicas_that_share_the_calls_cost_together_what_one_would() -> None:
    limits = bill.limits({"each": dict.fromkeys({*WORLD.cpu, *_missing()}, 20e-6)})
    assert limits["antifraud"] == pytest.approx(25_000)
    assert limits["bff"] == pytest.approx(50_000)


@settings(deadline=None)
@given(st.integers(1, 5_000))
def test_every_worker_has_a_partition_and_old_customers_keep_theirs_or_move_to_a_new_one(
    workers: int,
) -> None:
    assert bill.partitions(workers) >= workers
    assert bill.partitions(workers) % bill.PARTITIONS == 0


def test_the_bill_knows_the_partitions_the_batches_and_the_shards_that_there_are() -> None:
    assert kubernetes.environment("overlays/production", "transactions")["TOPIC_PARTITIONS"] == str(
        bill.PARTITIONS
    )
    assert Settings.model_fields["batch_size"].default == capacity_model.BATCH
    assert capacity_page.ROWS_A_SECOND == 100_000 * SHARDS / 60


# The pages


def committed() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((CODE / "benchmarks/capacity.json").read_text())
    return found


def test_the_pages_have_the_figures_of_the_report() -> None:
    """`python -m benchmarks.capacity_page` writes them anew."""
    document = capacity_page.DOCUMENT.read_text()
    assert capacity_page.filled(document, committed()) == document
    assert capacity_page.page(committed()) == (CODE / "benchmarks/capacity.md").read_text()


def test_every_table_of_the_page_is_generated() -> None:
    named = {found[2] for found in capacity_page.SECTION.finditer(capacity_page.DOCUMENT.read_text())}
    assert named == set(capacity_page.SECTIONS)


def test_a_rehearsals_figures_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    found = measured(monkeypatch)
    for command, says in (
        ("python -m benchmarks.capacity --quick", True),
        ("python -m benchmarks.capacity", False),
    ):
        document = capacity_page.filled(capacity_page.DOCUMENT.read_text(), found | {"command": command})
        assert (capacity_page.REHEARSED in document) is says


def measured(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What a run finds on a machine that is WORLD."""

    async def nothing(*_: object) -> None:
        pass

    async def seen_of(name: str, rate: float, *_: object) -> Observed:
        if name == "POSTs alone":
            return replace(observed(rate, 0, 0), name=name)
        one = at(rate) if rate <= WORLD.capacity else too_much(rate)
        behind = one.behind or WORLD.predicted(rate, capacity._until(capacity.FULL)).behind
        return replace(one, name=name, behind=behind)

    async def worked_off(*_: object) -> Observed:
        return seen()[4]

    monkeypatch.setattr(capacity, "_quiet", nothing)
    monkeypatch.setattr(feeding, "settled", nothing)
    monkeypatch.setattr(stage, "pause", lambda _: None)
    monkeypatch.setattr(stage, "resume", lambda _: None)
    monkeypatch.setattr(loads, "observed", seen_of)
    monkeypatch.setattr(loads, "worked_off", worked_off)
    found = asyncio.run(capacity.measure(capacity.FULL))
    found["model"]["cpu"] |= {name: vars(Costs(0, 0, 1e-6, 0, 0)) for name in _missing()}
    found["model"]["each"] |= dict.fromkeys(_missing(), 1e-6)
    return found


def test_of_a_load_that_is_measured_several_times_a_hiccup_does_not_count() -> None:
    one, other, hiccup = observed(100, 50, 1), observed(100, 60, 3), observed(100, 20, 9)
    found = loads.middle(
        [
            replace(one, behind=10, refused=1),
            replace(hiccup, behind=300, refused=2),
            replace(other, behind=30, refused=2),
        ]
    )
    assert (found.offered, found.accepted, found.behind, found.refused) == (one.offered, one.accepted, 30, 5)
    assert found.busy == pytest.approx(other.busy)


def test_a_run_on_a_machine_that_is_as_the_model_says_predicts_all_of_its_loads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = measured(monkeypatch)
    errors = [abs(error) for one in found["loads"] for error in one["error"].values()]
    assert len(errors) == 18
    assert max(errors) < capacity_page.WITHIN
    assert len(found["observed"]) == 12
    json.dumps(found)
