"""Which part of the log a replay reads."""

from __future__ import annotations

import pytest

from app.commands.shared.read_range import WHOLE, moment, places, read_range_of

NOW = 1_700_000_000.0


def test_without_options_everything_is_read() -> None:
    assert read_range_of(None, None, None, None) == WHOLE
    assert WHOLE.is_whole
    assert WHOLE.partitions is None


@pytest.mark.parametrize(
    ("text", "millis"),
    [
        ("0", 1_700_000_000_000),
        ("3600", 1_699_996_400_000),
        ("0.5", 1_699_999_999_500),
        ("2023-11-14T22:13:20", 1_700_000_000_000),
        ("2023-11-14T22:13:20Z", 1_700_000_000_000),
        ("2023-11-14T23:13:20+01:00", 1_700_000_000_000),
        ("2023-11-14", 1_699_920_000_000),
    ],
)
def test_a_moment_is_seconds_ago_or_a_time(text: str, millis: int) -> None:
    assert moment(text, NOW) == millis


@pytest.mark.parametrize("text", ["yesterday", "nan", "inf", ""])
def test_an_invalid_time_is_reported_in_a_sentence(text: str) -> None:
    with pytest.raises(SystemExit, match="neither seconds ago"):
        moment(text, NOW)


@pytest.mark.parametrize("text", ["1699996400", "-60", "1e300"])
def test_seconds_since_1970_are_not_mistaken_for_seconds_ago(text: str) -> None:
    with pytest.raises(SystemExit, match="a time is said as"):
        moment(text, NOW)


def test_offsets_name_the_partitions() -> None:
    assert places("0:1200, 3:900") == {0: 1200, 3: 900}
    assert read_range_of(None, None, "0:5", "3:9").partitions == {0, 3}
    assert read_range_of(None, None, None, "2:0").partitions == {2}


@pytest.mark.parametrize("text", ["7", "0:1,", "a:1", "0:-1"])
def test_an_invalid_list_of_offsets_is_reported_in_a_sentence(text: str) -> None:
    with pytest.raises(SystemExit, match="PARTITION:OFFSET"):
        places(text)


def test_times_and_offsets_exclude_each_other() -> None:
    with pytest.raises(SystemExit, match="a span of time"):
        read_range_of("60", None, "0:1", None)
