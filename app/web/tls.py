"""TLS for the web server: a certificate and its key, checked before they are used, read again when renewed."""

from __future__ import annotations

import contextlib
import ssl
from pathlib import Path

from app.settings import Settings
from app.web.files import WrongFile


class Certificate:
    """`context` is what the server listens with; a renewed pair counts for connections that begin from then on."""

    def __init__(self, settings: Settings):
        self._certificate, self._key = Path(settings.tls_certificate), Path(settings.tls_key)
        self._read: tuple[bytes, bytes] | None = None
        self.context = _context()

    def load(self) -> str | None:
        """Read both; says what is used from now on, None if that is what was; WrongFile, and nothing changes."""
        read = self._bytes("TLS_CERTIFICATE", self._certificate), self._bytes("TLS_KEY", self._key)
        if read == self._read:
            return None
        self._check()
        self.context.load_cert_chain(self._certificate, self._key, _no_password)
        self._read = read
        return f"the certificate {self._certificate}"

    def _bytes(self, setting: str, path: Path) -> bytes:
        try:
            return path.read_bytes()
        except OSError as exc:
            raise WrongFile(f"{setting} {path} cannot be read: {type(exc).__name__}") from exc

    def _check(self) -> None:
        """In a context of its own: one that has failed to load may be left with half of a pair."""
        where = f"TLS_CERTIFICATE {self._certificate} with TLS_KEY {self._key}"
        server = _context()
        try:
            server.load_cert_chain(self._certificate, self._key, _no_password)
            _shake_hands(server, self._certificate)
        except _KeyHasPassword as exc:
            raise WrongFile(f"{where}: the key has a password; it must have none") from exc
        except ssl.SSLCertVerificationError as exc:
            raise WrongFile(f"{where}: {exc.verify_message}") from exc
        except ssl.SSLError as exc:
            raise WrongFile(f"{where}: {_WHY.get(exc.reason) or exc.reason.lower()}") from exc


#: What OpenSSL calls it, and what it is.
_WHY = {
    "KEY_VALUES_MISMATCH": "the key is another certificate's",
    None: "one of them is not a PEM file of its kind",
}


class _KeyHasPassword(Exception):
    """OpenSSL would ask for it on the terminal."""


def _no_password() -> str:
    raise _KeyHasPassword


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)  # TLS 1.2 and 1.3
    context.set_alpn_protocols(["http/1.1"])
    return context


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
