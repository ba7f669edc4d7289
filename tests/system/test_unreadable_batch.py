"""A batch damaged on the broker's disk holds its partition, visibly; a command passes it over."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from exercises.faults import PartLog
from infra.native import stack
from infra.native.paths import data
from tests.support import commands, http, log
from tests.support.feed import Feed, new_id
from tests.system.test_system_state import part
from tests.system.test_watchdog import worker

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("whole_again")]

MARK = b"a record whose batch is damaged "
HELD = 2


def segment() -> Path:
    """The file in which the broker has the partition."""
    (only,) = (data("kafka") / "log" / f"{log.CREATED}-{HELD}").glob("*.log")
    return only


def overwrite(offset: int, byte: bytes) -> None:
    with segment().open("r+b") as file:
        file.seek(offset)
        file.write(byte)


@pytest.fixture
def damaged() -> Iterator[log.Place]:
    """A batch of one poison record in one partition, damaged before anybody has read it; repaired at the end."""
    name, _ = worker()
    stack.stop(name)
    mark = MARK + new_id().encode()
    (place,) = log.produce([(HELD, b"key", mark)])
    where = segment().read_bytes().index(mark)
    overwrite(where, b"A")
    try:
        yield place
    finally:
        overwrite(where, MARK[:1])


def metric(name: str) -> list[str]:
    answer = http.call("GET", "/metrics", url=worker()[1]).body.decode()
    return [line for line in answer.splitlines() if line.startswith(name)]


def test_it_holds_its_partition_alone_and_in_sight_until_it_is_passed_over(damaged: log.Place) -> None:
    name, url = worker()
    said, feed = PartLog(name), Feed()
    ids = {number: new_id() for number in range(log.PARTITIONS)}
    log.produce([(number, id_.encode(), feed.value(id_)) for number, id_ in ids.items()])
    stack.start(name, {"LIVENESS_TIMEOUT": "4"})
    behind = ids.pop(HELD)
    for id_ in ids.values():
        http.final(id_, within=30)
    place = f"{log.CREATED}[{HELD}]@{damaged.offset}"
    log.wait_until(lambda: bool(said.lines("CRITICAL", place, "cannot be read")), 20, "the alarm")
    assert metric(f'payments_partition_held_seconds{{partition="{HELD}",topic="{log.CREATED}"}}')
    time.sleep(6)  # longer than LIVENESS_TIMEOUT
    assert http.call("GET", "/health/live", url=url).status == 200  # a restart would find the same batch
    assert part("transactions")["word"] == "holds a partition"
    assert f"AT={log.CREATED}:{HELD}:{damaged.offset}" in commands.done("lag")
    assert place in commands.done("topic", log.CREATED)
    later = {number: new_id() for number in ids}  # a POST might go to the held partition
    log.produce([(number, id_.encode(), feed.value(id_)) for number, id_ in later.items()])
    for id_ in later.values():
        http.final(id_, within=30)
    assert http.shown(behind) is None

    code, verified = commands.run("verify")
    named = [line for line in verified.splitlines() if line.startswith("unreadable") and place in line]
    assert (code, len(named)) == (1, 1), verified

    wrong = commands.run("pass-over", f"{log.CREATED}:{HELD}:{damaged.offset + 1}")
    assert (wrong[0], "can be read: nothing to pass over" in wrong[1]) == (1, True)
    assert "is in the dead letters" in commands.done("pass-over", f"{log.CREATED}:{HELD}:{damaged.offset}")
    http.final(behind, within=30)
    assert said.lines(f"{log.CREATED}[{HELD}] goes on at {damaged.offset + 1}")
    assert not metric("payments_partition_held_seconds{")
    assert "batch" in next(line for line in commands.done("dead-letters").splitlines() if place in line)
    assert len(said.lines("CRITICAL", place, "cannot be read")) == 1

    stack.restart(name)  # what was passed over is not read again
    time.sleep(1)
    http.final(http.taken(), within=30)
    assert len(said.lines("CRITICAL", place)) == 1
