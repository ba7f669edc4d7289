"""The supervisor's configuration."""

import json
import os
import shlex
from pathlib import Path

import pytest
from supervisor.options import ServerOptions

from infra.native import lockfile, paths, prometheus, stack, supervisor


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ServerOptions:
    """The written file as supervisord itself reads it; the repository lies in a folder of an awkward name."""
    root = tmp_path / "50% of\ta #1 repository; it's"
    run = root / ".stack/run/supervisor"
    patches = {"LOGS": root / ".stack/logs", "SUPERVISOR": run, "CONFIG": run / "supervisord.conf"}
    for name, value in patches.items():
        monkeypatch.setattr(supervisor, name, value)
    monkeypatch.setattr(prometheus, "SUPERVISOR", root / ".stack/run/supervisor")
    monkeypatch.setenv("PYTHON", "/50% of\ta #1 repository; it's/python")
    monkeypatch.setenv("LAUNCH", "/50% of\ta #1 repository; it's/launch.py")
    root.mkdir()
    monkeypatch.chdir(root)
    supervisor.configure(["kafka", "transactions-2"])
    options = ServerOptions()
    options.realize(["-c", str(supervisor.CONFIG)])
    return options


def test_supervisord_reads_the_parts(read: ServerOptions) -> None:
    assert {group.name for group in read.process_group_configs} == {"kafka", "transactions-2"}
    assert supervisor.names() == ["kafka", "transactions-2"]


def test_nothing_starts_or_restarts_by_itself(read: ServerOptions) -> None:
    for group in read.process_group_configs:
        (part,) = group.process_configs
        assert (part.autostart, part.autorestart, part.startretries) == (False, False, 0)


def test_a_log_has_a_bound(read: ServerOptions) -> None:
    (part,) = read.process_group_configs[0].process_configs
    assert part.stdout_logfile == ".stack/logs/kafka.log"
    assert (part.stdout_logfile_maxbytes, part.stdout_logfile_backups) == (10 * 1024 * 1024, 2)


def test_a_folder_with_any_sign_is_one_word(read: ServerOptions) -> None:
    (part,) = read.process_group_configs[0].process_configs
    here = "/50% of\ta #1 repository; it's"
    own = ".stack/run/supervisor/kafka.json"
    assert shlex.split(part.command) == [f"{here}/python", "-IS", f"{here}/launch.py", own]


def test_a_part_has_the_time_to_end_that_its_stage_needs(read: ServerOptions) -> None:
    waits = [group.process_configs[0].stopwaitsecs for group in read.process_group_configs]
    assert waits == [25, 12]


def test_the_sockets_path_is_short_however_deep_the_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "ROOT", Path("/" + "deep/" * 100))
    assert len(str(supervisor.socket())) < 90


def test_a_socket_folder_that_others_can_enter_is_refused(tmp_path: Path) -> None:
    paths.make_private(tmp_path / "ours")
    assert os.stat(tmp_path / "ours").st_mode & 0o777 == 0o700
    (tmp_path / "open").mkdir(mode=0o755)
    with pytest.raises(SystemExit, match="not a private folder"):
        paths.make_private(tmp_path / "open")
    (tmp_path / "link").symlink_to(tmp_path / "ours")
    with pytest.raises(SystemExit, match="not a private folder"):
        paths.make_private(tmp_path / "link")


def test_clean_says_that_data_are_gone_when_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk, data = tmp_path / "larger disk", tmp_path / "data"
    for name in ("DATA", "DATA_COPY", "LOGS"):
        monkeypatch.setattr(stack, name, tmp_path / name)
    monkeypatch.setattr(stack, "DATA", data)
    monkeypatch.setattr(stack, "down", lambda: None)
    monkeypatch.setattr(lockfile, "LOCK", tmp_path / "run" / "lock")
    data.mkdir()
    (tmp_path / "DATA_COPY").mkdir()
    stack.clean()
    assert not data.exists()
    assert not (tmp_path / "DATA_COPY").exists()
    disk.mkdir()
    data.symlink_to(disk)
    with pytest.raises(SystemExit, match="data could not be deleted"):
        stack.clean()


@pytest.mark.parametrize("had", ["TOKENS_FILE", "PAYMENTS_TLS_CERTIFICATE"])
def test_a_start_that_says_nothing_of_the_tokens_it_had_is_refused(
    had: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "SUPERVISOR", tmp_path)
    (tmp_path / "bff.json").write_text(json.dumps({"environment": {had: "/file", "LOG_FORMAT": "json"}}))
    for name in ("bff", "bff-2"):
        with pytest.raises(SystemExit, match=f"^{name} would start without {had}, .*say {had}=/file again"):
            supervisor.check_access(name, {})
        supervisor.check_access(name, {had.removeprefix("PAYMENTS_"): ""})
    supervisor.check_access("transactions", {})
