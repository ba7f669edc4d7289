"""ETag and If-None-Match: whoever has the answer already gets 304 without it."""

from __future__ import annotations

import hashlib

from aiohttp import web
from aiohttp.helpers import ETAG_ANY

#: A client asks each time: a transaction changes when it is decided, a document with the next release.
ASK_EACH_TIME = "no-cache"


def conditional(
    request: web.Request, body: bytes, content_type: str, cache: str = ASK_EACH_TIME
) -> web.Response:
    """200 with the body and its ETag, or 304 if the request names that one."""
    tag = hashlib.blake2b(body, digest_size=12).hexdigest()
    headers = {"ETag": f'"{tag}"', "Cache-Control": cache}
    if any(known.value in (tag, ETAG_ANY) for known in request.if_none_match or ()):
        return web.Response(status=304, headers=headers)
    return web.Response(body=body, content_type=content_type, headers=headers)
