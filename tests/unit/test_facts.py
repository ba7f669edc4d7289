"""The file in which verify collects what each place says."""

from __future__ import annotations

from app.commands.verify.digests import CREATED, STORED, TOLD, Fact, Facts


def test_facts_come_back_by_transaction_and_place() -> None:
    facts = Facts()
    facts.add([Fact("b", TOLD), Fact("a", STORED, offset=2**62), Fact("b", CREATED)])
    facts.add([Fact("a", CREATED, decision=-(2**63))])
    facts.suspect(id_ for id_, plain, _ in facts.plain("") if not plain)
    assert list(facts.suspected()) == [
        [Fact("a", CREATED, decision=-(2**63)), Fact("a", STORED, offset=2**62)],
        [Fact("b", CREATED), Fact("b", TOLD)],
    ]


def test_the_second_look_is_at_the_suspects_alone() -> None:
    facts = Facts()
    facts.add([Fact(id_, CREATED) for id_ in "abc"])
    facts.suspect(["c", "a"])
    facts.suspect(["c"])
    facts.add([Fact("a", TOLD), Fact("d", CREATED)])
    assert [[one.place for one in group] for group in facts.suspected()] == [[CREATED, TOLD], [CREATED]]
    facts.clear(group[0].id for group in facts.suspected() if len(group) == 1)
    assert [group[0].id for group in facts.suspected()] == ["a"]
    assert facts.any_suspected()
    facts.clear_suspects()
    assert list(facts.suspected()) == []
    assert not facts.any_suspected()
