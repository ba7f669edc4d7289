"""A broker starts with the classes that setup has had loaded."""

import subprocess
from pathlib import Path

import pytest

from infra.native import kafka

#: Of Kafka's program: it says which version it is, and ends.
VERSION = Path("--version")


def loaded_from(*options: str) -> str:
    """Where Java says that it has Kafka's program from; it ends where it cannot use an archive that it is given."""
    command = kafka.broker(VERSION, *options, "-Xshare:on", "-Xlog:class+load=info:stdout:none")
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("kafka.Kafka source: "))
    return line.partition("source: ")[2]


def test_java_takes_a_brokers_classes_from_the_archive_that_setup_has_made() -> None:
    assert loaded_from().startswith("file:")
    assert loaded_from(f"-XX:SharedArchiveFile={kafka.class_archive()}").startswith("shared objects file")


def test_a_broker_is_started_with_the_archive_if_there_is_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    archive = tmp_path / "kafka.jsa"
    monkeypatch.setattr(kafka, "class_archive", lambda: archive)
    monkeypatch.setattr(kafka, "run", lambda: tmp_path)
    monkeypatch.setattr(kafka, "data", lambda _: tmp_path)
    monkeypatch.setattr(kafka, "_format_once", lambda *_: None)
    assert f"-XX:SharedArchiveFile={archive}" not in kafka.command(1)
    archive.touch()
    assert f"-XX:SharedArchiveFile={archive}" in kafka.command(1)
