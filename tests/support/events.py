"""A listener to the events, as a browser is one: after each end it comes back, with the last id it had."""

from __future__ import annotations

import contextlib
import itertools
import json
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from typing import Any
from urllib.parse import urlsplit

from reconciliation.readers import PATH, bff_url

AGAIN = 0.2  # seconds


class Listener:
    """What it has heard; its thread ends with `stop`."""

    def __init__(self, query: str = "", last_id: str | None = None, urls: Sequence[str] = ()):
        self.heard: list[dict[str, Any]] = []
        self.last_id = last_id
        self.connections = 0
        self._path = f"{PATH}/events{query}"
        self._urls = itertools.cycle(urls or [bff_url()])
        self._stopped = threading.Event()
        self._socket: socket.socket | None = None
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Hang up."""
        self._stopped.set()
        if self._socket:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(5)

    def of(self, event: str) -> list[dict[str, Any]]:
        """The events of that name."""
        return [one for one in list(self.heard) if one["event"] == event]

    def wait_for(self, transaction_id: str, event: str = "status", within: float = 10.0) -> dict[str, Any]:
        """That event about a transaction."""
        deadline = time.monotonic() + within
        while time.monotonic() < deadline:
            for one in self.of(event):
                if one["transaction_id"] == transaction_id:
                    return one
            time.sleep(0.005)
        raise AssertionError(f"no {event} of {transaction_id} within {within} s")

    def until_on(self, within: float = 15.0) -> None:
        """Until it knows where it stands: from now on nothing is missed."""
        deadline = time.monotonic() + within
        while self.last_id is None:
            assert time.monotonic() < deadline, f"no events within {within} s"
            time.sleep(0.01)

    def _listen(self) -> None:
        while not self._stopped.is_set():
            try:
                for event in self._once():
                    self.heard.append(event)
            except (OSError, HTTPException, ValueError, AttributeError):
                pass  # killed: come back
            self._stopped.wait(AGAIN)

    def _once(self) -> Iterator[dict[str, Any]]:
        target = urlsplit(next(self._urls))
        connection = HTTPConnection(target.hostname or "", target.port, timeout=30)
        headers = {"Last-Event-ID": self.last_id} if self.last_id else {}
        connection.request("GET", self._path, headers=headers)
        self._socket = connection.sock
        response = connection.getresponse()
        assert response.status == 200, response.read()
        self.connections += 1
        fields: dict[str, str] = {}
        while line := response.readline():
            if text := line.decode().rstrip("\n"):
                name, _, value = text.partition(": ")
                fields[name] = value
                continue
            self.last_id = fields.get("id", self.last_id)
            if "data" in fields:
                yield {
                    "event": fields["event"],
                    "id": self.last_id,
                    "at": time.time(),
                    **json.loads(fields["data"]),
                }
            fields = {}


@contextmanager
def listener(query: str = "", last_id: str | None = None, urls: Sequence[str] = ()) -> Iterator[Listener]:
    """One that listens while it lasts."""
    one = Listener(query, last_id, urls)
    try:
        if last_id is None:
            one.until_on()
        yield one
    finally:
        one.stop()
