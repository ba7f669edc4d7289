"""HTML pages: nothing from another host, nothing inline, so that no client's text can become code."""

from __future__ import annotations

from aiohttp import web

from app.web.conditional import conditional

#: What every page may do; a page that needs more says so itself.
POLICY = "default-src 'self'; object-src 'none'; frame-ancestors 'none'; base-uri 'none'"


def page(request: web.Request, text: str, policy: str = POLICY) -> web.Response:
    """200 or 304 with a whole HTML document; `policy` is its Content-Security-Policy."""
    response = conditional(request, text.encode(), "text/html")
    if response.body is not None:  # a 304 has no type
        response.charset = "utf-8"
    response.headers["Content-Security-Policy"] = policy
    response.headers["Referrer-Policy"] = "no-referrer"
    return response
