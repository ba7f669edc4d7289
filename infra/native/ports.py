"""The one table of process names, hosts and ports, for servers, readiness probes, launcher and tests."""

import os
import re
import socket
from typing import NamedTuple
from urllib.parse import urlsplit

from infra.native.paths import BROKERS
from infra.native.wording import WrongWord

#: What lies between the ports of a part and those of a further one of its kind: bff 5001, bff-2 5011.
APART = 10


class Endpoint(NamedTuple):
    """An address a process listens on."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


def numbered(name: str, count: int) -> list[str]:
    """So many parts of a kind: the first one has the plain name, the others a number."""
    return [name, *(f"{name}-{number}" for number in range(2, count + 1))]


def further(name: str) -> tuple[str, int] | None:
    """The kind and the number of a part that is not the first of its kind; None for any other."""
    found = re.fullmatch(r"(kafka|bff|transactions)-(\d+)", name)
    return (found[1], int(found[2])) if found else None


def endpoints(name: str) -> tuple[Endpoint, ...]:
    """All addresses of a process, the one for its clients first; none for a name that is not in the table."""
    if found := further(name):
        return tuple(_moved(one, found[1]) for one in endpoints(found[0]))
    return table().get(name, ())


def management(name: str) -> Endpoint | None:
    """A worker's address for metrics, readiness and documents, if they have one of their own.

    The setting is the bff's; the transactions worker has the next one, as with their web ports.
    """
    port = setting("MANAGEMENT_PORT")
    if not port.isdecimal():
        return None
    kind, number = further(name) or (name, 1)
    first = Endpoint(setting("MANAGEMENT_HOST", "127.0.0.1"), int(port) + (kind == "transactions"))
    return _moved(first, number)


def _moved(first: Endpoint, number: int) -> Endpoint:
    return first._replace(port=first.port + APART * (number - 1))


def setting(name: str, default: str = "") -> str:
    """A setting as the app reads it: with its prefix, else without; empty counts as not set."""
    return os.environ.get(f"PAYMENTS_{name}") or os.environ.get(name) or default


def kafka_brokers() -> str:
    """The brokers' addresses."""
    return setting("KAFKA_BROKERS", BROKERS.read_text() if BROKERS.exists() else "127.0.0.1:9092")


def registry_url() -> str:
    """The schema registry's Confluent API."""
    return setting("SCHEMA_REGISTRY_URL", "http://127.0.0.1:8081/apis/ccompat/v7")


def table() -> dict[str, tuple[Endpoint, ...]]:
    """Process name -> its addresses, from the environment where it names them."""
    kafka = _host_port(setting("KAFKA_BROKERS").split(",")[0], 9092)
    envoy = _host_port(setting("ANTIFRAUD_ADDRESS"), 5005)
    bff, antifraud = _url("BFF_URL", 5001), _listen_host("ANTIFRAUD_LISTEN_HOST")
    return {
        "kafka": (kafka, Endpoint(kafka.host, 9093)),
        "registry": (_url("SCHEMA_REGISTRY_URL", 8081),),
        **{f"cassandra-{n}": _cassandra(n) for n in (1, 2, 3)},
        "redis": (_url("REDIS_URL", 6379),),
        # The second one of a replica is for its metrics.
        "antifraud-1": (Endpoint(antifraud, 5004), Endpoint(antifraud, 5014)),
        "antifraud-2": (Endpoint(antifraud, 5003), Endpoint(antifraud, 5013)),
        "envoy": (envoy, Endpoint(envoy.host, 9901)),
        "bff": (bff,),
        "transactions": (Endpoint(_listen_host("LISTEN_HOST"), 5002),),
        "main": (bff,),
        "generator": (),
        "prometheus": (Endpoint("127.0.0.1", int(setting("PROMETHEUS_PORT", "9090"))),),
        "traces": (Endpoint("127.0.0.1", 9411), Endpoint("127.0.0.1", 4318)),  # the page; OTLP
    }


def cassandra_hosts() -> list[str]:
    """The nodes' addresses."""
    hosts = setting("CASSANDRA_HOSTS", "127.0.0.1,127.0.0.2,127.0.0.3")
    return [host.strip() for host in hosts.split(",") if host.strip()]


def cassandra_port() -> int:
    """The CQL port of every node; WrongWord."""
    port = setting("CASSANDRA_PORT", "9042")
    if not port.isdecimal():
        raise WrongWord(f"CASSANDRA_PORT={port} is not a port")
    return int(port)


def _cassandra(number: int) -> tuple[Endpoint, ...]:
    hosts = cassandra_hosts()
    host = hosts[number - 1] if number <= len(hosts) else f"127.0.0.{number}"
    return Endpoint(host, cassandra_port()), Endpoint(host, 7000)


def _listen_host(name: str) -> str:
    host = setting(name, "127.0.0.1")
    return "127.0.0.1" if host in ("0.0.0.0", "::") else host


def _url(variable: str, default_port: int) -> Endpoint:
    parts = urlsplit(setting(variable))
    try:
        return Endpoint(parts.hostname or "127.0.0.1", parts.port or default_port)
    except ValueError:
        raise WrongWord(f"{variable} is not a URL; in a password / is %2F, @ is %40, : is %3A") from None


def _host_port(text: str, default_port: int) -> Endpoint:
    host, colon, port = text.strip().rpartition(":")
    if not colon:
        return Endpoint(port or "127.0.0.1", default_port)
    if not port.isdecimal():
        raise WrongWord(f"{text!r} is no address: say host:port")
    return Endpoint(host or "127.0.0.1", int(port))


def in_use(endpoint: Endpoint) -> bool:
    """Whether somebody listens there already."""
    # Not bind: on some systems it succeeds although somebody listens on all interfaces.
    with socket.socket() as probe:
        probe.settimeout(0.3)
        return probe.connect_ex(endpoint) == 0
