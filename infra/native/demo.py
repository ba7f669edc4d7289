"""`make demo`: 200 transactions through the whole system, each one followed and counted in every place."""

import asyncio
import io
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import NoReturn

import aiohttp
from tqdm import tqdm

from generator.client import Answer, open_session, send
from generator.traffic import transactions
from infra.native import census, parts, places, stack
from infra.native.folders import LOGS
from infra.native.summary import Outcome, summary

COUNT = 200
RATE = 25.0  # a second: lively to watch, and slow enough that a latency is no queue's
FINAL_WITHIN = 60.0
SETTLED_WITHIN = 10.0
FOLLOWED_AT_A_TIME = 16
GENERATOR = "generator"


def run(form: str = "") -> int:
    """Start what does not run, send, follow, count, print, end what was started; 0 if all is right."""
    with running(form) as start_seconds, no_other_traffic():
        processes = len(parts.states())
        print(f"sending {COUNT} transactions, {RATE:.0f} a second, to {places.bff_url()}", flush=True)
        try:
            outcome = asyncio.run(_watched(start_seconds, processes))
        except census.UnreadableError as failure:
            raise SystemExit(str(failure)) from failure
        print(f"\n{summary(outcome)}\n", flush=True)
    return 0 if outcome.good else 1


@contextmanager
def running(form: str) -> Iterator[float | None]:
    """The stack, ready: with the seconds its start took, or None where it was up (and then it stays up)."""
    if stack.is_up():
        _check(form)
        yield None
        return
    began = time.monotonic()
    try:
        try:
            stack.up(form=form or None)
        except SystemExit as failure:
            raise SystemExit(f"{failure}\nthe logs of all parts: {LOGS}") from None
        yield time.monotonic() - began
    finally:
        stack.down()


def _check(form: str) -> None:
    """A running stack must be the one asked for, and whole."""
    if form and form != stack.current_form():
        raise SystemExit(f"the stack is up with FORM={stack.current_form()}; make down, then try again")
    for part in parts.asked(parts.states().values()):
        if part.why_not and part.name != GENERATOR:
            raise SystemExit(
                f"{part.name} is not ready ({part.why_not}); see make ps, make logs NAME={part.name}"
            )


@contextmanager
def no_other_traffic() -> Iterator[None]:
    """The stack's own generator, stopped for the time."""
    was_running = stack.pid(GENERATOR) is not None
    with redirect_stdout(io.StringIO()):  # what a person who stops it by hand is told
        stack.stop(GENERATOR)
    try:
        yield
    finally:
        if was_running:
            with redirect_stdout(io.StringIO()):
                stack.start(GENERATOR)


async def _watched(start_seconds: float | None, processes: int) -> Outcome:
    """Send at the rate, follow each transaction from its 201 on, then count."""
    answers: list[Answer] = []
    with tqdm(total=COUNT, desc="decided", unit=" transactions", disable=None) as bar:
        seconds = await _followed(answers, bar)
    print("counting in every place ...", flush=True)
    ids = [answer.transaction_id for answer in answers if answer.transaction_id]
    return Outcome(answers, seconds, await census.settled(ids, SETTLED_WITHIN), start_seconds, processes)


async def _followed(answers: list[Answer], bar: "tqdm[NoReturn]") -> list[float]:
    """The seconds until final of those that became so; the answers to the POSTs are left in `answers`."""
    following: list[asyncio.Task[float | None]] = []
    async with open_session(FOLLOWED_AT_A_TIME, timeout=5) as session:

        async def follow(id_: str, sent: float) -> float | None:
            took = await seconds_to_final(session, id_, sent)
            bar.update(took is not None)
            return took

        def told(answer: Answer) -> None:
            answers.append(answer)
            bar.set_postfix_str(f"{len(answers)} sent")
            if answer.transaction_id:
                following.append(asyncio.create_task(follow(answer.transaction_id, answer.sent)))

        await send(transactions(COUNT), told, url=places.bff_url(), rate=RATE, back_off=False)
        return [took for took in await asyncio.gather(*following) if took is not None]


async def seconds_to_final(session: aiohttp.ClientSession, id_: str, sent: float) -> float | None:
    """From the POST's sending to the first GET by id that shows a final status; None after a minute.

    Asked every 5 ms at first, later every tenth of its age, so what is measured is late by 10 % at most and
    a backlog is not asked to death.
    """
    age = time.monotonic() - sent
    while age < FINAL_WITHIN:
        try:
            status = await places.status_of(session, id_)
        except (aiohttp.ClientError, TimeoutError):
            status = None  # GET's failure is not the transaction's; the count at the end says what is lost
        age = time.monotonic() - sent
        if status in ("accepted", "rejected"):
            return age
        await asyncio.sleep(max(0.005, age / 10))
    return None
