"""Whatever grows with the log has bounded memory: a million of them in 300 MB."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

from app.commands.reassess import ReassessmentBacklog, Slice
from app.messaging.dead_letter_topic import DeadLetterSources, Listed
from app.messaging.dead_letters import headers_of
from app.models.transaction import uuid7
from app.processing.deduplication import DecidedIds
from tests.unit.test_dead_letter_topic import dead_letter
from tests.unit.test_reassess import unassessed_one

COUNT, MB = 50_000, 2**20


def megabytes_of_a_million(fill: Callable[[], object]) -> float:
    """What COUNT of them take, as so many as there may be."""
    tracemalloc.start()
    try:
        kept = fill()
        used, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept
    return used / MB * 1_000_000 / COUNT


def test_ids_that_are_decided() -> None:
    def fill() -> object:
        memory = DecidedIds()
        memory.read(0, {uuid7(number): number for number in range(COUNT)}, COUNT)
        return memory

    assert megabytes_of_a_million(fill) < 300


def test_transactions_that_wait_for_a_re_assessment() -> None:
    one = unassessed_one()

    def fill() -> object:
        found = ReassessmentBacklog(Slice())
        for number in range(COUNT):
            found.note({**one, "transaction_id": uuid7(number)})
        return found

    assert megabytes_of_a_million(fill) < 300


def test_dead_letters_that_are_listed() -> None:
    def fill() -> object:
        sources = DeadLetterSources()
        for number in range(COUNT):
            sources.add(headers_of(dead_letter(number, source=number)))
        return Listed(sources)

    assert megabytes_of_a_million(fill) < 300
