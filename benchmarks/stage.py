"""The stack as a benchmark needs it: up in its two-worker form, without its generator's traffic."""

from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from io import StringIO

from infra.native import demo, parts, stack, supervisor

WORKER = "transactions"


@contextmanager
def ready() -> Iterator[None]:
    """The stack, quiet: started when it is not up, and then stopped again."""
    with demo.running("two"), demo.no_other_traffic():
        yield


def stop(name: str) -> None:
    """Stop a part, without a word."""
    with redirect_stdout(StringIO()):
        stack.stop(name)


def start(name: str) -> None:
    """Start a part and wait until it is ready, without a word."""
    with redirect_stdout(StringIO()):
        stack.start(name)


def start_at_once(name: str) -> None:
    """Start a part and return at once: nothing asks it whether it is ready while it is measured."""
    supervisor.start(name)


def last_words(name: str) -> str:
    """The end of a part's log, for a failure."""
    return parts.last_words(name)
