"""A real browser, and a made-up bff in a thread beside the test."""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.browser import needs
from tests.browser.fake_bff import prepared, serve
from tests.browser.fake_state import FakeState

ROOT = Path(__file__).parents[2]
SCREENSHOTS = ROOT / ".stack" / "screenshots"
PORT = 5091
WIDE, PHONE = {"width": 1440, "height": 900}, {"width": 360, "height": 740}

#: Keeps in `said` what the page says in words, however briefly.
SAID = """
window.said = new Set();
new MutationObserver(() => {
  for (const one of document.querySelectorAll(".words, .empty, .calm")) window.said.add(one.textContent);
}).observe(document, { childList: true, subtree: true, characterData: true });
"""

#: Opens a page of the browser: its address and what `new_context` takes.
Open = Callable[..., Any]


class Served:
    """A made-up bff: `state` is what it is in, `do` changes it from the test's thread."""

    def __init__(self, name: str):
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.address = f"http://127.0.0.1:{PORT}"
        self.state: FakeState = self.do(lambda: prepared(name))
        self._traffic = asyncio.run_coroutine_threadsafe(self.state.traffic(), self._loop)
        self._runner: Any = None
        self.start()

    def do(self, call: Callable[[], Any]) -> Any:
        """Call it where the bff runs."""

        async def called() -> Any:
            return call()

        return asyncio.run_coroutine_threadsafe(called(), self._loop).result()

    def start(self) -> None:
        """Answer."""
        self._runner = asyncio.run_coroutine_threadsafe(serve(self.state, PORT), self._loop).result()

    def kill(self) -> None:
        """Answer no more."""
        self.do(self.state.cut)
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result()

    def close(self) -> None:
        """End."""
        self._traffic.cancel()
        self.kill()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@pytest.fixture
def bff(request: pytest.FixtureRequest) -> Iterator[Served]:
    """A made-up bff, in a state that is prepared: its name is the fixture's parameter, else all is well."""
    served = Served(getattr(request, "param", ""))
    yield served
    served.close()


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """The system's Chromium, headless."""
    if lines := needs.missing():
        pytest.exit("\n".join(lines), returncode=1)
    from playwright.sync_api import sync_playwright  # only these tests have it

    with sync_playwright() as playwright:
        # A container's root has no user namespaces for the sandbox.
        chromium = playwright.chromium.launch(executable_path=needs.chromium(), args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def open_page(browser: Any, request: pytest.FixtureRequest) -> Iterator[Open]:
    """Opens pages; at the end there was no error in any, no request to another host, and a screenshot is kept."""
    opened: list[Any] = []
    errors: list[str] = []

    def opening(address: str, path: str = "/", **how: Any) -> Any:
        context = browser.new_context(**{"viewport": WIDE, "locale": "en-GB", **how})
        page = context.new_page()
        page.add_init_script(SAID)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: errors.append(message.text) if _is_ours(message) else None)
        page.on("request", lambda sent: None if sent.url.startswith(address) else errors.append(sent.url))
        opened.append(page)
        page.goto(address + path)
        page.wait_for_selector(".truth")
        return page

    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    yield opening
    name = re.sub(r"\W+", "-", request.node.name)
    for number, page in enumerate(opened):
        page.screenshot(path=SCREENSHOTS / f"{name}-{number}.png", full_page=True)
        page.context.close()
    assert errors == []


def _is_ours(message: Any) -> bool:
    """A refused answer, or a bff that is away, is in the console too: those are not the page's errors."""
    return message.type == "error" and "Failed to load resource" not in message.text


def until(page: Any, expression: str, within: float = 10.0) -> None:
    """Wait until the expression is true. Playwright's own way is an eval in the page, which its policy refuses."""
    deadline = time.monotonic() + within
    while not page.evaluate(expression):
        assert time.monotonic() < deadline, expression
        page.wait_for_timeout(50)


@contextmanager
def without_layout_jumps(page: Any) -> Iterator[None]:
    """What is in view stays where it is, but for what the reader asks for."""
    page.evaluate(
        """() => {
            window.jumps = 0;
            new PerformanceObserver((list) => {
              for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.jumps += entry.value;
            }).observe({ type: "layout-shift" });
        }"""
    )
    yield
    assert page.evaluate("window.jumps") < 0.1
