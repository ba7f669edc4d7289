"""Certificates and their keys in PEM files: loaded into a context, and what is wrong with one in words."""

from __future__ import annotations

import contextlib
import ssl
from pathlib import Path

from app.errors import WrongFile

#: What OpenSSL calls it, and what it is.
_WHY = {
    "KEY_VALUES_MISMATCH": "the key is another certificate's",
    None: "one of them is not a PEM file of its kind",
}


class _KeyHasPassword(Exception):
    """OpenSSL would ask for it on the terminal."""


def read_file(setting: str, path: Path) -> bytes:
    """What is in the file that a setting names; WrongFile."""
    try:
        return path.read_bytes()
    except OSError as exc:
        raise WrongFile(f"{setting} {path} cannot be read: {type(exc).__name__}") from exc


def load_pair(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    """Let the context present this certificate. One that failed to load may be left with half of a pair."""
    context.load_cert_chain(certificate, key, _no_password)


def check_pair(where: str, certificate: Path, key: Path) -> None:
    """They are a pair, in date and without a password; WrongFile, which begins with `where`."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        load_pair(server, certificate, key)
        _shake_hands(server, certificate)
    except _KeyHasPassword as exc:
        raise WrongFile(f"{where}: the key has a password; it must have none") from exc
    except ssl.SSLCertVerificationError as exc:
        raise WrongFile(f"{where}: {exc.verify_message}") from exc
    except ssl.SSLError as exc:
        raise WrongFile(f"{where}: {_WHY.get(exc.reason) or exc.reason.lower()}") from exc


def _no_password() -> str:
    raise _KeyHasPassword


def _shake_hands(server: ssl.SSLContext, certificate: Path) -> None:
    """With ourselves, in memory, as a client that trusts this very certificate: expired, it is refused here."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.load_verify_locations(certificate)
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # without its issuer
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = client.wrap_bio(back, there), server.wrap_bio(there, back, server_side=True)
    for _ in range(3):  # a full handshake takes two rounds
        for side in sides:
            with contextlib.suppress(ssl.SSLWantReadError):
                side.do_handshake()
