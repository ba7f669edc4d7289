"""The page on the real system: what it shows is what happens."""

from __future__ import annotations

import re

import pytest

from infra.native import stack as real
from reconciliation.readers import bff_url
from tests.browser.conftest import SCREENSHOTS, Open, until
from tests.support import http
from tests.support.dead import whole

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("stack")]

#: Milliseconds: the 2 s that the system takes to notice, and a busy machine's time to kill and to draw.
NOTICED = 6000
FINAL = ":is(.accepted, .rejected)"


def test_a_transaction_posted_on_the_page_becomes_final_and_has_its_timeline(open_page: Open) -> None:
    page = open_page(bff_url())
    page.fill("#f-description", "posted on the page")
    page.click(".post button.main")
    page.locator(f"#posted {FINAL}").wait_for()
    id_ = page.get_attribute("#posted", "data-id")
    page.wait_for_selector(f"[data-id='{id_}'] {FINAL}")
    page.click("#posted button")
    for step in ("received", "logged", "assessed", "published", "stored", "shown"):
        page.wait_for_selector(f"[data-step={step}].known")
    assert re.search(r"antifraud-[12] · score \d", page.inner_text("[data-step=assessed]"))
    assert re.search(r"transaction_created:\d:\d+", page.inner_text("[data-step=logged]"))
    page.locator(".way summary", has_text="The record").click()
    assert page.locator(".way .hex mark").first.inner_text().startswith("00 00 00 00")
    assert f'"transaction_id": "{id_}"' in page.locator(".way details pre").first.inner_text()
    page.wait_for_selector(".truth.up")


def test_a_customers_transactions_are_found_and_followed(open_page: Open) -> None:
    page = open_page(bff_url())
    page.fill("#customer-filter", "customer of the browser test")
    page.keyboard.press("Enter")
    page.fill("#f-customer_id", "customer of the browser test")
    for number in range(2):
        page.fill("#f-description", f"number {number}")
        page.click(".post button.main")
        page.locator(f"#posted {FINAL}").wait_for()
    others = [http.taken() for _ in range(3)]
    until(page, "document.querySelectorAll('.list tbody tr').length >= 2")
    found = page.locator(".list tbody td:nth-child(5)").all_inner_texts()
    assert set(found) == {"customer of the browser test"}
    assert not any(page.locator(f"[data-id='{id_}']").count() for id_ in others)


def test_a_killed_replica_and_a_dead_redis_are_shown_with_their_cost(open_page: Open) -> None:
    page = open_page(bff_url())
    page.wait_for_selector("[data-part=redis].up")
    try:
        real.kill("antifraud-1")
        page.wait_for_selector("[data-part=antifraud-1].down", timeout=NOTICED)
        assert "without a false rejection" in page.inner_text("[data-cost=antifraud-1]")
        real.kill("redis")
        page.wait_for_selector("[data-part=redis].down", timeout=NOTICED)
        assert "GET reads Cassandra" in page.inner_text("[data-cost=redis]")
        page.screenshot(path=SCREENSHOTS / "a-replica-and-redis-dead.png", full_page=True)
    finally:
        whole()
    page.wait_for_selector("[data-part=redis].up")
    page.wait_for_selector("[data-part=antifraud-1].up")


def test_a_restart_of_the_bff_is_survived_and_nothing_is_missed(open_page: Open) -> None:
    page = open_page(bff_url())
    before = [http.taken() for _ in range(5)]
    for id_ in before:
        page.wait_for_selector(f"[data-id='{id_}'] {FINAL}")
    try:
        real.kill("bff")
        page.locator(".banner", has_text="The bff does not answer").wait_for()
    finally:
        whole()
    after = [http.taken() for _ in range(5)]
    page.locator(".banner").wait_for(state="detached")
    for id_ in [*before, *after]:
        page.wait_for_selector(f"[data-id='{id_}'] {FINAL}")
