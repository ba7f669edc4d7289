"""The stack as a benchmark needs it: up in its two-worker form, without its generator's traffic."""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from io import StringIO

from infra.native import parts, procfile, stack, supervisor
from infra.native.folders import DATA
from infra.native.parts import Part

WORKER = "transactions"
GENERATOR = "generator"
ASIDE = DATA.with_name("data.aside")  # what was stored before a benchmark that begins with nothing
READY_WITHIN = 30.0  # one late answer on a busy machine is no fault


@contextmanager
def ready() -> Iterator[None]:
    """The stack, quiet: started when it is not up, and then stopped again."""
    if stack.is_up():
        _check()
        with _without_generator():
            yield
        return
    try:
        mend()
        yield
    finally:
        stack.down()


def mend() -> None:
    """Whatever is missing is started, whatever is too much ended: one worker of each kind, and no generator."""
    if stack.is_up() and stack.current_scale() != 1:
        stack.scale(1)
    stack.up(only=[name for name in procfile.names("two") if name != GENERATOR], form="two")


def _check() -> None:
    if stack.current_form() != "two":
        raise SystemExit(
            "the stack is up with FORM=one, benchmarks measure two workers: make down, then again"
        )
    if stack.current_scale() != 1:
        raise SystemExit("the stack has several transactions workers: make scale NAME=transactions N=1")
    deadline = time.monotonic() + READY_WITHIN
    while (waited_for := _not_ready()) and time.monotonic() < deadline:
        time.sleep(0.5)
    if waited_for:
        names = ", ".join(f"{part.name} ({part.why_not})" for part in waited_for)
        raise SystemExit(f"not ready: {names}; see make ps, make logs NAME={waited_for[0].name}")


def _not_ready() -> list[Part]:
    asked = parts.asked(part for part in parts.states().values() if part.name != GENERATOR)
    return [part for part in asked if part.why_not]


@contextmanager
def _without_generator() -> Iterator[None]:
    """A stack that was up keeps its generator, but not meanwhile."""
    if stack.pid(GENERATOR) is None:
        yield
        return
    stop(GENERATOR)
    try:
        yield
    finally:
        start(GENERATOR)


@contextmanager
def nothing_stored() -> Iterator[None]:
    """Down, and with no data: what there is lies aside meanwhile. At the end all is as it was before."""
    was_up = stack.is_up()
    had_generator = was_up and stack.pid(GENERATOR) is not None
    stack.down()
    if ASIDE.exists():  # the last one was killed: what is in place is a benchmark's
        forget()
    elif DATA.exists():
        DATA.rename(ASIDE)
    try:
        yield
    finally:
        stack.down()
        forget()
        if ASIDE.exists():
            ASIDE.rename(DATA)
        if was_up:
            mend()
        if had_generator:
            start(GENERATOR)


@contextmanager
def ready_and_empty() -> Iterator[None]:
    """The stack, up and quiet, with nothing stored."""
    with nothing_stored():
        mend()
        yield


def forget() -> None:
    """Throw the data away; the stack is down."""
    shutil.rmtree(DATA, ignore_errors=True)


def stop(name: str) -> None:
    """Stop a part, without a word."""
    with redirect_stdout(StringIO()):
        stack.stop(name)


def start(name: str, environment: dict[str, str] | None = None) -> None:
    """Start a part and wait until it is ready, without a word."""
    with redirect_stdout(StringIO()):
        stack.start(name, environment)


def scale(workers: int) -> None:
    """So many transactions workers, all ready, without a word."""
    with redirect_stdout(StringIO()):
        stack.scale(workers)


def start_at_once(name: str, environment: dict[str, str] | None = None) -> None:
    """Start a part and return at once: nothing asks it whether it is ready while it is measured."""
    supervisor.start(name, environment)


def kill(name: str) -> None:
    """SIGKILL, without a word."""
    with redirect_stdout(StringIO()):
        stack.kill(name)


def last_words(name: str) -> str:
    """The end of a part's log, for a failure."""
    return parts.last_words(name)
