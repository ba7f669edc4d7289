"""What verify prints, for a person and for a program."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from app.commands.verify import command
from app.commands.verify.counts import Counts
from app.commands.verify.verification import Checked, Finding

MOVED = Finding("id-1", "different", "cassandra", 1, {"latitude": {"log": 1.5, "cassandra": 2.5}})
GONE = Finding("id-2", "missing", "redis", 2)


class Verification:
    def __init__(self, *those: Finding):
        self._those = those
        self.checked = Checked(
            Counts(sent=3, decided=2, published=4, stored=2, in_redis=2, in_flight=1), "all"
        )
        self.checked.in_flight = ["id-3"]

    async def findings(self) -> AsyncIterator[Finding]:
        for one in self._those:
            self.checked.wrong += 1
            yield one


def text_of(*those: Finding, capsys: pytest.CaptureFixture[str]) -> list[str]:
    asyncio.run(command._as_text(Verification(*those)))  # type: ignore[arg-type]
    return capsys.readouterr().out.splitlines()


def json_of(*those: Finding, capsys: pytest.CaptureFixture[str]) -> object:
    asyncio.run(command._as_json(Verification(*those)))  # type: ignore[arg-type]
    return json.loads(capsys.readouterr().out)


def test_a_difference_is_named_with_both_values(capsys: pytest.CaptureFixture[str]) -> None:
    *lines, sent, decided, published, flight, end = text_of(MOVED, GONE, capsys=capsys)
    assert lines == [
        "different    in cassandra           id-1 (revision 1)",
        "    latitude: log 1.5, cassandra 2.5",
        "missing      in redis               id-2 (revision 2)",
    ]
    assert sent == "sent 3 = decided 2 + in flight 1 + dead letters 0 + without a verdict 0"
    assert decided == "decided 2 = stored 2 + being stored 0 + without a row 0"
    assert published == "published 4 records   in Redis 2 (all)   dead letters sent back 0"
    assert flight == "under way: id-3"
    assert end.startswith("verify: 2 differences, in ")


def test_a_million_differences_are_not_a_million_lines(capsys: pytest.CaptureFixture[str]) -> None:
    lines = text_of(*[GONE] * (command.SHOWN + 7), capsys=capsys)
    assert len(lines) == command.SHOWN + 6
    assert "... and 7 more; all of them: --json" in lines


@pytest.mark.parametrize("those", [(), (MOVED,), (MOVED, GONE)])
def test_json_is_one_object_with_all_of_them(
    those: tuple[Finding, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    fingerprint = json_of(*those, capsys=capsys)
    assert fingerprint == {
        "findings": [
            {
                "transaction_id": one.transaction_id,
                "problem": one.problem,
                "where": one.where,
                "revision": one.revision,
                "columns": one.columns,
            }
            for one in those
        ],
        "agree": not those,
        "differences": len(those),
        "counts": {
            "sent": 3,
            "decided": 2,
            "published": 4,
            "stored": 2,
            "in_redis": 2,
            "dead_letters": 0,
            "in_flight": 1,
            "missing_verdicts": 0,
            "being_stored": 0,
            "missing_rows": 0,
            "sent_back": 0,
            "never_sent": 0,
        },
        "redis": "all",
        "labels": 0,
        "in_flight": ["id-3"],
    }
