"""A relay between a client and a server that can stop forwarding: connections stay open, and nothing comes."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator


class Relay:
    """Forwards what it is sent to a port of this machine and back, both ways, from its `with` to the end of it."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._forwarding = threading.Event()
        self._forwarding.set()
        self._door = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._door.getsockname()[1]

    def __enter__(self) -> Relay:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._forwarding.set()
        self._door.close()

    @contextlib.contextmanager
    def silent(self) -> Iterator[None]:
        """Connections are taken, also new ones, and nothing is forwarded."""
        self._forwarding.clear()
        try:
            yield
        finally:
            self._forwarding.set()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # the door is closed
            while True:
                client, _ = self._door.accept()
                server = socket.create_connection(("127.0.0.1", self._target))
                for way in ((client, server), (server, client)):
                    threading.Thread(target=self._forward, args=way, daemon=True).start()

    def _forward(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                self._forwarding.wait()
                target.sendall(data)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
