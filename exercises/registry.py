"""The running schema registry, asked as any client asks it; subjects of an exercise are deleted at its end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from infra.native import ports


def call(method: str, path: str, body: dict[str, Any] | None = None) -> tuple[int, Any]:
    """Status and answer."""
    base = ports.registry_url()
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/vnd.schemaregistry.v1+json"}
    try:
        with urlopen(Request(base + path, data, headers, method=method), timeout=10) as response:  # noqa: S310
            return response.status, json.loads(response.read() or b"null")
    except HTTPError as error:
        return error.code, json.loads(error.read() or b"null")


class Subject:
    """A subject of the registry, with versions of one kind of schema."""

    def __init__(self, name: str, kind: str) -> None:
        self._path = f"/subjects/{name}/versions"
        self._kind = kind

    def register(self, schema: str) -> tuple[bool, str]:
        """Whether the registry took it, and what it said."""
        status, answer = call("POST", self._path, {"schemaType": self._kind, "schema": schema})
        said = "" if status == 200 else str(answer.get("message", answer))
        return status == 200, f"{status} {said.split('Exception: ')[-1]}".strip()

    def forget_newest(self) -> None:
        """Delete the newest version, so that each change is judged against the first."""
        call("DELETE", f"{self._path}/latest")


@contextmanager
def subject(name: str, kind: str, first: str, compatibility: str) -> Iterator[Subject]:
    """A subject with its first version, that takes what is compatible in this way."""
    _delete(name)
    found = Subject(name, kind)
    taken, said = found.register(first)
    if not taken:
        raise SystemExit(f"the registry did not take the first schema: {said}")
    call("PUT", f"/config/{name}", {"compatibility": compatibility})
    try:
        yield found
    finally:
        _delete(name)


def _delete(name: str) -> None:
    call("DELETE", f"/subjects/{name}")
    call("DELETE", f"/subjects/{name}?permanent=true")
