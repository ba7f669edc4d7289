"""`make demo`: 200 transactions through the whole system, each one followed and verified in every store."""

import asyncio
import io
import os
import time
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import replace
from typing import NoReturn

import aiohttp
from tqdm import tqdm

from generator.client import Answer, open_session, send
from generator.traffic import transactions
from infra.native import interrupts, lockfile, processes, procfile, secure, stack, wording
from infra.native.paths import LOGS
from reconciliation import readers, reconcile
from reconciliation.summary import Outcome, summary

COUNT = 200
RATE = 25.0  # per second: lively to watch, and slow enough that no latency comes from a queue
FINAL_WITHIN = 60.0
SETTLED_WITHIN = 10.0
BETWEEN_GETS = 0.004
GENERATOR = "generator"
INTERRUPTED = 130  # a shell's status of a command that Ctrl-C has ended


def run(mode: str = "") -> int:
    """Start what does not run, send, follow, verify, print, stop what was started; 0 if all is right."""
    load_before = os.getloadavg()[0]
    with running(mode) as start_seconds, no_other_traffic(stays_up=start_seconds is None):
        count = len(processes.states())
        print(f"sending {COUNT} transactions, {RATE:.0f} a second, to {readers.bff_url()}", flush=True)
        try:
            outcome = interrupts.run(lambda: _watched(start_seconds, count))
        except reconcile.UnreadableError as failure:
            raise SystemExit(str(failure)) from failure
        outcome = replace(outcome, load_before=load_before)
        print(f"\n{summary(outcome)}\n", flush=True)
    return 0 if outcome.good else 1


@contextmanager
def running(mode: str) -> Iterator[float | None]:
    """The stack, ready, with the seconds its start took; None if it was up (then it stays up).

    SystemExit for a secured one: what reads here comes without a name.
    """
    if secure.is_on():
        raise SystemExit(
            "the data are of a secured stack, which this cannot read; begin with new ones: make clean"
        )
    with interrupts.alike(), lockfile.held(for_long=True):
        if stack.is_up():
            _check(mode)
            try:
                yield None
            except KeyboardInterrupt:
                print("\nstopped; the stack goes on as it was")
                raise SystemExit(INTERRUPTED) from None
            return
        began = time.monotonic()
        with _ended_at_the_end():
            try:
                stack.up(mode=mode or None)
            except SystemExit as failure:
                raise SystemExit(f"{failure}\nthe logs of all parts: {LOGS}") from None
            yield time.monotonic() - began


@contextmanager
def _ended_at_the_end() -> Iterator[None]:
    """The stack is stopped, whatever happens meanwhile; an interrupt prints what happens to it."""
    said = "ending what was started ..."
    try:
        yield
    except KeyboardInterrupt:
        said = "stopping; Ctrl-C again ends it by force"
        raise SystemExit(INTERRUPTED) from None
    finally:
        with interrupts.noted():
            interrupts.mute_if_unheard()
            print(said, flush=True)
            stack.down()
            print("stopped; nothing is left running; data is kept", flush=True)


def _check(mode: str) -> None:
    """A running stack must be in the requested mode, and complete."""
    if mode and mode != stack.current_mode():
        raise SystemExit(f"the stack is up with MODE={stack.current_mode()}; make down, then try again")
    for part in processes.asked(processes.states().values()):
        if part.why_not and part.name != GENERATOR:
            raise SystemExit(
                f"{part.name} is not ready ({part.why_not}); see make ps, make logs NAME={part.name}"
            )


@contextmanager
def no_other_traffic(stays_up: bool) -> Iterator[None]:
    """The stack's own generator is stopped meanwhile, and started again if the stack stays up."""
    was_running = stack.pid(GENERATOR) is not None
    with redirect_stdout(io.StringIO()):  # what a person who stops it by hand would read
        stack.stop(GENERATOR)
    try:
        yield
    finally:
        if was_running and stays_up and stack.is_up():
            with redirect_stdout(io.StringIO()):
                stack.start(GENERATOR)


@contextmanager
def undisturbed() -> Iterator[None]:
    """The stack that is up, or one of two workers while this lasts; nobody else sends anything."""
    with running("split" if not stack.is_up() else "") as started, no_other_traffic(started is None):
        yield


async def _watched(start_seconds: float | None, processes: int) -> Outcome:
    """Send at the rate, follow each transaction from its 201 on, then reconcile."""
    answers: list[Answer] = []
    with tqdm(total=COUNT, desc="decided", unit=" transactions", disable=None) as bar:
        seconds = await _followed(answers, bar)
    print("counting in every place ...", flush=True)
    ids = [answer.transaction_id for answer in answers if answer.transaction_id]
    return Outcome(
        answers,
        seconds,
        await reconcile.reconcile_until_settled(ids, SETTLED_WITHIN),
        start_seconds,
        processes,
    )


async def _followed(answers: list[Answer], bar: "tqdm[NoReturn]") -> list[float]:
    """Seconds until final, for those that became final; the POSTs' answers go into `answers`."""
    waiting: deque[Answer] = deque()

    def published(answer: Answer) -> None:
        answers.append(answer)
        bar.set_postfix_str(f"{len(answers)} sent")
        if answer.transaction_id:
            waiting.append(answer)

    bodies = transactions(COUNT)
    sending = asyncio.create_task(send(bodies, published, url=readers.bff_url(), rate=RATE, back_off=False))
    seconds = []
    async for took in followed(waiting, sending):
        seconds.append(took)
        bar.update()
    await sending
    return seconds


async def followed(waiting: deque[Answer], sending: "asyncio.Task[None]") -> AsyncIterator[float]:
    """Seconds from sending the POST to the first GET by id with a final status, for each that gets one.

    One GET at a time, round robin: a constant load that does not slow down what it measures. At
    25 POSTs and 200 GETs per second, a measurement is late by an eighth at most, by 5 ms if few wait.
    """
    async with open_session(concurrency=1, timeout=5) as session:
        while waiting or not sending.done():
            if waiting:
                answer = waiting.popleft()
                final = await _is_final(session, str(answer.transaction_id))
                took = time.monotonic() - answer.sent
                if final:
                    yield took
                    continue  # a batch becomes final at once: the rest of it must not wait for our pause
                if took < FINAL_WITHIN:
                    waiting.append(answer)
            await asyncio.sleep(BETWEEN_GETS)


async def _is_final(session: aiohttp.ClientSession, id_: str) -> bool:
    try:
        return await readers.status_of(session, id_) in ("accepted", "rejected")
    except (aiohttp.ClientError, TimeoutError):
        return False  # a failed GET says nothing about the transaction; the reconciliation will


if __name__ == "__main__":
    options = wording.Parser(prog="python -m reconciliation.demo", description=__doc__)
    options.add_argument("--mode", type=procfile.check_mode, default="", help="two workers, or one")
    wording.run(lambda: run(options.parse_args().mode))
