"""Labels compared: what the table lacks, has too much or has wrong; what is on its way is none of these."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from app.commands.verify.labels import LabelCheck, LabelLog, LabelProblem, Logged
from app.messaging import consumer_groups
from app.models.label import Label, StoredLabel, labelled
from app.settings import Settings
from tests.unit.samples import transaction


def label(id_: str, at: int, said: Label = "fraud") -> StoredLabel:
    found = labelled(transaction(transaction_id=id_), said, None, at)
    return {name: found[name] for name in StoredLabel.__annotations__}  # type: ignore[return-value, literal-required]


class Log(LabelLog):
    """The records that each reading brings."""

    def __init__(self, *readings: Sequence[Logged]):
        super().__init__(Settings(), None)  # type: ignore[arg-type]
        self.readings = list(readings)

    async def read_on(self, now: float) -> None:
        for logged in self.readings.pop(0) if self.readings else []:
            self.add(logged)


class Scan:
    """The rows as the first look finds them, and then."""

    def __init__(self, *looks: Sequence[StoredLabel]):
        self.looks = list(looks)

    def _rows(self) -> Sequence[StoredLabel]:
        return self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]

    async def labels(self) -> AsyncIterator[Sequence[StoredLabel]]:
        yield self._rows()

    async def labels_of(self, ids: Sequence[str]) -> dict[str, StoredLabel]:
        return {row["transaction_id"]: row for row in self._rows() if row["transaction_id"] in ids}


@pytest.fixture(autouse=True)
def _stored_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """The agent is done with everything before offset 10."""

    async def committed(*_: Any) -> dict[int, int]:
        return {0: 10}

    monkeypatch.setattr(consumer_groups, "committed_offsets", committed)


def checked(log: Log, scan: Scan) -> tuple[list[LabelProblem], list[str]]:
    async def look() -> tuple[list[LabelProblem], list[str]]:
        check = LabelCheck(log, scan)  # type: ignore[arg-type]
        return [problem async for problem in check.problems(1e9)], check.in_flight

    return asyncio.run(look())


OLD, NEW = label("a", 1), label("a", 2, "genuine")
DIFFERS: dict[str, dict[str, Any]] = {
    "label": {"transaction_label": "genuine", "labels": "fraud"},
    "labelled_at": {"transaction_label": 2, "labels": 1},
}


def test_a_table_that_has_the_newest_of_each_is_right() -> None:
    log = Log([Logged(NEW, 0, 3), Logged(OLD, 0, 2), Logged(label("b", 1), 0, 4)])
    assert checked(log, Scan([NEW, label("b", 1)])) == ([], [])


def test_what_the_agent_is_done_with_must_be_there_as_it_was_said() -> None:
    log = [Logged(OLD, 0, 2), Logged(NEW, 0, 3)]
    assert checked(Log(log), Scan([])) == ([LabelProblem("a", "missing", {})], [])
    assert checked(Log(log), Scan([OLD])) == ([LabelProblem("a", "different", DIFFERS)], [])


def test_what_the_agent_has_not_come_to_is_in_flight() -> None:
    log = [Logged(OLD, 0, 9), Logged(NEW, 0, 10)]
    assert checked(Log(log), Scan([OLD])) == ([], ["a"])
    assert checked(Log(log), Scan([])) == ([], ["a"])


def test_a_row_that_the_log_does_not_know_is_too_much_and_one_newer_than_the_log_is_wrong() -> None:
    assert checked(Log(), Scan([OLD])) == ([LabelProblem("a", "extra", {})], [])
    ((problem,), _) = checked(Log([Logged(OLD, 0, 20)]), Scan([NEW]))
    assert problem.kind == "different"


def test_a_label_that_comes_meanwhile_is_no_difference() -> None:
    log = Log([Logged(OLD, 0, 2)], [Logged(NEW, 0, 11)])
    assert checked(log, Scan([], [NEW])) == ([], [])
    assert checked(Log([Logged(OLD, 0, 2), Logged(NEW, 0, 3)]), Scan([OLD], [NEW])) == ([], [])
