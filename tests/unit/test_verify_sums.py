"""The sums of verify add up whatever changes meanwhile; its dead letters are those that dead-letters lists."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from app.commands.verify import verification
from app.commands.verify.counts import Counts, Tally
from app.commands.verify.full_scans import CompletenessMarker
from app.commands.verify.labels import LabelCheck
from app.commands.verify.observations import Observation, Observations
from app.commands.verify.rules import Problem, Watermarks
from app.commands.verify.sources import Sources
from app.commands.verify.verification import Finding, Verification
from app.messaging.dead_letter_topic import SENT_BACK, DeadLetterSources
from app.messaging.dead_letters import headers_of
from app.models.status import TransactionStatus
from app.models.transaction import shard_of
from app.settings import Settings
from tests.unit.samples import NOW, StoredDeadLetter, dead_letters_of
from tests.unit.test_dead_letter_topic import dead_letter
from tests.unit.test_verify_labels import Log, Scan
from tests.unit.test_verify_rules import VERDICT, created, published, stored

NOTHING = CompletenessMarker(complete=False, trimmed=False, oldest="")


class Stores:
    """Both stores at the second look: the rows so far; Redis has nothing."""

    def __init__(self, *rows: dict[str, Any]):
        self._rows = rows

    async def rows(self, _: Any) -> list[dict[str, Any]]:
        return list(self._rows)

    async def completeness(self) -> CompletenessMarker:
        return NOTHING

    async def some(self, _: Any) -> tuple[dict[str, str], list[str]]:
        return {}, []


class Moving:
    """The four sources; `then` enters the log between the first and the second look."""

    def __init__(
        self, first: list[Observation], then: list[Observation], rows: list[dict[str, Any]], decided: int
    ):
        self.observations, self.dead_letters = Observations(), DeadLetterSources()
        self.dead_lettered: set[tuple[int, int]] = set()
        self.unreadable: set[tuple[int, int]] = set()
        self.left_out: set[tuple[str, int, int]] = set()
        self.table = self.recent = Stores(*rows)
        self._first, self._then, self._decided = first, then, decided

    async def __aenter__(self) -> Moving:
        return self

    async def __aexit__(self, *_: object) -> None: ...

    async def read_all(self, _: Any) -> CompletenessMarker:
        self.observations.add(self._first)
        return NOTHING

    async def read_log(self, _: Any) -> None:
        self.observations.add(self._then)
        self._then = []

    async def watermarks(self) -> Watermarks:
        return Watermarks(decided={0: self._decided}, dead_lettered=self.dead_lettered, now=NOW * 1000)

    async def records(self, wanted: Any) -> list[dict[str, Any]]:
        return [{"latitude": number} for number, _ in enumerate(wanted)]

    def label_check(self) -> LabelCheck:
        return LabelCheck(Log(), Scan([]))  # type: ignore[arg-type]

    def dead_letter(self, *records: StoredDeadLetter) -> None:
        for record in records:
            self.dead_letters.add(headers_of(record))
        self.dead_lettered |= {(partition, at) for _, partition, at in self.dead_letters.all}


def verified(sources: Moving, monkeypatch: pytest.MonkeyPatch) -> tuple[list[Finding], Counts]:
    monkeypatch.setattr(verification, "Sources", lambda _: sources)
    comparison = Verification(Settings())

    async def all_of_them() -> list[Finding]:
        return [finding async for finding in comparison.findings()]

    found, counts = asyncio.run(all_of_them()), comparison.checked.counts
    assert counts.sent == (
        counts.decided + counts.in_flight + counts.dead_letters + counts.missing_verdicts
    ), counts
    assert counts.decided == counts.stored + counts.being_stored + counts.missing_rows, counts
    return found, counts


def row(verdict: TransactionStatus = VERDICT) -> dict[str, Any]:
    observation = stored(verdict)
    return {"bucket": observation.bucket, "shard": shard_of(observation.id), **verdict}


def test_what_is_decided_and_stored_between_the_looks_is_counted_as_it_is_at_the_last(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found, counts = verified(Moving([created()], [published()], [row()], decided=100), monkeypatch)
    assert (found, counts) == ([], Counts(sent=1, decided=1, published=1, stored=1))


def test_a_row_that_was_there_before_its_record_is_counted_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    found, counts = verified(Moving([stored()], [created(), published()], [row()], decided=100), monkeypatch)
    assert (found, counts) == ([], Counts(sent=1, decided=1, published=1, stored=1))


def test_a_transaction_in_flight_is_counted_by_what_it_waits_for(monkeypatch: pytest.MonkeyPatch) -> None:
    assert verified(Moving([created()], [], [], decided=7), monkeypatch)[1] == Counts(sent=1, in_flight=1)
    assert verified(Moving([created(), published()], [], [], decided=7), monkeypatch)[1] == Counts(
        sent=1, decided=1, published=1, being_stored=1
    )


def test_what_is_missing_has_its_place_in_the_sums(monkeypatch: pytest.MonkeyPatch) -> None:
    found, counts = verified(Moving([created()], [], [], decided=100), monkeypatch)
    assert ([one.where for one in found], counts) == (
        ["transaction_status"],
        Counts(sent=1, missing_verdicts=1),
    )
    found, counts = verified(Moving([created(), published()], [], [], decided=100), monkeypatch)
    assert [one.where for one in found] == ["cassandra"]
    assert counts == Counts(sent=1, decided=1, published=1, missing_rows=1)
    found, counts = verified(Moving([published()], [], [row()], decided=100), monkeypatch)
    assert [one.where for one in found] == ["transaction_created"]
    assert counts == Counts(published=1, never_sent=1)


def test_a_certain_problem_beside_one_that_may_be_ahead_is_reported_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    other: Any = {**VERDICT, "status": "rejected"}
    ahead: Any = {**VERDICT, "revision": 2, "status": "rejected", "score": 0.5}
    sources = Moving(
        [created(), published(), published(other, offset=4), stored(ahead)], [], [row(ahead)], decided=100
    )
    found, _ = verified(sources, monkeypatch)
    assert [(one.problem, one.where) for one in found] == [
        ("two verdicts", "transaction_status"),
        ("different", "cassandra"),
    ]


def test_dead_letters_are_those_in_the_list_also_of_unreadable_records(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mark = StoredDeadLetter(9, None, 2, None, [(SENT_BACK, b"transaction_created:2:8")])
    records = [dead_letter(0), dead_letter(1), dead_letter(2, source=8), dead_letter(3, source=9), mark]
    sources = Moving([], [], [], decided=100)
    sources.unreadable = {(2, 7), (2, 8), (2, 9), (0, 50), (0, 200)}
    sources.dead_letter(*records)
    found, counts = verified(sources, monkeypatch)
    listed = dead_letters_of(records)
    assert counts.dead_letters + counts.sent_back == len(listed) == 3
    assert counts.dead_letters == sum(not one.sent_back for one in listed) == 2
    assert [one.transaction_id for one in found] == ["transaction_created[0]@50"]
    assert counts == Counts(sent=4, dead_letters=2, sent_back=1, missing_verdicts=1, in_flight=1)


def test_what_became_a_dead_letter_after_it_was_counted_in_flight_is_one_of_them() -> None:
    tally = Tally()
    asked = created()
    tally.add([asked], [Problem("missing", "transaction_status", (asked,))])
    tally.end(1, 0, {(asked.partition, asked.offset)}, 0, 0)
    assert tally.counts == Counts(sent=1, dead_letters=1)


def test_a_mark_far_behind_its_dead_letter_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    mark = StoredDeadLetter(9, None, 2, None, [(SENT_BACK, b"transaction_created:2:7")])

    class TopicReader:
        def __init__(self, *_: Any): ...

        async def __aenter__(self) -> TopicReader:
            return self

        async def __aexit__(self, *_: object) -> None: ...

        async def seek(self) -> None: ...

        async def chunks(self, _: int) -> Any:
            yield [dead_letter(0)]
            yield [mark]

    monkeypatch.setattr("app.commands.verify.sources.TopicReader", TopicReader)
    sources = Sources(Settings())
    asyncio.run(sources._read_dead_letters())
    assert (sources.dead_lettered, len(sources.dead_letters.all), sources.dead_letters.waiting) == (
        {(2, 7)},
        1,
        0,
    )


def test_a_batch_that_cannot_be_read_is_a_difference_until_it_is_a_dead_letter(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sources = Moving([], [], [], decided=100)
    sources.left_out = {("transaction_created", 2, 7), ("transaction_created", 2, 8)}
    sources.dead_letter(dead_letter(0, source=7))
    found, _ = verified(sources, monkeypatch)
    assert [(one.transaction_id, one.problem) for one in found] == [
        ("transaction_created[2]@8", "unreadable")
    ]
