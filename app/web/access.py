"""Who may call what: 401 without a token that is known, 403 without its scope, 429 beyond its limit.

Only a bff with tokens (setting TOKENS_FILE) has an Access; without one no request is looked at here.
"""

from __future__ import annotations

import math
import time
from pathlib import Path
from urllib.parse import quote, unquote

from aiohttp import hdrs, web

from app.errors import WrongFile
from app.settings import Settings
from app.web import cors
from app.web.openapi import SECURITY
from app.web.problems import problem
from app.web.rate_limit import RateLimit
from app.web.tokens import ANY, Tokens, WrongTokens, find, key_of, parse

#: The page's, from POST /api/v1/session; a browser sends it with what EventSource asks too.
COOKIE = SECURITY["session"]["name"]
#: Seconds after which the page asks for a token again.
SESSION_LASTS = 12 * 3600
#: Under which a request has the name that its token has in the file.
CLIENT = web.RequestKey("client", str)
#: Bytes of the file.
FILE_MOST = 1_000_000


class Access:
    """The tokens of the file, and each one's limit."""

    def __init__(self, settings: Settings):
        self._path = Path(settings.tokens_file)
        self._text: str | None = None
        self._tokens: Tokens = {}
        self._limit = (
            RateLimit(settings.rate_limit, settings.rate_limit_burst) if settings.rate_limit else None
        )
        # A browser keeps such a cookie from what is not encrypted; behind a proxy that ends TLS it is encrypted too.
        self._is_secure = bool(settings.tls_certificate) or settings.allow_insecure == "tls"

    def load(self) -> str | None:
        """Read the file; says what is used from now on, None if that is what was; WrongFile, and nothing changes."""
        try:
            with self._path.open(encoding="utf-8") as file:
                text = file.read(FILE_MOST + 1)
        except (OSError, UnicodeDecodeError) as exc:
            raise WrongFile(f"TOKENS_FILE {self._path} cannot be read: {type(exc).__name__}") from exc
        if text == self._text:
            return None
        try:
            if len(text) > FILE_MOST:
                raise WrongTokens(f"it has more than {FILE_MOST:,} characters")
            self._tokens = parse(text)
        except WrongTokens as exc:
            raise WrongFile(f"TOKENS_FILE {self._path}: {exc} (docs/security.md)") from exc
        self._text = text
        if self._limit:
            self._limit.keep(self._tokens.keys())
        return f"the tokens of {self._path}: {len(self._tokens)}"

    def refusal(self, request: web.Request, scope: str) -> web.Response | None:
        """The answer to who may not call this; None for who may, whose name the request has from then on."""
        presented, by_cookie = self._presented(request)
        token = find(self._tokens, presented) if presented else None
        if token is None:
            return _unauthorized(presented)
        if self._limit and (wait := self._limit.wait(key_of(token.digest), time.monotonic())):
            return problem(
                429,
                "Too many requests",
                "this token's limit of requests is reached",
                headers={"Retry-After": str(math.ceil(wait))},
            )
        if scope != ANY and scope not in token.scopes:
            return problem(
                403,
                "Scope missing",
                f"this needs a token with the scope {scope}",
                headers={hdrs.WWW_AUTHENTICATE: f'Bearer error="insufficient_scope", scope="{scope}"'},
            )
        if by_cookie and request.method not in ("GET", "HEAD") and cors.is_foreign(request):
            return problem(403, "Foreign origin", "only pages of this server may act with its cookie")
        request[CLIENT] = token.name
        return None

    def may_read(self, request: web.Request) -> bool:
        """Whether it comes with a token that may; it does not count for the limit."""
        presented, _ = self._presented(request)
        token = find(self._tokens, presented) if presented else None
        return token is not None and "read" in token.scopes

    def begin_session(self, request: web.Request) -> web.Response:
        """204 with the request's token in a cookie that no script can read and no other site's page can send."""
        presented, _ = self._presented(request)
        answer = web.Response(status=204, headers={hdrs.CACHE_CONTROL: "no-store"})
        answer.set_cookie(
            COOKIE,
            quote(presented, safe=""),
            max_age=SESSION_LASTS,
            path="/api",
            secure=self._is_secure,
            httponly=True,
            samesite="Strict",
        )
        return answer

    def _presented(self, request: web.Request) -> tuple[str, bool]:
        """What is presented as a token, empty if nothing is; and whether the browser did so by itself."""
        headers = request.headers.getall(hdrs.AUTHORIZATION, ())
        if not headers:
            return unquote(request.cookies.get(COOKIE, "")), True
        scheme, _, token = headers[0].partition(" ")
        return (token.strip() if scheme.lower() == "bearer" and len(headers) == 1 else ""), False


def _unauthorized(presented: str) -> web.Response:
    detail = "this token is not known here" if presented else "this needs a token: Authorization: Bearer …"
    challenge = 'Bearer error="invalid_token"' if presented else "Bearer"
    return problem(401, "Unauthorized", detail, headers={hdrs.WWW_AUTHENTICATE: challenge})
