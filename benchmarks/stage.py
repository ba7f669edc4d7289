"""The stack as a benchmark needs it: up in its two-worker mode, without its generator's traffic."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from io import StringIO

from infra.native import lockfile, procfile, stack
from infra.native.paths import ASIDE, DATA

FOR_ALL = "FAUST_PAYMENTS_BENCH"  # set while `make bench` has laid aside what a user had stored
WORKER = "transactions"
GENERATOR = "generator"


def mend() -> None:
    """Whatever is missing is started, whatever is too much ended: one worker of each kind, and no generator."""
    if stack.is_up() and stack.current_scale("transactions") != 1:
        stack.scale("transactions", 1)
    stack.up(only=[name for name in procfile.names("split") if name != GENERATOR], mode="split")


@contextmanager
def nothing_stored() -> Iterator[None]:
    """The stack is ours alone, down, and with no data: what there is lies aside. At the end all is as it was.

    Within `make bench` that is done once for all, and a benchmark begins by throwing away what the last one has left.
    """
    with lockfile.held(for_long=True), _laid_aside():
        yield


@contextmanager
def _laid_aside() -> Iterator[None]:
    if os.environ.get(FOR_ALL):
        stack.down()
        forget()
        yield
        return
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
def for_all() -> Iterator[None]:
    """Stack and data are the benchmarks' while all of them run, each a process of its own."""
    with nothing_stored():
        os.environ[FOR_ALL] = "1"
        try:
            yield
        finally:
            del os.environ[FOR_ALL]


@contextmanager
def ready() -> Iterator[None]:
    """The stack, up and quiet, with data that are no user's: nothing, or what the last benchmark has left."""
    if os.environ.get(FOR_ALL):
        mend()
        yield
        return
    with ready_and_empty():
        yield


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


def pause(name: str) -> None:
    """Let a part stand still, without a word."""
    with redirect_stdout(StringIO()):
        stack.pause(name)


def resume(name: str) -> None:
    """Let it go on."""
    with redirect_stdout(StringIO()):
        stack.resume(name)


def scale(workers: int) -> None:
    """So many transactions workers, all ready, without a word."""
    with redirect_stdout(StringIO()):
        stack.scale("transactions", workers)


def kill(name: str) -> None:
    """SIGKILL, without a word."""
    with redirect_stdout(StringIO()):
        stack.kill(name)
