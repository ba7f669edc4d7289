"""What the long commands share: progress lines, tries, and an end in one sentence."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Any, TextIO, TypeVar

from aiokafka.errors import KafkaConnectionError, KafkaError, ProducerFenced
from faust.cli.base import AppCommand
from mode import Worker

from app.errors import PipelineError, Transient
from app.messaging import refusals
from app.retry import pauses
from app.settings import settings

T = TypeVar("T")

#: Seconds between two lines, and between two looks of the bar on a terminal.
EVERY, EVERY_ON_A_TERMINAL = 2.0, 0.2
WIDTH = 30
TRIES = 10
PAUSE_MOST = 2.0
#: How many of the failures are named at the end.
NAMED = 3


class Output:
    """What a command prints to: once its reader has gone (`| head`) the command ends, as any other does."""

    def __init__(self, out: TextIO):
        self._out = out

    def write(self, text: str) -> int:
        """Write, or SystemExit when nobody reads any more."""
        with self._ends_without_a_reader():
            return self._out.write(text)

    def flush(self) -> None:
        """Likewise."""
        with self._ends_without_a_reader():
            self._out.flush()

    @contextmanager
    def _ends_without_a_reader(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:
            # What is still buffered has to go somewhere when the interpreter ends.
            with open(os.devnull, "w") as nowhere:
                os.dup2(nowhere.fileno(), self._out.fileno())
            # No OSError, which commands take for a neighbour's.
            raise SystemExit(128 + signal.SIGPIPE) from None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._out, name)


class OneShotCommand(AppCommand):
    """Faust's command that ends when it is done, or when nobody reads it any more."""

    abstract = True

    async def execute(self, *args: Any, **kwargs: Any) -> Any:
        """Run it; all that it has printed is written when this returns."""
        sys.stdout = Output(sys.stdout)
        try:
            return await super().execute(*args, **kwargs)
        finally:
            sys.stdout.flush()

    def on_worker_created(self, worker: Worker) -> None:
        """Without the second that Faust's worker sleeps through at its end: all that was begun has been waited for."""
        worker._sentinel_task = partial(asyncio.sleep, 0)  # noqa: SLF001


class Progress:
    """How much of how much, and how quickly: a bar on a terminal, elsewhere a line every two seconds."""

    def __init__(self, what: str, total: int, out: TextIO | None = None):
        """`total`: what makes 100 %, 0 when nobody knows; `out`: by default what the command prints to."""
        self._what, self._total, self._done = what, total, 0
        self._began = self._said = time.monotonic()
        self._out = out or sys.stdout
        self._on_a_terminal = self._out.isatty()

    def add(self, count: int, passed: int | None = None) -> None:
        """So many more are done; `passed` of the total, where that counts something else."""
        self._done += count
        now = time.monotonic()
        if now - self._said >= (EVERY_ON_A_TERMINAL if self._on_a_terminal else EVERY):
            self._said = now
            self._say(self._done if passed is None else passed, now - self._began)

    def _say(self, passed: int, seconds: float) -> None:
        part = min(1.0, passed / self._total) if self._total else 0.0
        text = f"{self._done:,} done, {self._done / seconds:,.0f} a second"
        if part:
            text = f"{part:4.0%}  {text}, about {seconds / part - seconds:,.0f} s left"
        if self._on_a_terminal:
            bar = ("#" * round(part * WIDTH)).ljust(WIDTH, ".")
            print(f"\r\033[K{self._what} [{bar}] {text}", end="", flush=True, file=self._out)
        else:
            print(f"{self._what}: {text}", flush=True, file=self._out)

    def ended(self) -> str:
        """The whole in a few words; the bar goes."""
        if self._on_a_terminal:
            print("\r\033[K", end="", flush=True, file=self._out)
        return f"{self._done:,} in {time.monotonic() - self._began:.1f} s"


@dataclass(slots=True)
class Named:
    """How many of something there are, and the first of them."""

    count: int = 0
    first: list[str] = field(default_factory=list)

    def add(self, names: Sequence[str]) -> None:
        """So many more."""
        self.count += len(names)
        self.first += names[: NAMED - len(self.first)]

    def __str__(self) -> str:
        more = " ..." if self.count > len(self.first) else ""
        return f"{self.count:,} ({'; '.join(self.first)}{more})"

    @property
    def are(self) -> str:
        """The verb that goes with them."""
        return "is" if self.count == 1 else "are"


async def with_retries(call: Callable[[], Awaitable[T]], tries: int = TRIES) -> T:
    """The call's answer; a Transient failure is retried `tries` times: a person waits for this command."""
    for pause in islice(pauses(0.1, PAUSE_MOST), tries):
        try:
            return await call()
        except Transient:
            await asyncio.sleep(pause)
    return await call()


def reason(exc: BaseException) -> str:
    """Why a command ends, for whoever typed it: that nothing is up, else in the words of who failed."""
    if isinstance(exc, KafkaConnectionError) or isinstance(exc.__cause__, KafkaConnectionError):
        why = refusals.reason()
        return why or f"no broker answers at {settings().kafka_brokers}; if nothing is up: make up"
    return str(exc) or type(exc).__name__


@contextmanager
def friendly_errors(what: str) -> Iterator[None]:
    """A neighbour's failure ends the command with what to do about it; what was done stays done."""
    try:
        yield
    except ProducerFenced as exc:
        raise SystemExit(
            f"{what}: another one was started meanwhile and goes on in this one's place."
        ) from exc
    except (PipelineError, KafkaError, OSError) as exc:
        raise SystemExit(
            f"{what} did not get to its end: {reason(exc)}. See: make ps; then start it again: nothing is done twice."
        ) from exc
