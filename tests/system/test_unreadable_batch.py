"""A batch damaged on the broker's disk holds its partition, visibly; a command passes it over."""

from __future__ import annotations

import struct
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


#: A batch of more bytes than 4,096 has an entry of the broker's index behind it: so nothing else is lost with it.
LONG = 5_000 * b"."
HEADER = 12  # bytes: the base offset, and how many bytes follow


@pytest.fixture
def without_a_header() -> Iterator[log.Place]:
    """A batch of one poison record whose header is zeroes; repaired at the end."""
    name, _ = worker()
    stack.stop(name)
    mark = MARK + new_id().encode()
    (place,) = log.produce([(HELD, b"key", mark + LONG)])
    found = segment().read_bytes()
    where = found.rindex(struct.pack(">q", place.offset), 0, found.index(mark))
    overwrite(where, HEADER * b"\0")
    try:
        yield place
    finally:
        overwrite(where, found[where : where + HEADER])


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


def test_what_kafka_itself_cannot_read_is_held_in_sight_too_and_not_asked_for_without_a_pause(
    without_a_header: log.Place,
) -> None:
    name, _ = worker()
    said, asked, feed = PartLog(name), PartLog("kafka"), Feed()
    ids = {number: new_id() for number in range(log.PARTITIONS)}
    log.produce([(number, id_.encode(), feed.value(id_)) for number, id_ in ids.items()])
    stack.start(name)
    behind = ids.pop(HELD)
    for id_ in ids.values():
        http.final(id_, within=30)
    place = f"{log.CREATED}[{HELD}]@{without_a_header.offset}"
    reason = "Kafka cannot read it (CORRUPT_MESSAGE)"
    log.wait_until(lambda: bool(said.lines("CRITICAL", place, reason)), 20, "the alarm")
    assert metric(f'payments_partition_held_seconds{{partition="{HELD}",topic="{log.CREATED}"}}')
    time.sleep(4)  # a bff that looks into the log meanwhile finds it out for itself, in 2 s
    before = len(asked.lines("Error processing fetch"))
    time.sleep(6)
    assert len(asked.lines("Error processing fetch")) - before < 10
    assert f"AT={log.CREATED}:{HELD}:{without_a_header.offset}" in commands.done("lag")
    code, verified = commands.run("verify")
    named = [line for line in verified.splitlines() if line.startswith("unreadable") and place in line]
    assert (code, len(named)) == (1, 1), verified
    assert len(verified.splitlines()) < 30

    passed = commands.done("pass-over", f"{log.CREATED}:{HELD}:{without_a_header.offset}")
    assert f"the offsets {without_a_header.offset} to {without_a_header.offset} are passed over" in passed
    http.final(behind, within=30)
    assert not metric("payments_partition_held_seconds{")
    assert len(said.lines("CRITICAL", place)) == 1
