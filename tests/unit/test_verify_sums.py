"""The sums of verify hold whatever moves while it looks, and dead letters are those that dead-letters lists."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from app.commands.shared.dead_letter_topic import SENT_BACK, Sources
from app.commands.verify import verification
from app.commands.verify.counts import Counts, Tally
from app.commands.verify.digests import Fact, Facts
from app.commands.verify.full_scans import Claims
from app.commands.verify.rules import Problem, World
from app.commands.verify.sources import Places
from app.commands.verify.verification import Finding, Verification
from app.messaging.dead_letters import told_by
from app.models.status import TransactionStatus
from app.models.transaction import shard_of
from app.settings import Settings
from tests.unit.samples import NOW, Letter, letters_of
from tests.unit.test_dead_letter_topic import letter
from tests.unit.test_verify_rules import VERDICT, created, stored, told

NOTHING = Claims(complete=False, trimmed=False, oldest="")


class Stores:
    """Both stores at the second look: the rows that there are by then; Redis has nothing."""

    def __init__(self, *rows: dict[str, Any]):
        self._rows = rows

    async def rows(self, _: Any) -> list[dict[str, Any]]:
        return list(self._rows)

    async def claims(self) -> Claims:
        return NOTHING

    async def some(self, _: Any) -> tuple[dict[str, str], list[str]]:
        return {}, []


class Moving:
    """The four places, in which `then` comes into the log between the first and the second look."""

    def __init__(self, first: list[Fact], then: list[Fact], rows: list[dict[str, Any]], decided: int):
        self.facts, self.letters = Facts(), Sources()
        self.buried: set[tuple[int, int]] = set()
        self.unreadable: set[tuple[int, int]] = set()
        self.left_out: set[tuple[str, int, int]] = set()
        self.table = self.recent = Stores(*rows)
        self._first, self._then, self._decided = first, then, decided

    async def __aenter__(self) -> Moving:
        return self

    async def __aexit__(self, *_: object) -> None: ...

    async def read_all(self, _: Any) -> Claims:
        self.facts.add(self._first)
        return NOTHING

    async def read_log(self, _: Any) -> None:
        self.facts.add(self._then)
        self._then = []

    async def world(self) -> World:
        return World(decided={0: self._decided}, buried=self.buried, now=NOW * 1000)

    async def records(self, wanted: Any) -> list[dict[str, Any]]:
        return [{"latitude": number} for number, _ in enumerate(wanted)]

    def bury(self, *records: Letter) -> None:
        for record in records:
            self.letters.add(told_by(record))
        self.buried |= {(partition, at) for _, partition, at in self.letters.all}


def verified(places: Moving, monkeypatch: pytest.MonkeyPatch) -> tuple[list[Finding], Counts]:
    monkeypatch.setattr(verification, "Places", lambda _: places)
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
    fact = stored(verdict)
    return {"bucket": fact.bucket, "shard": shard_of(fact.id), **verdict}


def test_what_is_decided_and_stored_between_the_looks_is_counted_as_it_is_at_the_last(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found, counts = verified(Moving([created()], [told()], [row()], decided=100), monkeypatch)
    assert (found, counts) == ([], Counts(sent=1, decided=1, told=1, stored=1))


def test_a_row_that_was_there_before_its_record_is_counted_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    found, counts = verified(Moving([stored()], [created(), told()], [row()], decided=100), monkeypatch)
    assert (found, counts) == ([], Counts(sent=1, decided=1, told=1, stored=1))


def test_who_waits_is_counted_by_what_it_waits_for(monkeypatch: pytest.MonkeyPatch) -> None:
    assert verified(Moving([created()], [], [], decided=7), monkeypatch)[1] == Counts(sent=1, in_flight=1)
    assert verified(Moving([created(), told()], [], [], decided=7), monkeypatch)[1] == Counts(
        sent=1, decided=1, told=1, being_stored=1
    )


def test_what_is_missing_has_its_place_in_the_sums(monkeypatch: pytest.MonkeyPatch) -> None:
    found, counts = verified(Moving([created()], [], [], decided=100), monkeypatch)
    assert ([one.where for one in found], counts) == (
        ["transaction_status"],
        Counts(sent=1, missing_verdicts=1),
    )
    found, counts = verified(Moving([created(), told()], [], [], decided=100), monkeypatch)
    assert [one.where for one in found] == ["cassandra"]
    assert counts == Counts(sent=1, decided=1, told=1, missing_rows=1)
    found, counts = verified(Moving([told()], [], [row()], decided=100), monkeypatch)
    assert [one.where for one in found] == ["transaction_created"]
    assert counts == Counts(told=1, never_sent=1)


def test_a_certain_problem_beside_one_that_may_be_ahead_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    other: Any = {**VERDICT, "status": "rejected"}
    ahead: Any = {**VERDICT, "revision": 2, "status": "rejected", "score": 0.5}
    places = Moving([created(), told(), told(other, offset=4), stored(ahead)], [], [row(ahead)], decided=100)
    found, _ = verified(places, monkeypatch)
    assert [(one.problem, one.where) for one in found] == [
        ("two verdicts", "transaction_status"),
        ("different", "cassandra"),
    ]


def test_dead_letters_are_those_that_the_list_has_also_of_records_that_nobody_can_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mark = Letter(9, None, 2, None, [(SENT_BACK, b"transaction_created:2:8")])
    records = [letter(0), letter(1), letter(2, source=8), letter(3, source=9), mark]
    places = Moving([], [], [], decided=100)
    places.unreadable = {(2, 7), (2, 8), (2, 9), (0, 50), (0, 200)}
    places.bury(*records)
    found, counts = verified(places, monkeypatch)
    listed = letters_of(records)
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


def test_a_mark_far_behind_its_letter_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    mark = Letter(9, None, 2, None, [(SENT_BACK, b"transaction_created:2:7")])

    class Reader:
        def __init__(self, *_: Any): ...

        async def __aenter__(self) -> Reader:
            return self

        async def __aexit__(self, *_: object) -> None: ...

        async def seek(self) -> None: ...

        async def chunks(self, _: int) -> Any:
            yield [letter(0)]
            yield [mark]

    monkeypatch.setattr("app.commands.verify.sources.Reader", Reader)
    places = Places(Settings())
    asyncio.run(places._read_letters())
    assert (places.buried, len(places.letters.all), places.letters.waiting) == ({(2, 7)}, 1, 0)


def test_a_batch_that_cannot_be_read_is_a_difference_until_it_is_a_dead_letter(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    places = Moving([], [], [], decided=100)
    places.left_out = {("transaction_created", 2, 7), ("transaction_created", 2, 8)}
    places.bury(letter(0, source=7))
    found, _ = verified(places, monkeypatch)
    assert [(one.transaction_id, one.problem) for one in found] == [
        ("transaction_created[2]@8", "unreadable")
    ]
