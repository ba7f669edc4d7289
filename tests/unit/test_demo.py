"""The demo: it stops what it started, leaves up what was up, and follows each transaction to its end."""

import asyncio
import time
from collections import deque
from contextlib import nullcontext

import pytest
from aiohttp import ClientError, web

from generator.client import Answer
from infra.native import lockfile, processes, stack
from infra.native.processes import Part
from reconciliation import demo


class Stack:
    """A fake stack that records its calls."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, up: bool, generator: bool = True) -> None:
        self.is_up, self.published = up, list[str]()
        self.generator: int | None = 77 if generator else None
        self.states = {
            "bff": Part("bff", "running", 1),
            "generator": Part("generator", "stopped", why_not="stopped"),
        }
        for name in ("up", "down", "start", "stop"):
            monkeypatch.setattr(stack, name, getattr(self, name))
        monkeypatch.setattr(stack, "is_up", lambda: self.is_up)
        monkeypatch.setattr(stack, "pid", lambda _: self.generator)
        monkeypatch.setattr(stack, "current_mode", lambda: "split")
        monkeypatch.setattr(processes, "states", lambda: self.states)
        monkeypatch.setattr(processes, "asked", list)
        monkeypatch.setattr(lockfile, "held", lambda for_long: nullcontext())

    def up(self, mode: str | None = None) -> None:
        self.is_up = True
        self.published.append(f"up {mode}")

    def down(self) -> None:
        self.is_up = False
        self.published.append("down")

    def start(self, name: str) -> None:
        self.published.append(f"start {name}")

    def stop(self, name: str) -> None:
        print(f"{name} stopped, in words for somebody who has stopped it by hand")  # noqa: T201
        self.published.append(f"stop {name}")


def through(mode: str = "") -> None:
    """The demo's calls before and after its traffic."""
    with demo.running(mode) as seconds, demo.no_other_traffic(stays_up=seconds is None):
        pass


def test_a_stack_that_is_up_is_used_and_goes_on_with_its_generator(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    around = Stack(monkeypatch, up=True)
    through()
    assert around.published == ["stop generator", "start generator"]
    assert capsys.readouterr().out == ""


def test_a_generator_that_somebody_has_stopped_stays_so(monkeypatch: pytest.MonkeyPatch) -> None:
    around = Stack(monkeypatch, up=True, generator=False)
    through()
    assert "start generator" not in around.published


@pytest.mark.parametrize("mode", ["", "combined"])
def test_a_stack_that_was_started_is_stopped(monkeypatch: pytest.MonkeyPatch, mode: str) -> None:
    around = Stack(monkeypatch, up=False)
    through(mode)
    assert around.published == [f"up {mode or None}", "stop generator", "down"]


@pytest.mark.parametrize(
    ("failure", "published"), [(KeyboardInterrupt(), SystemExit), (OSError("refused"), OSError)]
)
def test_it_is_stopped_also_when_the_traffic_fails_or_is_interrupted(
    monkeypatch: pytest.MonkeyPatch, failure: BaseException, published: type[BaseException]
) -> None:
    around = Stack(monkeypatch, up=False)
    with pytest.raises(published), demo.running(""):
        raise failure
    assert around.published[-1] == "down"


def test_an_interrupted_demo_leaves_a_stack_that_was_up_and_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    around = Stack(monkeypatch, up=True)
    with pytest.raises(SystemExit), demo.running(""), demo.no_other_traffic(stays_up=True):
        raise KeyboardInterrupt
    assert around.published == ["stop generator", "start generator"]
    assert capsys.readouterr().out == "\nstopped; the stack goes on as it was\n"


def test_a_failed_start_says_where_the_logs_are_and_leaves_no_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    around = Stack(monkeypatch, up=False)

    def fail(mode: str | None) -> None:
        raise SystemExit(f"kafka is not ready {mode or ''}")

    monkeypatch.setattr(stack, "up", fail)
    with pytest.raises(SystemExit, match=r"(?s)kafka is not ready.*logs of all parts: .*logs"):
        through()
    assert around.published == ["down"]


def test_a_stack_of_the_other_mode_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    around = Stack(monkeypatch, up=True)
    with pytest.raises(SystemExit, match="MODE=split; make down"):
        through("combined")
    assert around.published == []


def test_a_process_that_is_not_ready_is_named_before_anything_is_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    around = Stack(monkeypatch, up=True)
    around.states["bff"] = Part("bff", "paused", 1, why_not="paused")
    with pytest.raises(SystemExit, match=r"bff is not ready \(paused\)"):
        through()
    assert around.published == []


FINAL_AFTER = {"at-once": 0.0, "soon": 0.5, "never": 1e9}


async def follow(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Follow three transactions, sent at the same moment, on a server that decides each after its own delay."""
    began = time.monotonic()

    async def get(request: web.Request) -> web.Response:
        final = time.monotonic() - began >= FINAL_AFTER[request.match_info["id"]]
        return web.json_response({"status": "accepted" if final else "pending"})

    app = web.Application()
    app.router.add_get("/api/v1/transactions/{id}", get)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    monkeypatch.setenv("BFF_URL", f"http://127.0.0.1:{runner.addresses[0][1]}")
    waiting = deque(Answer(id_, 201, began, began, began) for id_ in FINAL_AFTER)
    try:
        return [took async for took in demo.followed(waiting, asyncio.create_task(asyncio.sleep(0)))]
    finally:
        await runner.cleanup()


def test_each_is_followed_until_final_or_its_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "FINAL_WITHIN", 2.0)
    began = time.monotonic()
    at_once, soon = asyncio.run(follow(monkeypatch))
    assert at_once < 0.5 <= soon < 1.4
    assert 2 <= time.monotonic() - began < 6


def test_a_failed_get_is_retried(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = deque([503, 404, "pending", "rejected"])

    async def status_of(*_: object) -> str | None:
        match answers.popleft():
            case str() as status:
                return status
            case 404:
                return None
            case _:
                raise ClientError

    monkeypatch.setattr("reconciliation.readers.status_of", status_of)

    async def go() -> list[float]:
        waiting = deque([Answer("a", 201, 0, time.monotonic(), 0)])
        return [took async for took in demo.followed(waiting, asyncio.create_task(asyncio.sleep(0)))]

    assert len(asyncio.run(go())) == 1
    assert not answers
