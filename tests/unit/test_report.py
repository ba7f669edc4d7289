"""The benchmarks' report: medians of rounds, plots, what failed, what stays of the last one."""

import asyncio
import json
import signal
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from subprocess import PIPE
from typing import Any

import pytest

from benchmarks import report
from benchmarks.page import page
from benchmarks.result import Figure, Result

CONTEXT = {"date": "today", "command": "python -m benchmarks.x", "machine": {}, "versions": {}}


@pytest.fixture(autouse=True)
def no_plotter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "_draw", lambda folder: None)


def result(**changed: Any) -> dict[str, Any]:
    known = {
        "title": "Growth",
        "settings": {},
        "figures": [],
        "tables": [],
        "faults": [],
        "raw": {},
        "plots": [],
    }
    return known | CONTEXT | changed


def figure(one: Figure) -> dict[str, Any]:
    return report._judged(Result("", {}, [one]))["figures"][0]  # type: ignore[no-any-return]


def test_the_figure_of_several_rounds_is_their_median() -> None:
    one = Figure("rate", [30, 10, 20], "a second", at_least=15)
    assert (one.value, one.missed) == (20, False)


def test_the_page_shows_the_median_with_the_lowest_and_the_highest_round() -> None:
    shown = page({"growth": result(figures=[figure(Figure("rate", [3000, 1000, 2000], "a second"))])})
    assert "| rate | **2,000** a second (1,000 to 3,000) |  |  |  |" in shown


def test_a_figure_of_one_round_has_no_spread() -> None:
    shown = page({"growth": result(figures=[figure(Figure("rate", [2000], "a second", at_most=1000))])})
    assert "| rate | **2,000** a second | at most 1,000 a second | missed |  |" in shown


def test_the_page_begins_with_what_missed_its_target() -> None:
    slow = figure(Figure("rate", [900, 800, 700], "a second", at_least=1000))
    quick = figure(Figure("delay", [3], "ms", at_most=5))
    shown = page({"growth": result(figures=[slow, quick])})
    lost = shown[shown.index("## Where we lose") : shown.index("## Growth")]
    assert "| Growth | rate | **800** a second (700 to 900) | at least 1,000 a second |" in lost
    assert "delay" not in lost


def test_where_nothing_is_lost_the_page_says_so() -> None:
    shown = page({"growth": result(figures=[figure(Figure("delay", [3], "ms", at_most=5))])})
    assert "Every figure reached its target." in shown


def test_a_benchmark_that_failed_is_reported_with_its_reason_alone() -> None:
    shown = page({"growth": result(failed="TimeoutError: not done within its 22 minutes")})
    assert "## Growth\n\n**FAILED: TimeoutError: not done within its 22 minutes**" in shown
    assert "| measured |" not in shown


def test_the_page_links_each_plot() -> None:
    shown = page({"growth": result(plots=[{"title": "Rate", "file": "plots/growth-rate.svg"}])})
    assert "![Rate](plots/growth-rate.svg)" in shown


def test_a_report_keeps_the_other_benchmarks_and_forgets_those_that_there_are_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "MINUTES", {"first": (1, 1), "second": (1, 1)})
    (tmp_path / "report.json").write_text(json.dumps({"second": result(), "gone": result()}))
    report.keep(tmp_path, "first", result())
    assert list(report.kept(tmp_path)) == ["first", "second"]


def test_numbers_of_a_list_share_a_line(tmp_path: Path) -> None:
    name = next(iter(report.MINUTES))
    raw = {"ms": [1, -2.5, 1e-9], "words": ["1", "2"]}
    report.keep(tmp_path, name, result(raw=raw))
    assert '"ms": [ 1, -2.5, 1e-09 ]' in (tmp_path / "report.json").read_text()
    assert report.kept(tmp_path)[name]["raw"] == raw


def test_the_pictures_of_last_time_are_gone(tmp_path: Path) -> None:
    name = next(iter(report.MINUTES))
    old = tmp_path / "plots" / f"{name}-of-last-time.svg"
    old.parent.mkdir()
    old.touch()
    report.keep(tmp_path, name, result())
    assert not old.exists()


def test_one_that_is_not_done_within_its_bound_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def measure(_: bool) -> Result:
        await asyncio.sleep(60)
        raise AssertionError

    monkeypatch.setattr(report, "MINUTES", {"slow": (0.0001, 0.0002)})
    monkeypatch.setattr(report, "QUICK", tmp_path)
    monkeypatch.setattr(report, "ends_in_order", lambda: None)
    monkeypatch.setattr("benchmarks.environment.ready", lambda: None)
    monkeypatch.setattr(sys, "argv", ["slow", "--quick"])
    with pytest.raises(TimeoutError, match=r"not done within its 0.0002 minutes"):
        report.command("slow", measure, nullcontext)
    assert "not done within its 0.0002 minutes" in report.kept(tmp_path)["slow"]["failed"]


def test_all_benchmarks_together_have_140_minutes_and_the_quick_ones_24() -> None:
    full, quick = zip(*report.MINUTES.values(), strict=True)
    assert sum(full) + 2 * report.FOR_A_WARM_UP <= 140
    assert sum(quick) <= 24


def test_how_each_benchmark_measures_is_written_down() -> None:
    method = (report.COMMITTED / "METHOD.md").read_text()
    titles = [result["title"] for result in report.kept(report.COMMITTED).values()]
    assert len(titles) == len(report.MINUTES)
    assert [title for title in titles if f"\n## {title}\n" not in method] == []


@pytest.mark.parametrize("name", report.MINUTES)
def test_each_benchmark_is_a_command(name: str) -> None:
    text = Path(report.__file__).with_name(f"{name}.py").read_text()
    assert f'report.command("{name}", measure' in text


def test_a_benchmark_that_has_to_end_puts_back_what_it_laid_aside() -> None:
    program = """
import asyncio, signal
from benchmarks.report import ends_in_order

async def measure():
    print("at work", flush=True)
    await asyncio.sleep(60)

signal.signal(signal.SIGINT, signal.SIG_IGN)  # as in the background of a shell
ends_in_order()
try:
    asyncio.run(measure())
finally:
    print("put back", flush=True)
"""
    for published in (signal.SIGTERM, signal.SIGINT):
        with subprocess.Popen(
            [sys.executable, "-c", program], stdout=PIPE, stderr=PIPE, text=True
        ) as process:
            assert process.stdout
            assert process.stdout.readline() == "at work\n"
            process.send_signal(published)
            out, _ = process.communicate(timeout=30)
        assert out == "put back\n"
