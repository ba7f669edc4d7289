"""A backup is of one moment, complete or not there; a restore puts back all or nothing, and overwrites nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from infra.native import backup, lockfile, orphans, processes, stack
from infra.native.processes import Part

#: Writes a number into two folders, without end: at any moment they differ by one at most.
WRITER = """
import itertools, sys
for number in itertools.count():
    for path in sys.argv[1:]:
        with open(path, "r+") as file:
            file.write(f"{number:09d}")
"""
FILES = ("cassandra-1/number", "kafka/log/number")


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Data of a stack that is down."""
    found = tmp_path / "data"
    kept = (*FILES, "cassandra-2/rows", "registry/schemas", "secure/ca.key")
    for name in (*kept, "redis/appendonly", "history/0.snapshot"):
        (found / name).parent.mkdir(parents=True, exist_ok=True)
        (found / name).write_text("000000000")
    monkeypatch.setattr(backup, "DATA", found)
    monkeypatch.setattr(backup, "DATA_COPY", tmp_path / "data.restoring")
    monkeypatch.setattr(backup, "BACKUPS", tmp_path / "backups")
    monkeypatch.setattr(lockfile, "LOCK", tmp_path / "run" / "lock")
    running(monkeypatch, {})
    return found


def running(monkeypatch: pytest.MonkeyPatch, pids: dict[str, int]) -> None:
    monkeypatch.setattr(
        processes, "states", lambda: {name: Part(name, "running", pid) for name, pid in pids.items()}
    )
    monkeypatch.setattr(orphans, "ours", lambda: {psutil.Process(pid): name for name, pid in pids.items()})


@pytest.fixture
def writer(data: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[subprocess.Popen[bytes]]:
    """A Kafka that writes as fast as it can, beside a folder that takes a while to copy."""
    (data / "cassandra-3").mkdir()
    (data / "cassandra-3" / "large").write_bytes(os.urandom(20_000_000))
    paths = [str(data / name) for name in FILES]
    command = [sys.executable, "-c", WRITER, *paths]
    with subprocess.Popen(command, start_new_session=True) as process:
        running(monkeypatch, {"kafka": process.pid})
        until_it_writes(data)
        yield process
        process.kill()


def until_it_writes(data: Path) -> None:
    before, deadline = number(data / FILES[0]), time.monotonic() + 20
    while number(data / FILES[0]) == before:
        assert time.monotonic() < deadline, "it stands still"
        time.sleep(0.01)


def number(path: Path) -> int:
    return int(path.read_text() or 0)


def the_backup(tmp_path: Path) -> Path:
    (only,) = (tmp_path / "backups").iterdir()
    return only


def deleted(data: Path) -> None:
    for path in sorted(data.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()


def is_made_of_one_moment(tmp_path: Path, data: Path) -> None:
    """A backup, after which the writer goes on."""
    backup.backup("")
    first, second = (number(the_backup(tmp_path) / name) for name in FILES)
    assert 0 <= first - second <= 1
    until_it_writes(data)


@pytest.mark.usefixtures("writer")
def test_all_of_it_is_of_one_moment_and_what_stood_still_goes_on(tmp_path: Path, data: Path) -> None:
    is_made_of_one_moment(tmp_path, data)


def test_what_stood_still_goes_on_when_the_disk_is_full_and_no_half_of_a_backup_stays(
    tmp_path: Path, data: Path, writer: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def full(path: Path, _to: Path) -> None:
        seen.append(psutil.Process(writer.pid).status())
        raise SystemExit(f"{path} could not be copied: no space left on device")

    monkeypatch.setattr(backup, "_copy", full)
    with pytest.raises(SystemExit, match="no space left"):
        backup.backup("")
    assert seen == [psutil.STATUS_STOPPED]
    until_it_writes(data)
    assert list((tmp_path / "backups").iterdir()) == []


def test_sigterm_lets_them_go_on_too(
    tmp_path: Path, data: Path, writer: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backup, "_copy", lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(KeyboardInterrupt):
        backup.backup("")
    until_it_writes(data)
    assert list((tmp_path / "backups").iterdir()) == []


def test_what_a_crashed_supervisor_has_left_stands_still_too(
    tmp_path: Path, data: Path, writer: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "states", lambda: {"kafka": Part("kafka", "left over", writer.pid)})
    is_made_of_one_moment(tmp_path, data)


def test_a_second_signal_keeps_none_from_going_on(
    tmp_path: Path, data: Path, writer: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = stack.signal

    def signalled(name: str, number: signal.Signals) -> int:
        if number == signal.SIGCONT:
            os.kill(os.getpid(), signal.SIGINT)
        return plain(name, number)

    monkeypatch.setattr(stack, "signal", signalled)
    backup.backup("")
    until_it_writes(data)


def test_a_restore_brings_back_what_cannot_be_made_from_the_log_and_nothing_else(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    backup.backup("")
    deleted(data)
    backup.restore(str(the_backup(tmp_path)))
    found = {str(path.relative_to(data)) for path in data.rglob("*") if path.is_file()}
    assert found == {*FILES, "cassandra-2/rows", "registry/schemas", "secure/ca.key"}
    assert "make up, then make verify" in capsys.readouterr().out


def test_a_restore_never_overwrites_data(tmp_path: Path, data: Path) -> None:
    backup.backup("")
    (data / FILES[0]).write_text("000000007")
    with pytest.raises(SystemExit, match=r"there are data in .* make clean"):
        backup.restore(str(the_backup(tmp_path)))
    assert number(data / FILES[0]) == 7


def test_a_restore_under_a_running_stack_is_refused(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup.backup("")
    deleted(data)
    running(monkeypatch, {"kafka": os.getpid()})
    with pytest.raises(SystemExit, match="the stack is up; make down"):
        backup.restore(str(the_backup(tmp_path)))


@pytest.mark.parametrize("damage", ["other bytes", "missing"])
def test_a_damaged_backup_restores_nothing_and_names_the_file(
    tmp_path: Path, data: Path, damage: str
) -> None:
    backup.backup("")
    deleted(data)
    file = the_backup(tmp_path) / FILES[1]
    file.unlink() if damage == "missing" else file.write_text("000000001")
    with pytest.raises(SystemExit, match=f"damaged: {file} "):
        backup.restore(str(the_backup(tmp_path)))
    assert not any(data.iterdir())


def test_a_backup_that_was_broken_off_is_none(tmp_path: Path, data: Path) -> None:
    backup.backup("")
    deleted(data)
    (the_backup(tmp_path) / backup.MANIFEST).unlink()
    with pytest.raises(SystemExit, match="no complete backup"):
        backup.restore(str(the_backup(tmp_path)))


def test_without_a_name_those_that_there_are_are_listed(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="there are: none"):
        backup.restore("")
    backup.backup("")
    with pytest.raises(SystemExit, match=f"there are: {the_backup(tmp_path)}"):
        backup.restore("")


def test_a_backup_overwrites_no_other_one(tmp_path: Path) -> None:
    backup.backup(str(tmp_path / "mine"))
    before = json.loads((tmp_path / "mine" / backup.MANIFEST).read_text())
    with pytest.raises(SystemExit, match="mine exists"):
        backup.backup(str(tmp_path / "mine"))
    assert json.loads((tmp_path / "mine" / backup.MANIFEST).read_text()) == before
