"""The form: a POST that got no answer is tried again without being taken twice, and the focus stays where one works."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser.conftest import Open, Served

pytestmark = pytest.mark.browser

ROWS = ".list tbody tr"


def focused(page: Any, property_: str = "id") -> str:
    """Of the element that has the focus."""
    return str(page.evaluate(f"document.activeElement.{property_}"))


def test_a_post_without_an_answer_is_tried_again_and_taken_once(bff: Served, open_page: Open) -> None:
    bff.state.per_second, bff.state.dies_after_taking = 0, True
    page = open_page(bff.address)
    page.fill("#f-description", "taken once")
    page.click(".post button.main")
    page.locator(".post .trouble", has_text="Whether it took the transaction is not known.").wait_for()
    page.fill("#f-description", "what is sent again is what was sent")
    page.locator(".post .trouble button", has_text="Try again").click()
    page.locator("#posted .accepted, #posted .rejected").wait_for()
    assert focused(page, "textContent") == "Post"
    assert [one["description"] for one in bff.state.transactions.values()] == ["taken once"]
    assert list(bff.state.keys.values()) == [page.get_attribute("#posted", "data-id")]


def test_while_keys_cannot_be_checked_a_post_without_one_is_offered(bff: Served, open_page: Open) -> None:
    bff.state.per_second, bff.state.keys_unknown = 0, True
    page = open_page(bff.address)
    page.click(".post button.main")
    page.locator(
        ".post .trouble", has_text="503 Idempotency store unavailable: this call took nothing"
    ).wait_for()
    page.locator(".post .trouble button", has_text="Post without a key").click()
    page.locator("#posted .accepted, #posted .rejected").wait_for()
    assert len(bff.state.transactions) == 1


def test_enter_posts_and_leaves_the_focus_where_it_is(bff: Served, open_page: Open) -> None:
    bff.state.per_second = 0
    page = open_page(bff.address)
    for place in ("#f-description", ".post button.main"):
        page.focus(place)
        before = focused(page, "outerHTML")
        page.keyboard.press("Enter")
        page.locator("#posted .accepted, #posted .rejected").wait_for()
        assert focused(page, "outerHTML") == before


def test_the_form_is_one_skip_away_and_kept_while_a_timeline_is_open(bff: Served, open_page: Open) -> None:
    bff.state.per_second = 0
    bff.do(lambda: bff.state.take(dict.fromkeys(_NAMES, 1) | {"description": "d", "customer_id": "c"}))
    page = open_page(bff.address)
    page.wait_for_selector(ROWS)
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    assert focused(page, "textContent") == "Skip to the form"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert focused(page) == "f-value_in_cents"
    page.fill("#f-description", "half typed")
    page.focus(f"{ROWS}:first-child button")
    page.keyboard.press("Enter")
    page.locator(".way button", has_text="Back to the form").wait_for()
    page.keyboard.press("Escape")
    page.locator(".way").wait_for(state="detached")
    assert focused(page, "closest('tr').dataset.id") == next(iter(bff.state.transactions))
    assert page.input_value("#f-description") == "half typed"


_NAMES = ("value_in_cents", "merchant_id", "transaction_timestamp", "latitude", "longitude")
