"""`make up SECURE=1`: an authority, certificates and passwords of this stack's own. They belong to its data.

What the parts and the commands must know is in a file of shell lines, which the Makefile reads as well.
"""

from __future__ import annotations

import os
import secrets
import shlex
import ssl
from pathlib import Path
from urllib.parse import urlsplit

from infra.native import ports
from infra.native.brokers import FORMATTED
from infra.native.certificates import LOOPBACK, Pair, authority, certificate, lasts
from infra.native.paths import DATA, SECURE
from infra.native.wheels import binary

#: Who the workers are to Kafka, Cassandra, Redis and the registry, and the brokers to each other.
USER, BROKER = "payments", "broker"
DAYS = 365
RENEWED_BEFORE = 30  # days
#: The name of all replicas, for which the bff asks each (app/system/probes.py).
REPLICAS = "antifraud"
SETTINGS = SECURE / "environment"


def is_on() -> bool:
    """Whether these data are of a secured stack."""
    return SETTINGS.exists()


def decide(wanted: bool, *, is_up: bool = False) -> None:
    """Make what is missing, before the first start; SystemExit when the data are of a stack without it.

    Certificates that soon expire are made anew, unless parts that know the old ones are up.
    """
    if is_on() and not is_up and not lasts(server().certificate, RENEWED_BEFORE):
        _make_certificates()
        print(f"the stack's certificates had less than {RENEWED_BEFORE} days left: there are new ones")
    if not wanted or is_on():
        return
    if (DATA / "kafka" / FORMATTED).exists():
        raise SystemExit(
            "the data are of a stack without passwords; begin with new ones: make clean, then make up SECURE=1"
        )
    SECURE.mkdir(mode=0o700, parents=True, exist_ok=True)
    _make_certificates()
    for name in ("kafka", "broker", "cassandra", "cassandra-superuser", "redis", "registry"):
        write_private(SECURE / f"{name}.password", secrets.token_hex(24))
    _write_settings()


def environment() -> dict[str, str]:
    """The settings of every part and command; none where the stack is not secured."""
    if not is_on():
        return {}
    words = (word for line in SETTINGS.read_text().splitlines() for word in shlex.split(line)[1:])
    return dict(word.split("=", 1) for word in words)


def password(name: str) -> str:
    """One of the stack's."""
    return (SECURE / f"{name}.password").read_text()


def server() -> Pair:
    """The certificate of every server."""
    return Pair(SECURE / "server.pem", SECURE / "server.key")


def worker() -> Pair:
    """The certificate of the workers, and of Envoy to the replicas."""
    return Pair(SECURE / "worker.pem", SECURE / "worker.key")


def trusted() -> Path:
    """The authority's certificate."""
    return SECURE / "authority.pem"


def both() -> Path:
    """The servers' key and certificate in one file, as Java's servers read them."""
    return SECURE / "server-with-key.pem"


def context() -> ssl.SSLContext:
    """As a worker speaks TLS."""
    made = ssl.create_default_context(cafile=trusted())
    made.load_cert_chain(worker().certificate, worker().key)
    return made


def cqlsh() -> list[str]:
    """What cqlsh must know; nothing where the stack is not secured."""
    if not is_on():
        return []
    config = SECURE / "cqlshrc"
    ssl_section = f"[ssl]\ncertfile = {trusted()}\nvalidate = true\n"
    login = f"[PlainTextAuthProvider]\nusername = {USER}\npassword = {password('cassandra')}\n"
    provider = "[auth_provider]\nmodule = cassandra.auth\nclassname = PlainTextAuthProvider\n"
    credentials = SECURE / "cqlsh-credentials"
    write_private(config, f"{ssl_section}{provider}username = {USER}\n")
    write_private(credentials, login)
    return ["--ssl", "--cqlshrc", str(config), "--credentials", str(credentials)]


def redis_has_tls() -> bool:
    """Whether this machine's Redis was built with it: the wheel's was not."""
    return b"tls-cert-file" in binary("redis").read_bytes()


def write_private(path: Path, text: str) -> None:
    """A file that its owner alone can read, from its first byte on."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)


def _make_certificates() -> None:
    ours = authority(SECURE, days=DAYS)
    hosts = {endpoint.host: None for found in ports.table().values() for endpoint in found}
    certificate(ours, SECURE, "server", DAYS, dict.fromkeys([*LOOPBACK, *hosts, REPLICAS]))
    certificate(ours, SECURE, "worker", DAYS)
    write_private(both(), server().key.read_text() + server().certificate.read_text())


def _write_settings() -> None:
    redis, registry = ports.endpoints("redis")[0], ports.endpoints("registry")[0]
    scheme = "rediss" if redis_has_tls() else "redis"
    path = urlsplit(ports.registry_url()).path
    write_private(SECURE / "redis.url", f"{scheme}://{USER}:{password('redis')}@{redis}/0")
    write_private(SECURE / "registry.url", f"https://{USER}:{password('registry')}@{registry}{path}")
    settings = {
        "KAFKA_TLS": "1",
        "KAFKA_USERNAME": USER,
        "KAFKA_PASSWORD_FILE": SECURE / "kafka.password",
        "CASSANDRA_TLS": "1",
        "CASSANDRA_USERNAME": USER,
        "CASSANDRA_PASSWORD_FILE": SECURE / "cassandra.password",
        "REDIS_URL_FILE": SECURE / "redis.url",
        "SCHEMA_REGISTRY_URL_FILE": SECURE / "registry.url",
        "ANTIFRAUD_TLS": "1",
        "TLS_CA": trusted(),
        "TLS_CLIENT_CERTIFICATE": worker().certificate,
        "TLS_CLIENT_KEY": worker().key,
        "ANTIFRAUD_TLS_CERTIFICATE": server().certificate,
        "ANTIFRAUD_TLS_KEY": server().key,
        "ANTIFRAUD_TLS_CA": trusted(),
    }
    lines = (f"export {name}={shlex.quote(str(value))}\n" for name, value in settings.items())
    write_private(SETTINGS, "".join(lines))
