"""The lab on the real system: what its buttons do is done."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from aiohttp.test_utils import unused_port

from infra.native import processes
from infra.native.paths import ROOT
from tests.browser.conftest import SCREENSHOTS, Open

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("stack")]

#: Milliseconds, on a busy machine: for a part to come back, and for a whole exercise.
PATIENCE, EXERCISE_WITHIN = 90_000, 400_000


@contextmanager
def make_lab() -> Iterator[str]:
    """`make lab` on the stack that is up; its link."""
    command, environment = [sys.executable, "-m", "lab"], {**os.environ, "LAB_PORT": str(unused_port())}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield next(line for line in process.stdout if "#token=" in line).split()[-1]
        finally:
            process.terminate()
            said = process.stdout.read()
    assert "the stack goes on as it is" in said
    assert process.returncode == 0


def test_a_part_is_killed_and_revived_slowed_down_and_healed_and_exercise_1_is_played_to_its_end(
    open_page: Open,
) -> None:
    with make_lab() as link:
        address, _, token = link.partition("/#")
        page = open_page(address, path=f"/#{token}")
        page.set_default_timeout(PATIENCE)
        page.wait_for_selector("[data-part=redis].up")
        page.click("[data-part=redis]")
        page.click("[data-hands=redis] [data-act=kill]")
        page.wait_for_selector("[data-part=redis].down")
        assert processes.states()["redis"].state == "killed"
        page.click("[data-hands=redis] [data-act=start]")
        page.wait_for_selector("[data-part=redis].up")
        _slowed_down_and_healed(page)
        page.select_option("#lab-exercise", "1")
        page.click("[data-act=play]")
        page.wait_for_selector("[data-part=cassandra-1].down")
        page.screenshot(path=SCREENSHOTS / "exercise-1-is-played.png")
        page.wait_for_selector("#lab-verdict", timeout=EXERCISE_WITHIN)
        assert page.inner_text("#lab-verdict") == "Every promise kept"
        assert page.locator(".lab-lines tr.second").count() > 20
        page.select_option("#lab-exercise", "0")
    states = {name: part.state for name, part in processes.states().items() if name != "generator"}
    assert set(states.values()) == {"running"}, states


def _slowed_down_and_healed(page: Any) -> None:
    """Behind a relay whose answers are late Redis is down for the bff; healed, it is read again."""
    page.fill("[data-hands=redis] input", "2000")
    page.click("[data-hands=redis] [data-act=slow]")
    page.locator("[data-hands=redis]", has_text="2000 ms late").wait_for()
    page.wait_for_selector("[data-part=redis]:is(.down, .degraded)")
    page.click("[data-hands=redis] [data-act=heal]")
    page.wait_for_selector("[data-part=redis].up")
