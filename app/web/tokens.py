"""Bearer tokens: a file has their SHA-256 digests, and what each may do. No token is kept or logged."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass

#: What a token may do: send transactions, read everything, label, act on what could not be processed.
SCOPES = ("write", "read", "label", "admin")
#: Of an operation that any token may call.
ANY = "any"
#: Tokens of a file.
MOST = 1000
#: Bytes of a digest by which it is found; the whole of it is then compared in constant time.
_PREFIX = 8
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_DIGEST = re.compile(r"[0-9a-f]{64}")


class WrongTokens(Exception):
    """A file that is not as docs/security.md has it; the text names the line, and nothing that is in it."""


@dataclass(frozen=True, slots=True)
class Token:
    """`name` is whose it is: during a rotation two tokens have the same."""

    name: str
    scopes: frozenset[str]
    digest: bytes


Tokens = Mapping[bytes, Token]


def parse(text: str) -> Tokens:
    """The tokens of a file, to be looked up by `find`; WrongTokens. Blank lines and those with # are left out."""
    found: dict[bytes, Token] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        token = _token(line, f"line {number}")
        if key_of(token.digest) in found:
            raise WrongTokens(f"line {number} has the token of a line before")
        found[key_of(token.digest)] = token
    if not found:
        raise WrongTokens("it has no token")
    if len(found) > MOST:
        raise WrongTokens(f"it has more than {MOST} tokens")
    return found


def key_of(digest: bytes) -> bytes:
    """By which a token is looked up: the beginning of its digest."""
    return digest[:_PREFIX]


def find(tokens: Tokens, presented: str) -> Token | None:
    """Whose token this is; how long it takes says nothing about the tokens that there are."""
    digest = hashlib.sha256(presented.encode(errors="surrogateescape")).digest()
    found = tokens.get(key_of(digest))
    return found if found is not None and hmac.compare_digest(found.digest, digest) else None


def _token(line: str, where: str) -> Token:
    try:
        name, scopes, digest = line.split()
    except ValueError:
        raise WrongTokens(f"{where} is not: name, scopes with commas between, SHA-256 in hex") from None
    if not _NAME.fullmatch(name):
        raise WrongTokens(f"{where}: the name is not 1 to 64 letters, digits or . _ -")
    if not set(scopes.split(",")) <= set(SCOPES):
        raise WrongTokens(f"{where}: the scopes are not of {', '.join(SCOPES)}")
    if not _DIGEST.fullmatch(digest):
        raise WrongTokens(f"{where}: no SHA-256 in 64 hex digits, lower case; is it the token itself?")
    return Token(name, frozenset(scopes.split(",")), bytes.fromhex(digest))
