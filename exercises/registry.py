"""The running schema registry, asked as any client asks it; subjects of an exercise are deleted at its end."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
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


#: Whether a schema was taken, and what was said of it.
Register = Callable[[str], tuple[bool, str]]


@contextmanager
def subject(name: str, kind: str, first: str, compatibility: str) -> Iterator[Register]:
    """A subject with a first schema, that takes what is compatible with it in this way.

    What else it takes is deleted at once, so that each change is judged against the first.
    """
    versions = f"/subjects/{name}/versions"

    def register(schema: str) -> tuple[bool, str]:
        status, answer = call("POST", versions, {"schemaType": kind, "schema": schema})
        if status == 200:
            call("DELETE", f"{versions}/latest")
            return True, "200"
        return False, f"{status} {str(answer.get('message', answer)).split('Exception: ')[-1]}"

    _delete(name)
    status, answer = call("POST", versions, {"schemaType": kind, "schema": first})
    if status != 200:
        raise SystemExit(f"the registry did not take the first schema: {answer}")
    call("PUT", f"/config/{name}", {"compatibility": compatibility})
    try:
        yield register
    finally:
        _delete(name)


def _delete(name: str) -> None:
    call("DELETE", f"/subjects/{name}")
    call("DELETE", f"/subjects/{name}?permanent=true")
