"""Apache Kafka: one node that is broker and controller."""

import base64
import json
import shutil
import subprocess
import uuid
from pathlib import Path

from infra.native.artifacts import class_path
from infra.native.java import java
from infra.native.paths import INFRA, data, run
from infra.native.ports import endpoints

LOGGING = f"-Dlog4j2.configurationFile={(INFRA / 'kafka' / 'log4j2.properties').as_uri()}"


def command() -> list[str]:
    """The command that starts the broker; its storage is formatted at the first start."""
    config = run() / "kafka.properties"
    config.write_text(properties(data("kafka")))
    _format_once(config, data("kafka"))
    heap = ("-Xms256m", "-Xmx512m")
    return java(*heap, LOGGING, "-cp", class_path("kafka"), "kafka.Kafka", str(config))


def properties(directory: Path) -> str:
    """The common settings, then this machine's; the last line of a key wins."""
    client, controller = endpoints("kafka")
    return (
        (INFRA / "kafka" / "server.properties").read_text()
        + f"\n# this machine\nlisteners=PLAINTEXT://{client},CONTROLLER://{controller}\n"
        + f"advertised.listeners=PLAINTEXT://{client}\n"
        + f"controller.quorum.voters=1@{controller}\nlog.dirs={escaped(str(directory / 'log'))}\n"
    )


def escaped(value: str) -> str:
    """A value for a .properties file: Java reads it as Latin-1, with the same escapes as JSON."""
    return json.dumps(value)[1:-1]


def _format_once(config: Path, directory: Path) -> None:
    done = directory / "formatted"
    if done.exists():
        return
    # Without this file nothing was ever served from here: what is there is an unfinished format.
    shutil.rmtree(directory / "log", ignore_errors=True)
    cluster = base64.urlsafe_b64encode(b"\0" + uuid.uuid4().bytes[1:]).decode().rstrip("=")
    tool = ("-XX:TieredStopAtLevel=1", LOGGING, "-cp", class_path("kafka"), "kafka.tools.StorageTool")
    subprocess.run(java(*tool, "format", "-t", cluster, "-c", str(config)), check=True)
    done.touch()
