"""Signals during a shutdown: noted in the main thread, and harmless in another one."""

from __future__ import annotations

import signal
from concurrent.futures import ThreadPoolExecutor

from infra.native import interrupts


def test_a_signal_meanwhile_interrupts_nothing_and_is_noted() -> None:
    with interrupts.noted() as hurry:
        signal.raise_signal(signal.SIGTERM)
        assert signal.getsignal(signal.SIGINT) is hurry
    assert signal.getsignal(signal.SIGINT) is not hurry


def test_another_thread_can_end_the_stack_too() -> None:
    """As the benchmark of starts does."""

    def end() -> bool:
        with interrupts.noted() as hurry:
            return isinstance(hurry, interrupts.Hurry)

    with ThreadPoolExecutor(1) as threads:
        assert threads.submit(end).result(10)
