"""The file in which verify collects what each source says."""

from __future__ import annotations

from app.commands.verify.observations import CREATED, PUBLISHED, STORED, Observation, Observations


def test_observations_come_back_by_transaction_and_source() -> None:
    observations = Observations()
    observations.add(
        [Observation("b", PUBLISHED), Observation("a", STORED, offset=2**62), Observation("b", CREATED)]
    )
    observations.add([Observation("a", CREATED, decision=-(2**63))])
    observations.suspect(id_ for id_, plain, _ in observations.plain("") if not plain)
    assert list(observations.suspected()) == [
        [Observation("a", CREATED, decision=-(2**63)), Observation("a", STORED, offset=2**62)],
        [Observation("b", CREATED), Observation("b", PUBLISHED)],
    ]


def test_the_second_look_is_only_at_the_suspects() -> None:
    observations = Observations()
    observations.add([Observation(id_, CREATED) for id_ in "abc"])
    observations.suspect(["c", "a"])
    observations.suspect(["c"])
    observations.add([Observation("a", PUBLISHED), Observation("d", CREATED)])
    assert [[one.place for one in group] for group in observations.suspected()] == [
        [CREATED, PUBLISHED],
        [CREATED],
    ]
    observations.clear(group[0].id for group in observations.suspected() if len(group) == 1)
    assert [group[0].id for group in observations.suspected()] == ["a"]
    assert observations.any_suspected()
    observations.clear_suspects()
    assert list(observations.suspected()) == []
    assert not observations.any_suspected()
