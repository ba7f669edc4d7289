"""Apache Kafka: one node, or three, each broker and controller."""

import base64
import json
import shutil
import subprocess
import uuid
from pathlib import Path

from infra.native import brokers
from infra.native.artifacts import class_path
from infra.native.java import java
from infra.native.paths import INFRA, ROOT, data, run
from infra.native.ports import endpoints

LOGGING = f"-Dlog4j2.configurationFile={(INFRA / 'kafka' / 'log4j2.properties').as_uri()}"


def command(node: int) -> list[str]:
    """The command that starts a broker; its storage is formatted at the first start."""
    name = brokers.names(node)[-1]
    config = run() / f"{name}.properties"
    config.write_text(properties(node, data(name)))
    _format_once(config, data(name))
    heap = ("-Xms256m", "-Xmx512m")
    return java(*heap, LOGGING, "-cp", class_path("kafka"), "kafka.Kafka", str(config))


def properties(node: int, directory: Path) -> str:
    """The common settings, those of three nodes if there are three, this node's own; the last line of a key wins."""
    names = brokers.names(max(node, brokers.count()))
    client, controller = endpoints(names[node - 1])
    voters = ",".join(f"{number}@{endpoints(name)[1]}" for number, name in enumerate(names, 1))
    files = ["server.properties", *(["three.properties"] if len(names) > 1 else [])]
    return (
        "".join((INFRA / "kafka" / file).read_text() for file in files)
        + f"\n# this machine\nnode.id={node}\nlisteners=PLAINTEXT://{client},CONTROLLER://{controller}\n"
        + f"advertised.listeners=PLAINTEXT://{client}\n"
        + f"controller.quorum.voters={voters}\nlog.dirs={escaped(str(directory / 'log'))}\n"
    )


def escaped(value: str) -> str:
    """A value for a .properties file: Java reads it as Latin-1, with the same escapes as JSON."""
    return json.dumps(value)[1:-1]


def _format_once(config: Path, directory: Path) -> None:
    done = directory / brokers.FORMATTED
    if done.exists():
        return
    # Without this file nothing was ever served from here: what is there is an unfinished format.
    shutil.rmtree(directory / "log", ignore_errors=True)
    # The same for all brokers of this stack, another one than any other stack's: they refuse each other.
    identity = uuid.uuid5(uuid.NAMESPACE_URL, ROOT.as_uri()).bytes
    cluster = base64.urlsafe_b64encode(b"\0" + identity[1:]).decode().rstrip("=")
    tool = ("-XX:TieredStopAtLevel=1", LOGGING, "-cp", class_path("kafka"), "kafka.tools.StorageTool")
    subprocess.run(java(*tool, "format", "-t", cluster, "-c", str(config)), check=True)
    done.touch()
