"""What the browser tests need, said in a line each before anything starts: `python -m tests.browser.needs`."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys

NAMES = ("chromium", "chromium-browser", "google-chrome")
INSTALL = ".venv/bin/python -m pip install --no-deps --require-hashes -r tests/browser/requirements.lock"


def chromium() -> str | None:
    """The system's browser, or the one that CHROMIUM names."""
    return os.environ.get("CHROMIUM") or next((path for name in NAMES if (path := shutil.which(name))), None)


def missing() -> list[str]:
    """A line for each thing that is not there."""
    found = []
    if chromium() is None:
        found.append(
            "a browser is missing: install the system's package chromium, or name one: CHROMIUM=/path"
        )
    if not all(importlib.util.find_spec(name) for name in ("playwright", "axe_playwright_python")):
        found.append(f"playwright is missing: {INSTALL}")
    return found


if __name__ == "__main__":
    sys.exit("\n".join(missing()) or 0)
