"""The lab in a real browser, on made-up parts."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tests.browser.conftest import PHONE, Open, until
from tests.browser.fake_bff import prepared, serve
from tests.browser.fake_lab import BFF_PORT, PORT, TOKEN, FakeHands, fake_lab
from tests.browser.test_page import _axe as axe

pytestmark = pytest.mark.browser

ADDRESS = f"http://127.0.0.1:{PORT}"
LINK = f"/#token={TOKEN}"


class Played:
    """What the tests look at of the lab that is served."""

    hands: FakeHands
    end_bff: Any


@pytest.fixture
def lab() -> Iterator[Played]:
    """The lab in front of a made-up bff, in a thread of its own; an exercise takes two seconds."""
    played, ready, enough = Played(), threading.Event(), threading.Event()

    async def serving() -> None:
        state = prepared("")
        runner = await serve(state, BFF_PORT)
        traffic = asyncio.create_task(state.traffic())
        loop = asyncio.get_running_loop()

        def end_bff() -> None:
            loop.call_soon_threadsafe(state.cut)
            asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result()

        async with fake_lab(state) as hands:
            hands.seconds = 2
            played.hands, played.end_bff = hands, end_bff
            ready.set()
            await asyncio.to_thread(enough.wait)
        traffic.cancel()
        state.cut()
        await runner.cleanup()

    thread = threading.Thread(target=lambda: asyncio.run(serving()), daemon=True)
    thread.start()
    assert ready.wait(10)
    yield played
    enough.set()
    thread.join()


def test_a_part_is_killed_from_its_node_and_started_again(lab: Played, open_page: Open) -> None:
    page = open_page(ADDRESS, path=LINK)
    page.click("[data-part=redis]")
    page.click("[data-hands=redis] [data-act=kill]")
    page.wait_for_selector("[data-part=redis].down")
    page.locator("[data-hands=redis]", has_text="killed").wait_for()
    page.click("[data-hands=redis] [data-act=start]")
    page.wait_for_selector("[data-part=redis].up")
    page.click("[data-hands=redis] [data-act=pause]")
    page.click("[data-hands=redis] [data-act=resume]")
    page.wait_for_selector("[data-hands=redis] [data-act=stop]")


def test_a_part_is_slowed_down_cut_off_and_healed(lab: Played, open_page: Open) -> None:
    page = open_page(ADDRESS, path=LINK)
    page.focus("[data-part=redis]")
    page.keyboard.press("Enter")
    page.fill("[data-hands=redis] input", "250")
    page.click("[data-hands=redis] [data-act=slow]")
    page.locator("[data-hands=redis]", has_text="its answers are 250 ms late").wait_for()
    page.click("[data-hands=redis] [data-act=cut]")
    page.locator("[data-hands=redis]", has_text="cut off").wait_for()
    page.click("[data-hands=redis] [data-act=heal]")
    until(page, "!document.querySelector('[data-act=heal]')")
    page.click("[data-part=kafka]")
    page.wait_for_selector("[data-hands=kafka]")
    assert page.locator("[data-act=slow]").count() == 0


def test_the_hands_work_while_the_bff_is_dead_from_the_start(lab: Played, open_page: Open) -> None:
    lab.end_bff()
    page = open_page(ADDRESS, path=LINK)
    page.locator(".banner", has_text="The bff does not answer").wait_for()
    page.click("[data-hand=kafka]")
    page.click("[data-hands=kafka] [data-act=kill]")
    page.locator("[data-hands=kafka]", has_text="killed").wait_for()
    page.click("[data-act=all-back]")
    page.locator("[data-hands=kafka]", has_text="running").wait_for()


def test_load_is_sent_at_a_rate_and_ended(lab: Played, open_page: Open) -> None:
    page = open_page(ADDRESS, path=LINK)
    page.fill("#lab-rate", "40")
    page.keyboard.press("Enter")
    page.locator(".lab-load", has_text=re.compile(r"40/s for \d+ s")).wait_for()
    page.locator(".lab-load .said", has_text=re.compile(r"\d+ acknowledged")).wait_for()
    page.click("[data-act=end-load]")
    page.locator(".lab-load .said", has_text="0 failed; stopped").wait_for()


def test_an_exercise_is_played_its_control_fails_and_it_is_stopped(lab: Played, open_page: Open) -> None:
    page = open_page(ADDRESS, path=LINK)
    page.select_option("#lab-exercise", "1")
    page.locator(".lab-exercise", has_text="the worker holds its position").wait_for()
    page.click("[data-act=play]")
    page.locator(".lab-lines tr.second td:nth-child(2)", has_text="20 taken").first.wait_for()
    page.locator("#lab-verdict", has_text="Every promise kept").wait_for()
    assert page.locator(".lab-outcome li").count() == 9
    page.locator(".questions li", has_text="The replication factor is 3.").wait_for()
    page.click("[data-act=control]")
    page.locator("#lab-verdict", has_text="1 of 1 promises broken, as a control must be").wait_for()
    lab.hands.seconds = 60
    page.click("[data-act=play]")
    page.locator(".lab-exercise .step", has_text="of 3 Cassandra nodes dead").wait_for()
    page.reload()  # another look at one that is being played
    page.locator(".lab-lines th", has_text="1 of 3 Cassandra nodes dead").wait_for()
    page.click("[data-act=end-exercise]")
    page.locator("#lab-verdict", has_text="Stopped").wait_for()


def test_what_the_last_run_said_and_kept_is_there_after_a_reload(lab: Played, open_page: Open) -> None:
    page = open_page(ADDRESS, path=LINK)
    page.select_option("#lab-exercise", "1")
    page.click("[data-act=play]")
    page.locator("#lab-verdict", has_text="Every promise kept").wait_for()
    page.reload()
    page.locator("#lab-verdict", has_text="Every promise kept").wait_for()
    assert page.input_value("#lab-exercise") == "1"
    assert page.locator(".lab-lines tr.second").count() > 10
    page.select_option("#lab-exercise", "2")  # one's own choice stays
    page.wait_for_timeout(2500)
    assert page.input_value("#lab-exercise") == "2"


def test_an_exercise_that_must_wait_for_relays_says_so_at_once(lab: Played, open_page: Open) -> None:
    lab.hands.take_out_lasts = 4
    page = open_page(ADDRESS, path=LINK)
    page.click("[data-part=redis]")
    page.click("[data-hands=redis] [data-act=slow]")
    page.locator("[data-hands=redis]", has_text="for the relay: that is no crash").wait_for()
    page.select_option("#lab-exercise", "1")
    page.click("[data-act=play]")
    page.locator(".lab-exercise .step", has_text="Starting").wait_for(timeout=500)
    assert page.is_disabled("[data-act=play]")
    page.locator(".lab-exercise .step", has_text="relays are taken out first").wait_for()
    page.locator("[data-hands=redis]", has_text="Exercise 1 has it now.").wait_for()
    page.locator("#lab-verdict", has_text="Every promise kept").wait_for(timeout=15_000)


def test_without_the_link_there_are_no_hands(lab: Played, open_page: Open) -> None:
    page = open_page(ADDRESS, path="/#token=another")
    page.locator("#lab .trouble", has_text="the link that make lab has printed").wait_for()
    assert page.locator("[data-hand], [data-act]").count() == 0
    assert "token" not in page.url


@pytest.mark.parametrize(
    "how", [{}, {"viewport": PHONE, "is_mobile": True, "color_scheme": "dark", "locale": "pt-BR"}]
)
def test_axe_finds_nothing_in_the_lab_and_it_fits_a_phone(
    lab: Played, open_page: Open, how: dict[str, Any]
) -> None:
    page = open_page(ADDRESS, path=LINK, **how)
    page.select_option("#lab-exercise", "1")
    page.wait_for_selector(".lab-exercise")
    page.click("[data-hand=redis]")
    page.wait_for_selector("[data-hands=redis]")
    assert axe(page) == []
    page.click("[data-act=play]")
    page.wait_for_selector("#lab-verdict")
    assert axe(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
