"""Consumer lag as it is shown: records, seconds, trend, and what nobody knows."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

from app.errors import LogUnavailable
from app.system.groups import Groups
from app.system.lag import Lag


class Tail:
    """A log with a record at some offsets, all of the same time."""

    def __init__(self, offsets: Iterable[int] = (), written: float = 900.0, *, unavailable: bool = False):
        self.offsets, self.written, self.unavailable = set(offsets), written, unavailable
        self.looks = 0

    async def at(self, topic: str, partition: int, offsets: Iterable[int]) -> dict[int, Any]:
        self.looks += 1
        if self.unavailable:
            raise LogUnavailable("no broker answers")
        record = SimpleNamespace(timestamp=self.written * 1000)
        return {offset: record for offset in offsets if offset in self.offsets}


def groups(committed: int | None, end: int) -> Groups:
    return Groups({}, {} if committed is None else {0: committed}, {0: end})


def seen(tail: Tail, *looks: tuple[int | None, int, dict[int, float]]) -> dict[str, Any]:
    """What is shown after looks at (committed, end, what workers say), a second apart, the last one at 1000."""

    async def situation() -> dict[str, Any]:
        lag = Lag(tail)  # type: ignore[arg-type]
        for number, (committed, end, ages) in enumerate(looks, 1001 - len(looks)):
            lag.update(groups(committed, end), ages, float(number))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        return lag.document(1000.0)

    return asyncio.run(situation())


def test_without_lag_nothing_is_looked_up() -> None:
    tail = Tail()
    found = seen(tail, (5, 5, {}), (5, 5, {}))
    assert (found["records"], found["seconds"], found["seconds_to_zero"], tail.looks) == (0, 0.0, None, 0)
    assert found["partitions"] == [{"partition": 0, "records": 0, "seconds": 0.0}]


def test_a_living_worker_says_how_old_the_oldest_record_in_hand_is() -> None:
    tail = Tail(range(5, 10))
    found = seen(tail, (5, 10, {0: 2.5}), (5, 10, {0: 3.5}))
    assert (found["records"], found["seconds"], tail.looks) == (5, 3.5, 0)


def test_while_no_worker_lives_the_log_says_it_and_is_asked_once() -> None:
    tail = Tail(range(5, 10), written=900.0)
    found = seen(tail, (5, 10, {}), (5, 10, {}), (5, 11, {}), (5, 12, {}))
    assert (found["records"], found["seconds"], tail.looks) == (7, 100.0, 1)


def test_of_a_partition_in_which_nothing_was_ever_committed_it_says_it_too() -> None:
    found = seen(Tail(range(1)), (None, 1, {}), (None, 1, {}), (None, 1, {}))
    assert (found["records"], found["seconds"]) == (1, 100.0)


def test_markers_of_transactions_are_no_lag() -> None:
    found = seen(Tail(), (5, 7, {}), (5, 7, {}), (5, 7, {}))
    assert (found["records"], found["seconds"]) == (0, 0.0)


def test_what_comes_behind_markers_is_lag_again() -> None:
    tail = Tail(range(7, 40))
    found = seen(tail, (5, 7, {}), (5, 7, {}), (5, 40, {}), (5, 40, {}), (5, 40, {}))
    assert (found["records"], found["seconds"]) == (35, 100.0)


def test_an_age_that_nobody_knows_is_null() -> None:
    found = seen(Tail(unavailable=True), (5, 10, {}), (5, 10, {}))
    assert (found["records"], found["seconds"]) == (5, None)


def test_a_lag_that_falls_has_a_time_until_zero() -> None:
    found = seen(Tail(), *((100 * n, 1000, {0: 1.0}) for n in range(6)))
    assert (found["records"], found["per_second"], found["seconds_to_zero"]) == (500, -100.0, 5.0)


def test_a_lag_that_grows_or_stands_still_has_none() -> None:
    assert seen(Tail(), (0, 10, {0: 1.0}), (0, 500, {0: 1.0}))["seconds_to_zero"] is None
    assert seen(Tail(), (0, 10, {0: 1.0}), (0, 10, {0: 1.0}))["seconds_to_zero"] is None


def test_before_the_first_look_nothing_is_said() -> None:
    found = Lag(Tail()).document(1000.0)  # type: ignore[arg-type]
    assert (found["records"], found["per_second"], found["partitions"]) == (0, None, [])
