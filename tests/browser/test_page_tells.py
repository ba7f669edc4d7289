"""What the page says of what is old, on its way, not known, or over: a reader must not take one for the other."""

from __future__ import annotations

import re

import pytest

from tests.browser.conftest import Open, Served, until

pytestmark = pytest.mark.browser

ROWS = ".list tbody tr"


def test_old_data_says_its_age_at_once_also_to_who_opens_the_page_now(bff: Served, open_page: Open) -> None:
    bff.do(lambda: bff.state.stop_looking(194))
    page = open_page(bff.address)
    page.locator(".banner", has_text=re.compile(r"has not looked.*for (19\d s|3 min)", re.DOTALL)).wait_for()
    assert "Unknown" in page.inner_text(".truth .state")
    assert "The counts are old." in page.inner_text(".truth .words")
    assert page.locator("[data-part=kafka].unknown").count() == 1
    assert page.locator("[data-part=bff].up").count() == 1
    assert "Live" not in page.inner_text(".top .state")
    bff.state.last_look = None
    page.locator(".banner").wait_for(state="detached")
    page.wait_for_selector("[data-part=kafka].up")
    page.wait_for_selector(".truth.up")
