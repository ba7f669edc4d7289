"""The lab's own answers: JSON, and errors as problem+json, as the bff's are."""

from __future__ import annotations

from typing import Any

from aiohttp import web

Json = dict[str, Any]

#: As the page's in the bff: nothing from another host, nothing inline.
POLICY = "default-src 'self'; object-src 'none'; frame-ancestors 'none'; base-uri 'none'"


class Refused(Exception):
    """What was asked for cannot be done; becomes a problem answer."""

    def __init__(self, status: int, title: str, detail: str) -> None:
        super().__init__(detail)
        self.status, self.title, self.detail = status, title, detail


def problem(status: int, title: str, detail: str) -> web.Response:
    """An error, with the key `error` beside it as the bff's."""
    said = f"{title}: {detail}"
    body = {"title": title, "status": status, "detail": detail, "error": said}
    return web.json_response(body, status=status, content_type="application/problem+json")


@web.middleware
async def refusals(request: web.Request, handler: Any) -> web.StreamResponse:
    """Refused and aiohttp's own errors as problems."""
    try:
        answer: web.StreamResponse = await handler(request)
    except Refused as refused:
        return problem(refused.status, refused.title, refused.detail)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        return problem(error.status, error.reason, error.text or error.reason)
    return answer


async def harden(_: web.Request, response: web.StreamResponse) -> None:
    """Headers that every answer has before it goes out, unless the bff has set its own."""
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    response.headers.setdefault("Referrer-Policy", "no-referrer")
    if response.content_type == "text/html":
        response.headers.setdefault("Content-Security-Policy", POLICY)


async def body_of(request: web.Request, **kinds: type | tuple[type, ...]) -> Json:
    """The JSON object of a request, with exactly these fields, each of its kind; Refused 400."""
    try:
        body = await request.json() if request.can_read_body else {}
    except ValueError:
        raise Refused(400, "Invalid request", "the body is not JSON") from None
    if not isinstance(body, dict) or body.keys() - kinds:
        raise Refused(400, "Invalid request", f"the body is an object with {', '.join(kinds) or 'no fields'}")
    for name, value in body.items():
        # bool is an int to Python, and nobody means True by a rate
        if not isinstance(value, kinds[name]) or (isinstance(value, bool) and kinds[name] is not bool):
            raise Refused(400, "Invalid request", f"{name} is of the wrong type")
    return body
