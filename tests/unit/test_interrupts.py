"""Signals during a shutdown: noted in the main thread, and harmless in another one."""

from __future__ import annotations

import gc
import signal
import warnings
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

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


@pytest.mark.parametrize("number", interrupts.SIGNALS)
def test_work_that_is_broken_off_before_it_runs_leaves_no_word_of_a_coroutine(number: signal.Signals) -> None:
    async def work() -> None:
        pytest.fail("it runs")

    def make() -> Coroutine[Any, Any, None]:
        made = work()
        signal.raise_signal(number)
        return made

    with warnings.catch_warnings(record=True) as said, interrupts.alike():
        warnings.simplefilter("always")
        with pytest.raises(KeyboardInterrupt):
            interrupts.run(make)
        gc.collect()
    assert [str(one.message) for one in said if "coroutine" in str(one.message)] == []


def test_what_the_work_gives_comes_back_and_signals_act_again() -> None:
    async def work() -> int:
        return 7

    assert interrupts.run(work) == 7
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == set()
