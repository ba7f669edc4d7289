"""What docker-compose.secure.yml mounts, in .stack/compose: an authority, certificates for a year, and passwords.

`python3 -m infra.containers.secure` makes it; where it is, new certificates alone. It needs the program openssl.
"""

from __future__ import annotations

import secrets
from pathlib import Path

from infra.native.certificates import authority, certificate

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ".stack" / "compose"
DAYS = 365
LAST = "users.properties"  # of what has passwords: an earlier try may have ended before
#: Who the workers are to Kafka, ScyllaDB, Redis and the registry, and the broker to itself.
USER, BROKER = "payments", "broker"
#: ScyllaDB's nodes are reached by these addresses too, which docker-compose.secure.yml gives them.
ADDRESSES = ("10.231.91.11", "10.231.91.12", "10.231.91.13")
#: By which each server is called, in the containers' network and from this machine. Envoy looks for `antifraud`.
NAMES = (
    *("kafka", "registry", "redis", "envoy", "antifraud", "antifraud-1", "antifraud-2"),
    *("scylla-1", "scylla-2", "scylla-3", *ADDRESSES),
    *("localhost", "127.0.0.1", "127.0.0.2", "127.0.0.3"),
)
SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule required"
#: Behind the settings of infra/kafka: as docker-compose.yml has them, with names and TLS on both listeners. The
#: controller, whom nobody else asks, is on the container's loopback, by a name that is in the certificate.
KAFKA = """
listeners=SASL_SSL://0.0.0.0:19092,HOST://0.0.0.0:9092,CONTROLLER://localhost:9093
advertised.listeners=SASL_SSL://kafka:19092,HOST://127.0.0.1:9092
listener.security.protocol.map=SASL_SSL:SASL_SSL,HOST:SASL_SSL,CONTROLLER:SSL
controller.quorum.voters=1@localhost:9093
log.dirs=/var/lib/kafka/data/log
ssl.keystore.location=/run/secrets/server-with-key.pem
ssl.truststore.location=/run/secrets/authority.pem
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config={login} username="{broker}" password="{password}";
listener.name.host.scram-sha-512.sasl.jaas.config={login};
"""
REGISTRY = """quarkus.http.auth.basic=true
quarkus.http.auth.permission.all.paths=/*
quarkus.http.auth.permission.all.policy=authenticated
quarkus.security.users.embedded.plain-text=true
quarkus.security.users.embedded.users.{user}={password}
quarkus.security.users.embedded.roles.{user}=user
"""
CQLSH = """[connection]
hostname = scylla-1
ssl = true
[ssl]
certfile = /run/secrets/authority.pem
validate = true
"""


def make(folder: Path = FOLDER) -> None:
    """All of it. Passwords that there are stay: the servers have them in their data."""
    texts = {} if (folder / LAST).exists() else _passwords()
    # The containers' users are others than this one, so each file is readable; the folder, on this machine, is not.
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    ours = authority(folder, days=DAYS)
    server = certificate(ours, folder, "server", DAYS, NAMES)
    certificate(ours, folder, "client", DAYS, [USER])
    texts["server-with-key.pem"] = server.key.read_text() + server.certificate.read_text()
    for name, text in texts.items():
        (folder / name).write_text(text)
    for file in folder.iterdir():
        file.chmod(0o644)
    ours.key.chmod(0o600)  # no container's


def _passwords() -> dict[str, str]:
    kafka, broker, cassandra, superuser, redis, registry = (secrets.token_hex(24) for _ in range(6))
    settings = "".join(
        (ROOT / "infra/kafka" / name).read_text() for name in ("server.properties", "secure.properties")
    )
    return {
        "kafka": kafka,
        "kafka.properties": settings + KAFKA.format(login=SCRAM, broker=BROKER, password=broker),
        "kafka.users": "".join(
            f"SCRAM-SHA-512=[name={name},password={password}]\n"
            for name, password in ((USER, kafka), (BROKER, broker))
        ),
        "cassandra": cassandra,
        "roles.cql": f"CREATE ROLE {USER} WITH PASSWORD = '{cassandra}' AND LOGIN = true;\n"
        f"ALTER ROLE cassandra WITH PASSWORD = '{superuser}';\n",
        "cqlshrc": CQLSH,
        "redis-url": f"rediss://{USER}:{redis}@redis:6379/0",
        "redis.acl": f"user default off\nuser {USER} on >{redis} ~* &* +@all\n",
        "registry-url": f"https://{USER}:{registry}@registry:8081/apis/ccompat/v7",
        LAST: REGISTRY.format(user=USER, password=registry),
    }


if __name__ == "__main__":
    make()
