"""Every setting: name, default, unit, why. Read once from the environment, validated, printed at start."""

from __future__ import annotations

import os
import re
import sys
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

Port = Annotated[int, Field(ge=1, le=65535)]
Seconds = Annotated[float, Field(gt=0, le=600)]


PREFIX = "PAYMENTS_"
#: What settings were called before, without the prefix; read for one more release.
FORMER = {
    "status_publish_timeout": "TELL_TIMEOUT",
    "antifraud_retry_timeout": "ASSESS_PATIENCE",
    "max_retry_pause": "RETRY_MOST",
    "liveness_timeout": "STUCK_AFTER",
    "max_in_flight_posts": "POSTS_IN_FLIGHT",
    "max_connections": "CONNECTIONS_MOST",
    "max_dead_letters_in_a_row": "DEAD_LETTERS_IN_A_ROW",
    "max_dead_letters_share": "DEAD_LETTERS_SHARE",
    "antifraud_unavailable_policy": "WHEN_ANTIFRAUD_IS_DOWN",
}


#: Settings that count only together.
PAIRS = (
    ("kafka_username", "kafka_password"),
    ("cassandra_username", "cassandra_password"),
    ("tls_client_certificate", "tls_client_key"),
)


class WrongSecretFile(Exception):
    """The file that should hold a secret cannot be used; the text names the setting and never says what is in it."""


class Settings(BaseSettings):
    """The app's settings. RECENT_TRANSACTIONS is read from PAYMENTS_RECENT_TRANSACTIONS, else from the bare name."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, extra="ignore", env_ignore_empty=True, hide_input_in_errors=True
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The first one that has a value counts."""
        bare = EnvSettingsSource(settings_cls, env_prefix="")
        former = {name: value for name, variable in FORMER.items() if (value := os.environ.get(variable))}
        files = InitSettingsSource(settings_cls, _secrets_in_files(settings_cls))
        return init_settings, env_settings, bare, files, InitSettingsSource(settings_cls, former)

    # Where the dependencies are
    kafka_brokers: str = Field(
        "127.0.0.1:9092", description="Kafka bootstrap servers, host:port, comma separated"
    )
    schema_registry_url: SecretStr = Field(
        SecretStr("http://127.0.0.1:8081/apis/ccompat/v7"), description="Schema Registry, Confluent API"
    )
    cassandra_hosts: str = Field(
        "127.0.0.1,127.0.0.2,127.0.0.3", description="contact points, comma separated"
    )
    cassandra_port: Port = Field(9042, description="CQL port of every node")
    cassandra_replication: int = Field(3, ge=1, le=9, description="replication factor of a keyspace we make")
    redis_url: SecretStr = Field(SecretStr("redis://127.0.0.1:6379/0"), description="Redis of the read model")
    antifraud_address: str = Field("127.0.0.1:5005", description="Envoy in front of the antifraud replicas")
    envoy_admin_address: str = Field(
        "127.0.0.1:9901", description="Envoy's admin interface, which says how each replica is"
    )

    # Who we are to them, and how we know them (docs/security.md, "Between the parts"). Each that is a secret is also
    # read from the file that KAFKA_PASSWORD_FILE, REDIS_URL_FILE and so on name. Redis and the registry: in their URLs.
    kafka_tls: bool = Field(False, description="1: TLS to Kafka")
    kafka_username: str = Field(
        "", description="who we are to Kafka, by SCRAM-SHA-512; empty: it does not ask"
    )
    kafka_password: SecretStr = Field(SecretStr(""), description="password of kafka_username")
    cassandra_tls: bool = Field(False, description="1: TLS to Cassandra")
    cassandra_username: str = Field("", description="our role in Cassandra; empty: it does not ask")
    cassandra_password: SecretStr = Field(SecretStr(""), description="password of cassandra_username")
    antifraud_tls: bool = Field(False, description="1: TLS to Envoy, and to a replica that is asked directly")
    tls_ca: str = Field(
        "", description="PEM file of the authorities whose certificates we accept; empty: this machine's"
    )
    tls_client_certificate: str = Field(
        "", description="PEM file of the certificate, with its chain, that we present to whoever asks for one"
    )
    tls_client_key: str = Field("", description="PEM file of that certificate's private key")

    # What we listen on
    listen_host: str = Field("127.0.0.1", description="web server's address; 0.0.0.0 in containers")
    web_port: Port | None = Field(
        None, description="web server's port; by default bff and main 5001, transactions 5002"
    )

    cors_origins: str = Field(
        "",
        description="other sites whose pages may call this API in a browser: origins (https://shop.example), comma "
        "separated, or *",
    )

    # Who may call (docs/security.md)
    tokens_file: str = Field(
        "",
        description="file of the API's tokens, one a line: name, scopes, SHA-256; read again when it changes; empty: "
        "no call needs a token",
    )
    rate_limit: Annotated[float, Field(gt=0, le=1_000_000)] | None = Field(
        None, description="requests a second of one token; beyond: 429; not set: no limit"
    )
    rate_limit_burst: int = Field(
        20, ge=1, le=1_000_000, description="requests at once of a token that has paused"
    )
    tls_certificate: str = Field(
        "", description="PEM file of the web server's certificate and its chain; empty: plain HTTP"
    )
    tls_key: str = Field("", description="PEM file of the certificate's private key; both are read again")
    management_host: str = Field("127.0.0.1", description="address of management_port; plain HTTP, no tokens")
    management_port: Port | None = Field(
        None, description="port for metrics, readiness and documents; not set: they are on the web port"
    )
    allow_insecure: Literal["", "tls", "1"] = Field(
        "",
        description="start although other machines reach it: 1 without tokens and TLS, tls without TLS, which a proxy "
        "in front has",
    )

    # Topics
    topic_partitions: int = Field(4, ge=1, le=1000, description="partitions of topics we make")
    topic_replication: int = Field(
        1, ge=1, le=9, description="replicas of topics we make; 3 on a real cluster"
    )

    # What is on this machine's disk
    history_dir: str = Field(
        "",
        description="folder for snapshots of customers' histories; empty: an assignment reads the log from its "
        "beginning",
    )

    # How long we wait
    publish_timeout: Seconds = Field(
        1.8, description="seconds from a POST's body to 503 when Kafka does not answer: within a client's 2"
    )
    status_publish_timeout: Seconds = Field(
        5, description="seconds for one try to publish a batch of statuses"
    )
    assess_timeout: Seconds = Field(
        2, description="seconds for one assessment call, Envoy's retries included"
    )
    antifraud_retry_timeout: Seconds = Field(
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
    max_retry_pause: Seconds = Field(
        5, description="maximum seconds between two tries of a failing step; starts at 0.05"
    )

    idle_timeout: Seconds = Field(
        75, description="seconds a connection may be idle: longer than the 60 of common load balancers"
    )
    body_timeout: Seconds = Field(5, description="seconds for a request's body; beyond: 408")
    liveness_timeout: Seconds = Field(
        60,
        description="seconds without progress before liveness fails; one attempt may legitimately take up to 40",
    )

    # What is bounded
    # Twice as many may come together, and antifraud takes 5,000 in a call.
    batch_size: int = Field(
        2000, ge=1, le=2500, description="maximum transactions of a batch that is decided"
    )
    max_in_flight_posts: int = Field(
        2000, ge=1, le=100_000, description="records waiting for Kafka's ack; beyond: 503"
    )
    body_limit: int = Field(
        16_384, ge=1024, le=1_048_576, description="bytes of a request's body; beyond: 413"
    )
    max_connections: int = Field(
        800, ge=10, le=100_000, description="clients' connections; below the limit of open files (ulimit -n)"
    )
    max_event_clients: int = Field(
        500, ge=1, le=100_000, description="clients that listen to events; beyond: 503; below max_connections"
    )
    page_limit: int = Field(1000, ge=100, le=10_000, description="maximum transactions in one page of GET")
    recent_transactions: int = Field(
        10_000, ge=1000, le=1_000_000, description="newest transactions kept in Redis"
    )

    max_dead_letters_in_a_row: int = Field(
        100, ge=1, le=2**31, description="maximum consecutive dead letters of a partition; beyond: held"
    )
    max_dead_letters_share: float = Field(
        0.5,
        gt=0,
        le=1,
        description="maximum share of the last 1,000 records that may be dead letters; beyond: held",
    )

    # What is decided when nobody can be asked, and what is logged
    antifraud_unavailable_policy: Literal["reject", "hold"] = Field(
        "reject", description="reject (reason antifraud_unavailable, as the old system) or hold as pending"
    )
    log_format: Literal["text", "json"] = Field(
        "text", description="log lines for people, or JSON objects for those who collect them"
    )
    log_customer_data: bool = Field(
        True,
        description="0: texts that may quote what a client sent are left out of the log (docs/security.md)",
    )
    log_each_transaction: bool = Field(
        False, description="one log line per transaction even above 10 per second"
    )
    trace_url: str = Field(
        "", description="page of a trace, with {trace_id} in it; make up WITH=traces sets it (docs/traces.md)"
    )

    @field_validator("kafka_brokers", "cassandra_hosts")
    @classmethod
    def _without_blanks(cls, names: str) -> str:
        found = [name.strip() for name in names.split(",") if name.strip()]
        if not found:
            raise ValueError("names nobody")
        return ",".join(found)

    @field_validator("cors_origins")
    @classmethod
    def _origins(cls, origins: str) -> str:
        found = [origin.strip() for origin in origins.split(",") if origin.strip()]
        for origin in found:
            # As browsers send it: they add no slash, and leave out the scheme's own port.
            if origin != "*" and not re.fullmatch(r"https?://[a-z0-9.:\[\]-]+", origin):
                raise ValueError(
                    f"{origin!r} is not an origin, as https://shop.example or http://localhost:3000"
                )
        return ",".join(found)

    @field_validator("redis_url", "schema_registry_url")
    @classmethod
    def _a_url(cls, url: SecretStr) -> SecretStr:
        try:
            _ = urlsplit(url.get_secret_value()).port
        except ValueError:
            # Without the parser's own words, which may be a piece of the password.
            raise ValueError("is not a URL; in a password / is %2F, @ is %40, : is %3A") from None
        return url

    @model_validator(mode="after")
    def _whole_pairs(self) -> Settings:
        for pair in PAIRS:
            missing = [name for name in pair if not _plain(getattr(self, name))]
            if len(missing) == 1:
                (other,) = set(pair) - set(missing)
                raise ValueError(
                    f"{other.upper()} is set and {missing[0].upper()} is not: they belong together"
                )
        return self


@lru_cache
def settings() -> Settings:
    """The settings, read once; a wrong value ends the process with one line that names its variable."""
    try:
        return Settings()
    except ValidationError as exc:
        reasons = "; ".join(
            f"{_variable(str(e['loc'][0]))}: {e['msg']}{_hint(e['input'])}" if e["loc"] else e["msg"]
            for e in exc.errors()
        )
        sys.exit(f"Wrong setting: {reasons} (see app/settings.py)")
    except WrongSecretFile as exc:
        sys.exit(f"Wrong setting: {exc} (see app/settings.py)")


def _secrets_in_files(of: type[BaseSettings]) -> dict[str, str]:
    """The secrets that files hold, as Docker and Kubernetes give them; WrongSecretFile."""
    found = {}
    for name, field in of.model_fields.items():
        variables = PREFIX + name.upper(), name.upper()
        by_file = next((f"{one}_FILE" for one in variables if os.environ.get(f"{one}_FILE")), None)
        if field.annotation is not SecretStr or by_file is None:
            continue
        if said := next((one for one in variables if os.environ.get(one)), None):
            raise WrongSecretFile(f"{said} and {by_file} are both set: keep one of them")
        path = Path(os.environ[by_file])
        try:
            found[name] = path.read_text().rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as exc:
            raise WrongSecretFile(f"{by_file} {path} cannot be read: {type(exc).__name__}") from exc
        if not found[name]:
            raise WrongSecretFile(f"{by_file} {path} is empty")
    return found


def _plain(value: object) -> object:
    return value.get_secret_value() if isinstance(value, SecretStr) else value


def _variable(name: str) -> str:
    """The environment variable that a setting's value came from."""
    both = PREFIX + name.upper(), name.upper()
    names = *both, *(f"{one}_FILE" for one in both), FORMER.get(name, "")
    return next((one for one in names if os.environ.get(one)), names[0])


def _hint(value: object) -> str:
    """Kubernetes sets, for a service called cassandra, CASSANDRA_PORT=tcp://10.0.0.7:9042."""
    is_link = isinstance(value, str) and value.startswith("tcp://")
    return (
        ", and this is a link of Kubernetes (enableServiceLinks: false in the pod leaves them out)"
        if is_link
        else ""
    )


def described(values: Settings) -> str:
    """One line with every setting that differs from its default, for the log at start; no password."""
    defaults = {name: field.default for name, field in Settings.model_fields.items()}
    changed = {name: value for name, value in values.model_dump().items() if value != defaults[name]}
    shown = {
        name: "***" if isinstance(value, SecretStr) and not name.endswith("_url") else without_secrets(value)
        for name, value in changed.items()
    }
    text = ", ".join(f"{PREFIX}{name.upper()}={value}" for name, value in shown.items())
    return text or "all at their defaults"


def without_secrets(value: object) -> str:
    """A setting for a log or an error: a URL without who asks, a password, or what stands behind a question mark."""
    url = value.get_secret_value() if isinstance(value, SecretStr) else str(value)
    return re.sub(r"\?.*", "?***", re.sub(r"//.*@", "//***@", url))
