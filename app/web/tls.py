"""TLS for the web server: a certificate and its key, checked before they are used, read again when renewed."""

from __future__ import annotations

import ssl
from pathlib import Path

from app.certificates import check_pair, load_pair, read_file
from app.settings import Settings


class Certificate:
    """`context` is what the server listens with; a renewed pair counts for connections that begin from then on."""

    def __init__(self, settings: Settings):
        self._certificate, self._key = Path(settings.tls_certificate), Path(settings.tls_key)
        self._read: tuple[bytes, bytes] | None = None
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)  # TLS 1.2 and 1.3
        self.context.set_alpn_protocols(["http/1.1"])

    def load(self) -> str | None:
        """Read both; says what is used from now on, None if that is what was; WrongFile, and nothing changes."""
        read = read_file("TLS_CERTIFICATE", self._certificate), read_file("TLS_KEY", self._key)
        if read == self._read:
            return None
        # In a context of its own: one that has failed to load may be left with half of a pair.
        check_pair(
            f"TLS_CERTIFICATE {self._certificate} with TLS_KEY {self._key}", self._certificate, self._key
        )
        load_pair(self.context, self._certificate, self._key)
        self._read = read
        return f"the certificate {self._certificate}"
