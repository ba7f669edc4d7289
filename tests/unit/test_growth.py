"""What the growth benchmark makes of what it has seen; what a user had stored is back after it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from benchmarks import reads, stage
from benchmarks.feeding import Run
from benchmarks.growth_report import Sample, Stored, result
from benchmarks.page import table
from benchmarks.result import Result
from infra.native import stack


def run(rate: float, worker: float = 1e-4) -> Run:
    """CPU seconds a transaction of the worker; that of the benchmark itself does not count."""
    return Run(1000, 1000 / rate, {"transactions": 1000 * worker, "kafka": 0.05, "(the benchmark)": 9})


def stored(size: int, *runs: Run, memory: float = 100) -> Stored:
    calls = reads.Calls([0.001, 0.002, 0.003], {"bff": 0.003, "cassandra-1": 0.006, "cassandra-3": 0.003})
    kinds = [(reads.NEWEST, "redis"), (reads.NEWEST, "cassandra"), (reads.BY_ID, "cassandra")]
    return Stored(
        size, runs, {reads.Asked(*kind, 1): calls for kind in kinds}, {"transactions": memory, "bff": 50}
    )


PLAN = {"sizes": (10, 100, 1000), "rounds": 3, "backlog": 1000, "calls": 3, "by_workers": 5}


def grown(last: Stored) -> Result:
    samples = [
        Sample(1.0, 10, {"transactions": 90, "bff": 50}),
        Sample(9.0, 1000, {"transactions": 100, "bff": 50}),
    ]
    first = stored(10, run(4000), run(5000), run(4500))
    return result([first, stored(100, run(4000)), last], samples, {1: [run(1)]}, PLAN)


def test_the_cost_with_most_stored_is_judged_beside_that_with_fewest() -> None:
    found = grown(stored(1000, run(3000, 2e-4)))
    by_name = {figure.name: figure for figure in found.figures}
    assert by_name["rate with 10 stored"].rounds == pytest.approx((4000, 5000, 4500))
    assert by_name["seconds of one more with most stored, of those with fewest"].value == pytest.approx(150)
    assert by_name["CPU of one more with most stored, of that with fewest"].value == pytest.approx(
        100 * 250 / 150
    )
    assert by_name["CPU of one more with most stored, of that with fewest"].missed


def test_memory_is_flat_within_a_tenth_of_what_it_was_in_the_middle() -> None:
    def memory(megabytes: float) -> bool:
        found = grown(stored(1000, run(1), memory=megabytes))
        (figure,) = [one for one in found.figures if one.name.startswith("memory of transactions")]
        return figure.missed

    assert not memory(109)
    assert memory(111)


def test_gets_are_in_a_table_by_what_is_stored() -> None:
    found = grown(stored(1000, run(1)))
    gets = next(one for one in found.tables if one.title.startswith("GETs"))
    assert "| 1,000 | newest 100 | redis | 1 | 2.0 | 3.0 | 3.0 | 500 | 1.0 | 3.0 |" in table(
        gets.header, gets.rows
    )


@contextmanager
def begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    data = tmp_path / "data"
    monkeypatch.setattr(stage, "DATA", data)
    monkeypatch.setattr(stage, "ASIDE", tmp_path / "data.aside")
    monkeypatch.setattr(stack, "down", lambda: None)
    monkeypatch.setattr(stack, "is_up", lambda: False)
    yield data


def test_what_a_user_had_stored_is_back_after_a_benchmark_that_begins_with_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with begun(tmp_path, monkeypatch) as data:
        data.mkdir()
        (data / "the user's").touch()
        with stage.nothing_stored():
            assert not data.exists()
            data.mkdir()
        assert [file.name for file in data.iterdir()] == ["the user's"]


def test_one_of_all_benchmarks_touches_neither_what_a_user_had_nor_brings_it_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with begun(tmp_path, monkeypatch) as data:
        data.mkdir()
        (data / "the user's").touch()
        with stage.for_all():
            for _ in range(2):
                with stage.nothing_stored():
                    assert not data.exists()
                    data.mkdir()
                assert not (data / "the user's").exists()
        assert [file.name for file in data.iterdir()] == ["the user's"]


def test_it_is_back_too_when_the_last_such_benchmark_was_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with begun(tmp_path, monkeypatch) as data:
        data.mkdir()
        aside = data.with_name("data.aside")
        aside.mkdir()
        (aside / "the user's").touch()
        with stage.nothing_stored():
            assert not data.exists()
        assert [file.name for file in data.iterdir()] == ["the user's"]
