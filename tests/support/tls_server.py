"""A server that shows a certificate and does nothing else: what a client sees of it is the handshake."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator

from infra.native.certificates import Pair


@contextlib.contextmanager
def showing(pair: Pair) -> Iterator[int]:
    """Its port on loopback; each connection ends after the handshake."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    context.set_alpn_protocols(["h2", "http/1.1"])
    with socket.create_server(("127.0.0.1", 0)) as listening:
        serving = threading.Thread(target=_serve, args=(listening, context), daemon=True)
        serving.start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)  # wakes `accept`
        serving.join()


def _serve(listening: socket.socket, context: ssl.SSLContext) -> None:
    while True:
        try:
            plain, _ = listening.accept()
        except OSError:
            return
        plain.settimeout(2)
        with contextlib.suppress(OSError), plain, context.wrap_socket(plain, server_side=True):
            pass
