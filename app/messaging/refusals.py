"""Why a broker does not take us: aiokafka says only that nobody could be reached, and keeps the reason to its log."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections import defaultdict
from typing import Any

from aiokafka import client as aiokafka_client
from aiokafka.errors import (
    AuthenticationFailedError,
    IllegalSaslStateError,
    KafkaError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)
from aiokafka.protocol.metadata import MetadataRequest

from app.connections import MECHANISM, LastLook, tls_words, what_is_wrong

TLS, NAME = "KAFKA_TLS", "KAFKA_USERNAME with KAFKA_PASSWORD"

Address = tuple[str, int]
_connect = aiokafka_client.create_conn
_reasons: dict[Address, str] = {}
_looks = defaultdict[Address, LastLook](LastLook)
_known = set[Address]()  # answered what only a broker answers that takes us


def install() -> None:
    """For every client of this process, Faust's among them."""
    aiokafka_client.create_conn = _noting
    logging.getLogger("aiokafka.conn").setLevel(logging.WARNING)  # below that it says each time who we are
    # At each try, hundreds a second, that a broker cannot read its log: app.messaging.fetching says it once.
    logging.getLogger("aiokafka.consumer.fetcher").setLevel(logging.ERROR)


def reason() -> str | None:
    """Why the brokers that refuse us do so; None while none does."""
    return "; ".join(sorted(set(_reasons.values()))) or None


async def _noting(host: str, port: int, **options: Any) -> Any:
    """Connect as aiokafka does, and remember why that failed."""
    address = host, port
    try:
        connection = await _connect(host, port, **options)
        if address not in _known and not _has_name(options):
            await _ask_once(connection)
    except (OSError, KafkaError, TimeoutError) as exc:
        await _note(address, exc, options)
        raise
    _known.add(address)
    _reasons.pop(address, None)
    _looks.pop(address, None)
    return connection


def _has_name(options: dict[str, Any]) -> bool:
    return "SASL" in options.get("security_protocol", "")


async def _ask_once(connection: Any) -> None:
    """One that wants a name lets anybody connect, and hangs up at the first question."""
    try:
        await connection.send(MetadataRequest([]))
    except BaseException:
        connection.close()
        raise


async def _note(address: Address, exc: BaseException, options: dict[str, Any]) -> None:
    if not _looks[address].is_due():
        return
    if words := await _words(address, exc, options):
        _reasons[address] = words
    else:
        _reasons.pop(address, None)


async def _words(address: Address, exc: BaseException, options: dict[str, Any]) -> str | None:
    where = "{}:{}".format(*address)
    match exc:
        case AuthenticationFailedError() | SaslAuthenticationFailed():
            return f"{where} refuses {NAME}"
        case UnsupportedSaslMechanismError():
            return f"{where} has no {MECHANISM}: see KAFKA_USERNAME"
        case IllegalSaslStateError():
            return f"{where} asks for no name: see KAFKA_USERNAME"
        case ssl.SSLError():
            return tls_words(exc, where, TLS)
        case ConnectionRefusedError() | TimeoutError():
            return None
    context = options.get("ssl_context")
    if words := await asyncio.to_thread(what_is_wrong, *address, context, TLS):
        return words
    is_there = isinstance(exc, KafkaError) and not _has_name(options) and address not in _known
    return f"{where} hangs up on us, as one that wants a name does: see KAFKA_USERNAME" if is_there else None
