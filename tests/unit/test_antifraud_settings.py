"""A replica's settings."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from antifraud import tls
from antifraud.settings import Settings, WrongSettingError, read
from infra.native.certificates import Pair


def test_without_variables_the_defaults_apply() -> None:
    assert read({}) == Settings() == Settings("127.0.0.1", 5004, "antifraud-1", 0.5)


def test_an_empty_variable_counts_as_not_set() -> None:
    assert read({"APPROVED_THRESHOLD": "", "ANTIFRAUD_PORT": ""}) == Settings()


def test_everything_can_be_set() -> None:
    environment = {
        "ANTIFRAUD_LISTEN_HOST": "::1",
        "ANTIFRAUD_PORT": "5003",
        "ANTIFRAUD_REPLICA": "antifraud-2",
    }
    assert read(environment | {"APPROVED_THRESHOLD": "0.4"}) == Settings("::1", 5003, "antifraud-2", 0.4)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.5", "antifraud"])
def test_a_port_without_tls_is_refused_where_other_machines_reach_it(host: str) -> None:
    with pytest.raises(
        WrongSettingError, match=f"^other machines reach {host} .*ANTIFRAUD_TLS_CA.*ALLOW_INSECURE=1"
    ):
        read({"ANTIFRAUD_LISTEN_HOST": host})
    assert read({"ANTIFRAUD_LISTEN_HOST": host, "ALLOW_INSECURE": "1"}).antifraud_listen_host == host
    names = [f"ANTIFRAUD_TLS_{kind}" for kind in ("CERTIFICATE", "KEY", "CA")]
    assert (
        read({"ANTIFRAUD_LISTEN_HOST": host} | dict.fromkeys(names, "/a.pem")).antifraud_listen_host == host
    )


@pytest.mark.parametrize("text", ["-0.1", "1.01", "nan", "inf", "half", "0,5"])
def test_a_threshold_outside_0_to_1_is_refused(text: str) -> None:
    with pytest.raises(WrongSettingError, match=r"^APPROVED_THRESHOLD must be a number from 0 to 1"):
        read({"APPROVED_THRESHOLD": text})


@pytest.mark.parametrize("name", ["ANTIFRAUD_PORT", "ANTIFRAUD_METRICS_PORT"])
@pytest.mark.parametrize("text", ["0", "65536", "-1", "5004.0", "port", "٣"])
def test_an_invalid_port_is_refused(text: str, name: str) -> None:
    with pytest.raises(WrongSettingError, match=f"^{name} must be a port"):
        read({name: text})


def test_a_wrong_setting_ends_the_process_with_one_line_and_status_2() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "antifraud.server"],
        env=os.environ | {"APPROVED_THRESHOLD": "2"},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert done.returncode == 2
    assert done.stderr == "antifraud: APPROVED_THRESHOLD must be a number from 0 to 1, not '2'\n"


# TLS


def files(made: dict[str, Pair], **changes: str) -> dict[str, str]:
    return {
        "ANTIFRAUD_TLS_CERTIFICATE": str(made["server"].certificate),
        "ANTIFRAUD_TLS_KEY": str(made["server"].key),
        "ANTIFRAUD_TLS_CA": str(made["authority"].certificate),
    } | changes


def test_a_replica_is_plain_or_has_all_three_files(made: dict[str, Pair]) -> None:
    assert tls.credentials(read({})) is None
    assert tls.credentials(read(files(made))) is not None
    for name in files(made):
        with pytest.raises(WrongSettingError, match=f"^{name} is not set"):
            read(files(made, **{name: ""}))


def test_a_file_that_a_replica_cannot_use_is_named(made: dict[str, Pair], tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no certificate")
    wrong = {
        "ANTIFRAUD_TLS_CERTIFICATE": (str(tmp_path / "none"), "cannot be read: FileNotFoundError"),
        "ANTIFRAUD_TLS_KEY": (str(made["client"].key), "KEY_VALUES_MISMATCH"),
        "ANTIFRAUD_TLS_CA": (str(tmp_path / "text"), "has no certificate in PEM"),
    }
    for name, (path, why) in wrong.items():
        with pytest.raises(WrongSettingError) as caught:
            tls.credentials(read(files(made, **{name: path})))
        assert name in str(caught.value)
        assert path in str(caught.value)
        assert why in str(caught.value)
