"""Two workers or one process: the form is changed with transactions stored, and nothing is decided or told again."""

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

from infra.native import places, stack
from infra.native.folders import BIN, ROOT
from tests.support import http, log, traffic
from tests.support.feed import Feed

STORED = 1000
OTHER_PORT = "5055"
WORKERS = {"two": ["bff", "transactions"], "one": ["main"]}


def change_to(form: str) -> None:
    """The workers of that form in place of the other's; the generator stays as it is."""
    stack.up(only=WORKERS[form], form=form)


@pytest.fixture(scope="module")
def stored() -> Iterator[dict[str, str]]:
    """A thousand transactions and their statuses; at the end the form is what it was."""
    form = stack.current_form()
    change_to("two")
    ids = Feed().send(STORED)
    log.wait_until(lambda: log.lag("transactions") == 0, 60, "all of them decided")
    yield asyncio.run(places.stored(ids))
    change_to(form)


def test_both_ways_nothing_is_told_again(stored: dict[str, str]) -> None:
    assert len(stored) == STORED
    told = log.ends(log.STATUS)
    change_to("one")
    _as_before(stored, told)
    mine = _works()
    _serves_the_contract()
    _the_other_form_waits("bff", "main")
    told = log.ends(log.STATUS)
    change_to("two")
    _as_before({**stored, **mine}, told)
    _works()
    _the_other_form_waits("main", "transactions")


def _as_before(stored: dict[str, str], told: log.Offsets) -> None:
    time.sleep(1.5)  # whatever would be told again would be told by now
    groups = {"one": ("main", "main"), "two": ("transactions", "bff")}[stack.current_form()]
    for group, topic in zip(groups, (log.CREATED, log.STATUS), strict=True):
        assert log.lag(group, topic) == 0
    assert log.ends(log.STATUS) == told
    assert asyncio.run(places.stored(stored)) == stored
    assert asyncio.run(places.listed(stored)) == stored


def _works() -> dict[str, str]:
    """New transactions, each decided once."""
    ids = traffic.posted(50)
    found = {id_: str(http.final(id_)["status"]) for id_ in ids}
    assert [len(verdicts) for verdicts in asyncio.run(places.told(ids)).values()] == [1] * 50
    return found


def _serves_the_contract() -> None:
    """The contract's tests, on the form that is up now."""
    tests = Path(__file__).with_name("test_contract.py")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tests)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout[-5000:]


@contextmanager
def _worker(name: str) -> Iterator[subprocess.Popen[str]]:
    """A worker of the other form, beside the stack."""
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
            if "Waiting for the other form to stop" in line:
                break
        else:
            pytest.fail(f"app.{name} ended beside app.{running}")
        assert f"stop `app.{running}` before `app.{name}` starts" in line
        answer = http.call("GET", "/health/ready", url=f"http://127.0.0.1:{OTHER_PORT}")
        assert answer.status == 503, answer
    _works()
    assert len(log.read(log.STATUS, ends)) == 50
