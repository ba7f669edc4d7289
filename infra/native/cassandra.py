"""Apache Cassandra: three nodes, each with a loopback address of its own."""

import json
from string import Template

from infra.native import brokers, secure
from infra.native.artifacts import class_path, locked
from infra.native.java import QUICK_COMPILER, java
from infra.native.paths import INFRA, data, run
from infra.native.ports import endpoints, setting

NODES = (1, 2, 3)
#: Not ten seconds after the start.
SUPERUSER_AT_ONCE = "-Dcassandra.superuser_setup_delay_ms=0"
FOLDERS = ("data", "commitlog", "saved_caches", "hints", "cdc_raw")


def command(number: int) -> list[str]:
    """The command that starts the node."""
    name = f"cassandra-{number}"
    config = run() / f"{name}.yaml"
    config.write_text(settings(number))
    secured = [SUPERUSER_AT_ONCE, f"-Dcassandra.system_auth.default_rf={replication()}"]
    # With three brokers there are six of Java, to be killed and restarted, and two cores may be all there are.
    quick = [QUICK_COMPILER] if brokers.count() > 1 else []
    agent = next(artifact.path for artifact in locked("cassandra") if artifact.name == "jamm")
    return java(
        *quick,
        f"@{INFRA / 'cassandra' / 'jvm.options'}",
        f"-javaagent:{agent}",
        f"-Dlogback.configurationFile={(INFRA / 'cassandra' / 'logback.xml').as_uri()}",
        f"-Dcassandra.config={config.as_uri()}",
        f"-Dcassandra-rackdc.properties={(INFRA / 'cassandra' / 'cassandra-rackdc.properties').as_uri()}",
        f"-Dcassandra.storagedir={data(name)}",
        f"-Djava.io.tmpdir={data(name)}",
        "-Dcassandra-foreground=yes",
        *(secured if secure.is_on() else []),
        "-cp",
        class_path("cassandra"),
        "org.apache.cassandra.service.CassandraDaemon",
    )


def settings(number: int) -> str:
    """This node's cassandra.yaml."""
    client, storage = endpoints(f"cassandra-{number}")
    files = ["cassandra.yaml", *(["secure.yaml"] if secure.is_on() else [])]
    return Template("".join((INFRA / "cassandra" / file).read_text() for file in files)).substitute(
        token=token(number),
        host=client.host,
        port=client.port,
        storage_port=storage.port,
        seeds=",".join(str(endpoints(f"cassandra-{node}")[1]) for node in NODES),
        # JSON's strings are YAML's
        both=json.dumps(str(secure.both())),
        trusted=json.dumps(str(secure.trusted())),
        **{folder: json.dumps(str(data(f"cassandra-{number}") / folder)) for folder in FOLDERS},
    )


def replication() -> int:
    """On how many nodes the roles are: as many as the rows."""
    return int(setting("CASSANDRA_REPLICATION", "3"))


def token(number: int) -> int:
    """Where the node's third of the ring ends."""
    return -(2**63) + (number - 1) * (2**64 // len(NODES))
