"""What the page says of what is old, on its way, not known, or over: a reader must not take one for the other."""

from __future__ import annotations

import re

import pytest

from app.system.costs import COSTS
from tests.browser.conftest import PHONE, Open, Served
from tests.browser.test_page import _axe as axe

pytestmark = pytest.mark.browser

ROWS = ".list tbody tr"


def _is_down(bff: Served, name: str, cost: str, word: str = "refuses connections") -> None:
    bff.do(lambda: bff.state.set_part(name, "down", word, cost))


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


def test_what_is_being_stored_is_part_of_the_sentence_and_contradicts_it_no_longer(
    bff: Served, open_page: Open
) -> None:
    page = open_page(bff.address)
    page.locator(".truth .words", has_text="everything decided is stored and shown, once").wait_for()
    bff.state.being_stored = 86
    page.locator(".truth .words", has_text="but for 86 being stored").wait_for()
    assert "All true" in page.inner_text(".truth .state")
    assert "everything decided" not in page.inner_text(".truth .words")


def test_a_store_that_cannot_be_asked_is_waited_for_and_no_loss(bff: Served, open_page: Open) -> None:
    page = open_page(bff.address)
    page.wait_for_selector(".truth.up")
    bff.state.silent = "Cassandra and Redis"
    page.locator(".truth .state", has_text="Waiting for Cassandra, Redis").wait_for()
    words = page.inner_text(".truth .words")
    assert "Nothing acknowledged is lost" in words
    assert "checked again as soon as Cassandra, Redis can be asked" in words
    bff.state.silent = "Kafka"
    page.locator(".truth .state", has_text="Waiting for Kafka").wait_for()
    assert "Nothing acknowledged is lost" not in page.inner_text(".truth .words")  # nobody can say so now
    bff.state.silent = ""
    page.locator(".truth .state", has_text="All true").wait_for()


def test_a_rejection_without_an_assessment_does_not_look_like_any_other(bff: Served, open_page: Open) -> None:
    page = open_page(bff.address)
    page.wait_for_selector(f"{ROWS} .rejected")
    assert page.locator(".unassessed").count() == 0  # neither a row nor the strip
    bff.state.no_replica = True
    marked = page.locator(ROWS, has=page.locator(".unassessed")).first
    marked.wait_for()
    assert "not assessed" in marked.locator("td:last-child").inner_text()
    page.locator(".truth .unassessed", has_text="rejected without an assessment since").wait_for()
    assert "make reassess" in page.inner_text(".truth .unassessed")
    assert "no antifraud replica answered" in str(marked.locator(".unassessed").get_attribute("title"))


def test_the_note_on_which_store_is_read_follows_redis_both_ways(bff: Served, open_page: Open) -> None:
    page = open_page(bff.address)
    page.wait_for_selector(ROWS)
    note = page.locator(".said", has_text="Read from Cassandra")
    assert note.count() == 0
    bff.do(lambda: bff.state.set_part("redis", "down", "refuses connections"))
    note.wait_for(timeout=6000)
    bff.do(lambda: bff.state.set_part("redis", "up"))
    note.wait_for(state="detached", timeout=6000)


def test_the_rate_in_the_head_is_a_mean_that_agrees_with_the_arrows(bff: Served, open_page: Open) -> None:
    bff.state.per_second = 0.8
    page = open_page(bff.address)
    page.wait_for_timeout(7000)
    seen = []
    for _ in range(5):
        seen.append(float(page.inner_text("#transactions .head small").split()[0]))
        page.wait_for_timeout(500)
    assert all(0.3 < rate < 1.4 for rate in seen), seen


def test_what_the_bff_found_at_its_start_is_not_said_to_have_begun_then(bff: Served, open_page: Open) -> None:
    bff.state.has_begun_anew = True
    page = open_page(bff.address)
    page.locator("[data-part=kafka] .says", has_text=re.compile(r"up ≥ \d+ s")).wait_for()
    page.click("[data-part=kafka]")
    page.locator("[data-cost=kafka]", has_text=re.compile(r"for \d+ s at least: found so at ")).wait_for()
    page.locator("#charts", has_text="when the bff began to look").wait_for()
    assert "last 15 minutes." not in page.inner_text("#charts")
    bff.do(lambda: bff.state.set_part("kafka", "up"))
    page.locator("[data-cost=kafka]", has_text=re.compile(r"for \d+ s, since ")).wait_for()


def test_an_impact_is_said_once_with_its_parts_and_the_command_that_brings_each_back(
    bff: Served, open_page: Open
) -> None:
    cost = COSTS["cassandra, all"].cost
    for name in ("cassandra-1", "cassandra-2", "cassandra-3"):
        _is_down(bff, name, cost)
    _is_down(bff, "redis", COSTS["redis"].cost, "no answer within 1 s")
    page = open_page(bff.address)
    group = page.locator("[data-cost='cassandra-1 cassandra-2 cassandra-3']")
    group.wait_for()
    assert group.inner_text().count(cost) == 1
    assert "make start NAME=cassandra-2" in group.inner_text()
    assert "make resume NAME=redis" in page.inner_text("[data-cost=redis]")


def test_in_combined_mode_the_one_process_is_down_as_both_parts_and_is_brought_back_by_its_own_name(
    bff: Served, open_page: Open
) -> None:
    bff.do(lambda: bff.state.combine())
    page = open_page(bff.address)
    page.wait_for_selector("[data-part=transactions].up")
    bff.kill()
    group = page.locator("[data-cost='bff transactions']")
    group.wait_for()
    assert group.inner_text().count("make start NAME=main") == 2
    assert "nothing is decided" in group.inner_text()
    page.wait_for_selector("[data-part=kafka].unknown")


def test_while_the_bff_alone_is_away_the_worker_goes_on(bff: Served, open_page: Open) -> None:
    page = open_page(bff.address)
    page.wait_for_selector("[data-part=transactions].up")
    bff.kill()
    page.locator("[data-cost=bff]", has_text="is still processed").wait_for()
    assert "make start NAME=bff" in page.inner_text("[data-cost=bff]")
    page.wait_for_selector("[data-part=transactions].unknown")


def test_an_arrow_to_a_dead_part_carries_nothing(bff: Served, open_page: Open) -> None:
    page = open_page(bff.address)
    page.wait_for_selector("[data-part=redis].up")
    before = page.locator(".arrow text").count()
    _is_down(bff, "redis", COSTS["redis"].cost)
    page.wait_for_selector("[data-part=redis].down")
    assert page.locator(".arrow.broken").count() == 1
    assert page.locator(".arrow.broken text").count() == 0
    assert page.locator(".arrow text").count() == before - 1


@pytest.mark.parametrize(
    ("down", "said", "left_out"),
    [
        (
            {"antifraud-1": "antifraud, all", "transactions": "transactions, all"},
            "stay pending in Kafka",
            "are rejected",
        ),
        ({"kafka": "kafka", "redis": "redis"}, "POST answers 503 within 2 s", "POST answers 201"),
        ({"kafka": "kafka", "redis": "both stores"}, "GET answers 503", "GET works"),
    ],
)
def test_of_impacts_that_contradict_each_other_the_stronger_one_is_said(
    bff: Served, open_page: Open, down: dict[str, str], said: str, left_out: str
) -> None:
    for name, key in down.items():
        _is_down(bff, name, COSTS[key].cost)
    for locale in ("en-GB", "pt-BR"):
        page = open_page(bff.address, locale=locale)
        page.wait_for_selector(".costs li")
        found = page.inner_text(".costs")
        portuguese = {
            "are rejected": "são rejeitadas",
            "POST answers 201": "POST responde 201",
            "GET works": "GET funciona",
        }
        assert left_out not in found
        assert portuguese[left_out] not in found
        if locale == "en-GB":
            assert said in found


@pytest.mark.parametrize("how", [{}, {"viewport": PHONE, "color_scheme": "dark", "locale": "pt-BR"}])
def test_axe_finds_nothing_while_much_is_odd_and_it_fits_a_phone(
    bff: Served, open_page: Open, how: dict[str, str]
) -> None:
    bff.state.no_replica, bff.state.keys_unknown = True, True
    bff.do(lambda: bff.state.set_part("redis", "down", "no answer within 1 s", COSTS["redis"].cost))
    page = open_page(bff.address, **how)
    page.wait_for_selector(f"{ROWS} .unassessed")
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    page.click(".post button.main")
    page.wait_for_selector(".post .trouble button")
    assert axe(page) == []
    bff.do(lambda: bff.state.stop_looking(60))
    page.wait_for_selector(".banner")
    assert axe(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
