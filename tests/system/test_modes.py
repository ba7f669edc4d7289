"""The deployment mode is changed with transactions stored; nothing is decided or published again."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from infra.native import stack
from infra.native.paths import BIN, ROOT
from reconciliation import readers
from tests.support import http, log, traffic
from tests.support.feed import Feed

pytestmark = pytest.mark.long

STORED = 1000
OTHER_PORT = "5055"
WORKERS = {"split": ["bff", "transactions"], "combined": ["main"]}


def change_to(mode: str) -> None:
    """Start the workers of that mode instead of the other's; the generator stays as it is."""
    stack.up(only=WORKERS[mode], mode=mode)


@pytest.fixture(scope="module")
def stored() -> Iterator[dict[str, str]]:
    """A thousand transactions and their statuses; at the end the mode is what it was."""
    mode = stack.current_mode()
    change_to("split")
    ids = Feed().send(STORED)
    log.wait_until(lambda: log.lag("transactions") == 0, 60, "all of them decided")
    yield asyncio.run(readers.stored(ids))
    change_to(mode)


def test_both_ways_nothing_is_published_again(stored: dict[str, str]) -> None:
    assert len(stored) == STORED
    published = log.ends(log.STATUS)
    change_to("combined")
    _as_before(stored, published)
    mine = _works()
    _serves_the_contract()
    _the_other_form_waits("bff", "main")
    published = log.ends(log.STATUS)
    change_to("split")
    _as_before({**stored, **mine}, published)
    _works()
    _the_other_form_waits("main", "transactions")


def _as_before(stored: dict[str, str], published: log.Offsets) -> None:
    time.sleep(1.5)  # anything that is published again would be there by now
    groups = {"combined": ("main", "main"), "split": ("transactions", "bff")}[stack.current_mode()]
    for group, topic in zip(groups, (log.CREATED, log.STATUS), strict=True):
        assert log.lag(group, topic) == 0
    assert log.read(log.STATUS, published) == []
    assert asyncio.run(readers.stored(stored)) == stored
    assert asyncio.run(readers.listed(stored)) == stored


def _works() -> dict[str, str]:
    """New transactions, each decided once."""
    ids = traffic.posted(50)
    found = {id_: str(http.final(id_)["status"]) for id_ in ids}
    assert [len(verdicts) for verdicts in asyncio.run(readers.published(ids)).values()] == [1] * 50
    return found


def _serves_the_contract() -> None:
    """The contract's tests, on the mode that is up now."""
    tests = Path(__file__).with_name("test_contract.py")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tests)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout[-5000:]


@contextmanager
def _worker(name: str) -> Iterator[subprocess.Popen[str]]:
    """A worker of the other mode, beside the stack."""
    command = [str(BIN / "faust"), "-A", f"app.{name}", "worker", "--loglevel", "info"]
    environment = os.environ | {"WEB_PORT": OTHER_PORT}
    worker = subprocess.Popen(
        command, cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    too_long = threading.Timer(60, worker.kill)
    too_long.start()
    try:
        yield worker
    finally:
        too_long.cancel()
        worker.terminate()
        worker.communicate(timeout=20)


def _the_other_form_waits(name: str, running: str) -> None:
    ends = log.ends(log.STATUS)
    with _worker(name) as worker:
        assert worker.stdout
        for line in worker.stdout:  # it ends if the worker does
            if "Waiting for the consumer groups" in line:
                break
        else:
            pytest.fail(f"app.{name} ended beside app.{running}")
        assert f"stop `app.{running}` before `app.{name}` starts" in line
        answer = http.call("GET", "/health/ready", url=f"http://127.0.0.1:{OTHER_PORT}")
        assert answer.status == 503, answer
    _works()
    assert len(log.read(log.STATUS, ends)) == 50
