"""How we reach the parts: TLS, and who we say we are, from the settings (docs/security.md, "Between the parts").

Whatever opens a client takes its arguments from here; tests/unit/test_connections.py finds a client that does not.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import time
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from app.certificates import check_pair, load_pair, read_file
from app.errors import WrongFile
from app.settings import Settings

#: The one mechanism that we speak: of those that Kafka keeps passwords for itself, the stronger.
MECHANISM = "SCRAM-SHA-512"
#: Seconds for a look at a port that failed, and for which it counts: a client tries to connect many times a second.
LOOK_WITHIN = 2.0
LOOK_COUNTS = 5.0
#: Seconds in which a server says that it does not accept our certificate: in TLS 1.3 after its handshake has ended.
VERDICT_WITHIN = 0.3


def check(settings: Settings) -> None:
    """Every file that a connection needs can be used; WrongFile, which names the setting."""
    if uses_tls(settings) or settings.tls_ca or settings.tls_client_certificate:
        tls_context(settings)


def uses_tls(settings: Settings) -> bool:
    """Whether we speak TLS to anybody."""
    return (
        settings.kafka_tls
        or settings.cassandra_tls
        or settings.antifraud_tls
        or redis_uses_tls(settings)
        or registry_uses_tls(settings)
    )


def redis_uses_tls(settings: Settings) -> bool:
    """By the URL's scheme."""
    return urlsplit(settings.redis_url.get_secret_value()).scheme == "rediss"


def registry_uses_tls(settings: Settings) -> bool:
    """By the URL's scheme."""
    return urlsplit(settings.schema_registry_url.get_secret_value()).scheme == "https"


@lru_cache(maxsize=8)
def tls_context(settings: Settings) -> ssl.SSLContext:
    """What every TLS connection of ours begins with; WrongFile."""
    return new_context(settings)


def new_context(settings: Settings) -> ssl.SSLContext:
    """One of its own, for a caller that changes it: names are checked, TLS 1.2 and 1.3; WrongFile."""
    context = ssl.create_default_context()
    if settings.tls_ca:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # without this machine's authorities
        read_file("TLS_CA", Path(settings.tls_ca))
        try:
            context.load_verify_locations(settings.tls_ca)
        except ssl.SSLError as exc:
            raise WrongFile(f"TLS_CA {settings.tls_ca} has no certificate in PEM") from exc
    if settings.tls_client_certificate:
        certificate, key = Path(settings.tls_client_certificate), Path(settings.tls_client_key)
        read_file("TLS_CLIENT_CERTIFICATE", certificate)
        read_file("TLS_CLIENT_KEY", key)
        check_pair(f"TLS_CLIENT_CERTIFICATE {certificate} with TLS_CLIENT_KEY {key}", certificate, key)
        load_pair(context, certificate, key)
    return context


def kafka(settings: Settings) -> dict[str, Any]:
    """Arguments of aiokafka's producers, consumers and admin clients."""
    arguments: dict[str, Any] = {"bootstrap_servers": settings.kafka_brokers}
    if settings.kafka_tls:
        arguments |= {"security_protocol": "SSL", "ssl_context": tls_context(settings)}
    if settings.kafka_username:
        arguments |= {
            "security_protocol": "SASL_SSL" if settings.kafka_tls else "SASL_PLAINTEXT",
            "sasl_mechanism": MECHANISM,
            "sasl_plain_username": settings.kafka_username,
            "sasl_plain_password": settings.kafka_password.get_secret_value(),
        }
    return arguments


def redis(settings: Settings) -> dict[str, Any]:
    """Arguments of `Redis.from_url`; an option in the URL itself counts more."""
    arguments: dict[str, Any] = {"url": settings.redis_url.get_secret_value()}
    if redis_uses_tls(settings):
        files = {
            "ssl_ca_certs": settings.tls_ca,
            "ssl_certfile": settings.tls_client_certificate,
            "ssl_keyfile": settings.tls_client_key,
        }
        arguments |= {name: path for name, path in files.items() if path}
    return arguments


def what_is_wrong(host: str, port: int, context: ssl.SSLContext | None, setting: str) -> str | None:
    """Why a connection to this port fails, as far as TLS is the reason; None where it is not.

    For clients that say no more than that nobody is there. `setting` is the one that turns TLS on; `context` what we
    connect with, None without TLS. Blocks for LOOK_WITHIN seconds at most.
    """
    return _of_plain(host, port, setting) if context is None else _of_tls(host, port, context, setting)


def _of_tls(host: str, port: int, context: ssl.SSLContext, setting: str) -> str | None:
    where = f"{host}:{port}"
    try:
        plain = socket.create_connection((host, port), LOOK_WITHIN)
    except OSError:
        return None  # nobody listens: the client says so itself
    with plain:
        try:
            with context.wrap_socket(plain, server_hostname=host) as connection:
                connection.settimeout(VERDICT_WITHIN)
                with contextlib.suppress(TimeoutError):
                    if not connection.recv(1):
                        return f"{where} hangs up after the handshake: see TLS_CLIENT_CERTIFICATE"
        except TimeoutError:
            return f"{where} does not answer in TLS: see {setting}" if _answers_plainly(host, port) else None
        except (OSError, ValueError) as exc:
            return tls_words(exc, where, setting)
    return None


def _answers_plainly(host: str, port: int) -> bool:
    """Redis waits for the end of a line that never comes in a handshake; one that hangs answers nothing at all."""
    try:
        with socket.create_connection((host, port), VERDICT_WITHIN) as plain:
            plain.sendall(b"PING\r\n")
            return bool(plain.recv(1))
    except OSError:
        return False


def _of_plain(host: str, port: int, setting: str) -> str | None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # nothing is sent
    try:
        with (
            socket.create_connection((host, port), LOOK_WITHIN) as plain,
            context.wrap_socket(plain, server_hostname=host),
        ):
            return f"{host}:{port} speaks TLS: see {setting}"
    except (OSError, ValueError):
        return None


class LastLook:
    """When a port that failed was last looked at."""

    def __init__(self) -> None:
        self._next = 0.0  # monotonic

    def is_due(self) -> bool:
        """Whether to look at it again; then the caller does."""
        now = time.monotonic()
        if now < self._next:
            return False
        self._next = now + LOOK_COUNTS
        return True


class Refusal:
    """Why a part refuses us, for a client that cannot tell a refusal from an outage.

    Found out beside the call that failed, which does not wait for it: the next failure knows.
    """

    def __init__(self, look: Callable[[], str | None]):
        """`look`: as `what_is_wrong`."""
        self._look = look
        self._looking: asyncio.Task[None] | None = None
        self._last_look = LastLook()
        self._reason: str | None = None

    def reason(self) -> str | None:
        """What is known by now, after a call that failed."""
        if self._last_look.is_due():
            self._looking = asyncio.ensure_future(self._find_out())
        return self._reason

    async def _find_out(self) -> None:
        self._reason = await asyncio.to_thread(self._look)

    def ended(self) -> None:
        """A call was answered."""
        self._reason = None

    def close(self) -> None:
        """End the look."""
        if self._looking is not None:
            self._looking.cancel()


def look(url: str, settings: Settings, setting: str) -> str | None:
    """As `what_is_wrong`, for the part at a URL; blocks."""
    parts = urlsplit(url)
    is_tls = parts.scheme in ("https", "rediss")
    port = parts.port or _PORTS.get(parts.scheme)
    if not parts.hostname or not port:
        return None
    return what_is_wrong(parts.hostname, port, tls_context(settings) if is_tls else None, setting)


def tls_words(exc: BaseException, where: str, setting: str) -> str | None:
    """An error of a TLS connection in words that name the setting; None for one that is not TLS's."""
    if isinstance(exc, ssl.SSLCertVerificationError):
        return f"{where} is not trusted: {_UNTRUSTED.get(exc.verify_code) or exc.verify_message}"
    if isinstance(exc, ssl.SSLError) and exc.reason and "ALERT" in exc.reason:
        said = exc.reason.partition("ALERT_")[2].replace("_", " ").lower()
        return f"{where} does not accept our certificate ({said}): see TLS_CLIENT_CERTIFICATE"
    if isinstance(exc, ssl.SSLError | ConnectionError):
        return f"{where} does not answer in TLS: see {setting}"
    return None


_PORTS = {"http": 80, "https": 443, "redis": 6379, "rediss": 6379}
#: By OpenSSL's number of the error.
_UNTRUSTED = {
    10: "its certificate has expired",
    18: "its certificate is of no authority that we accept (TLS_CA)",
    19: "its certificate is of no authority that we accept (TLS_CA)",
    20: "its certificate is of no authority that we accept (TLS_CA)",
    21: "its certificate is of no authority that we accept (TLS_CA)",
    62: "its certificate is for another name",
    64: "its certificate is for another address",
}
