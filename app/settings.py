"""Every setting: name (the environment variable), default, unit, why. Read once, validated, printed at start."""

from __future__ import annotations

import re
import sys
from functools import lru_cache
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

Port = Annotated[int, Field(ge=1, le=65535)]
Seconds = Annotated[float, Field(gt=0, le=600)]


class Settings(BaseSettings):
    """The app's settings, from environment variables of the same names in capitals."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True)

    # Where the neighbours are
    kafka_brokers: str = Field(
        "127.0.0.1:9092", description="Kafka bootstrap servers, host:port, comma separated"
    )
    schema_registry_url: str = Field(
        "http://127.0.0.1:8081/apis/ccompat/v7", description="Schema Registry, Confluent API"
    )
    cassandra_hosts: str = Field(
        "127.0.0.1,127.0.0.2,127.0.0.3", description="contact points, comma separated"
    )
    cassandra_port: Port = Field(9042, description="CQL port of every node")
    cassandra_replication: int = Field(3, ge=1, le=9, description="replication factor of a keyspace we make")
    redis_url: str = Field("redis://127.0.0.1:6379/0", description="Redis of the read model")
    antifraud_address: str = Field("127.0.0.1:5005", description="Envoy in front of the antifraud replicas")

    # What we listen on
    listen_host: str = Field("127.0.0.1", description="web server's address; 0.0.0.0 in containers")
    web_port: Port | None = Field(
        None, description="web server's port; by default bff and main 5001, transactions 5002"
    )

    # Topics
    topic_partitions: int = Field(4, ge=1, le=1000, description="partitions of topics we make")
    topic_replication: int = Field(
        1, ge=1, le=9, description="replicas of topics we make; 3 on a real cluster"
    )

    # How long we wait
    publish_timeout: Seconds = Field(
        1.8, description="seconds from a POST's body to 503 when Kafka does not answer: within a client's 2"
    )
    tell_timeout: Seconds = Field(5, description="seconds for one try to tell a batch of statuses")
    assess_timeout: Seconds = Field(
        2, description="seconds for one assessment call, Envoy's retries included"
    )
    assess_patience: Seconds = Field(
        5, description="seconds of retries before antifraud counts as unavailable"
    )
    cassandra_timeout: Seconds = Field(5, description="seconds for one write or read of the worker")
    read_timeout: Seconds = Field(1, description="seconds a GET may wait for Cassandra")
    redis_timeout: Seconds = Field(
        0.25, description="seconds a call of a GET may wait for Redis before Cassandra is asked"
    )
    idempotency_timeout: Seconds = Field(
        2, description="seconds a POST with an Idempotency-Key waits for Cassandra before 503"
    )
    idempotency_lease: Seconds = Field(
        10,
        description="seconds until another bff finishes what one that died began; more than a POST may take",
    )
    drain_timeout: Seconds = Field(
        8, description="seconds for work in flight to end at a stop or a rebalance"
    )
    retry_most: Seconds = Field(
        5, description="most seconds between two tries of a step that fails; starts at 0.05"
    )

    idle_timeout: Seconds = Field(
        75, description="seconds a connection may be idle: longer than the 60 of common load balancers"
    )
    body_timeout: Seconds = Field(5, description="seconds for a request's body; beyond: 408")
    stuck_after: Seconds = Field(
        60,
        description="seconds without a move before liveness fails; an honest try takes up to 40",
    )

    # What is bounded
    batch_size: int = Field(2000, ge=1, le=5000, description="most transactions decided at a time")
    posts_in_flight: int = Field(
        2000, ge=1, le=100_000, description="records waiting for Kafka's ack; beyond: 503"
    )
    body_limit: int = Field(
        16_384, ge=1024, le=1_048_576, description="bytes of a request's body; beyond: 413"
    )
    connections_most: int = Field(
        800, ge=10, le=100_000, description="clients' connections; below the limit of open files (ulimit -n)"
    )
    page_limit: int = Field(1000, ge=100, le=10_000, description="most transactions in one page of GET")
    recent_transactions: int = Field(
        10_000, ge=1000, le=1_000_000, description="newest transactions kept in Redis"
    )

    dead_letters_in_a_row: int = Field(
        100, ge=1, le=2**31, description="most dead letters of a partition in a row; beyond: held"
    )
    dead_letters_share: float = Field(
        0.5, gt=0, le=1, description="most of the last 1,000 records that may be dead letters; beyond: held"
    )

    # What is decided when nobody can be asked, and what is logged
    when_antifraud_is_down: Literal["reject", "hold"] = Field(
        "reject", description="reject (reason antifraud_unavailable, as the old system) or hold as pending"
    )
    log_each_transaction: bool = Field(False, description="a log line a transaction even above 10 a second")

    @field_validator("kafka_brokers", "cassandra_hosts")
    @classmethod
    def _without_blanks(cls, names: str) -> str:
        found = [name.strip() for name in names.split(",") if name.strip()]
        if not found:
            raise ValueError("names nobody")
        return ",".join(found)

    @field_validator("redis_url", "schema_registry_url")
    @classmethod
    def _a_url(cls, url: str) -> str:
        try:
            _ = urlsplit(url).port
        except ValueError:
            # Without the parser's own words, which may be a piece of the password.
            raise ValueError("is not a URL; in a password / is %2F, @ is %40, : is %3A") from None
        return url


@lru_cache
def settings() -> Settings:
    """The settings, read once; a wrong value ends the process with one line that names its variable."""
    try:
        return Settings()
    except ValidationError as exc:
        reasons = "; ".join(
            f"{str(e['loc'][0]).upper()}: {e['msg']}{_hint(e['input'])}" for e in exc.errors()
        )
        sys.exit(f"Wrong setting: {reasons} (see app/settings.py)")


def _hint(value: object) -> str:
    """Kubernetes sets, for a service called cassandra, CASSANDRA_PORT=tcp://10.0.0.7:9042."""
    is_link = isinstance(value, str) and value.startswith("tcp://")
    return (
        ", and this is a link of Kubernetes (enableServiceLinks: false in the pod leaves them out)"
        if is_link
        else ""
    )


def described(values: Settings) -> str:
    """One line with every setting that differs from its default, for the log at start; no password of a URL."""
    defaults = {name: field.default for name, field in Settings.model_fields.items()}
    changed = {name: value for name, value in values.model_dump().items() if value != defaults[name]}
    text = ", ".join(f"{name.upper()}={without_secrets(str(value))}" for name, value in changed.items())
    return text or "all at their defaults"


def without_secrets(url: str) -> str:
    """A URL for a log or an error: without who asks, a password, or what stands behind a question mark."""
    return re.sub(r"\?.*", "?***", re.sub(r"//.*@", "//***@", url))
