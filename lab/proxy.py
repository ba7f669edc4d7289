"""Everything else is the bff's: handed on as it comes, in both directions, so that one origin serves the whole page."""

from __future__ import annotations

import aiohttp
from aiohttp import hdrs, web
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from lab.answers import problem

#: Between two neighbours alone (RFC 9110, 7.6.1).
HOP_BY_HOP = {
    *("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection"),
    *("te", "trailer", "transfer-encoding", "upgrade"),
}
#: Seconds without a byte after which a call is given up: the bff's streams have a heartbeat every 10 s.
SILENT = 30.0
CHUNK = 65536


class Proxy:
    """Calls the bff at `target`, for example http://127.0.0.1:5001."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        """Before the first call; no limit of connections here, for the bff has its own."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            timeout=aiohttp.ClientTimeout(total=None, connect=5, sock_read=SILENT),
            auto_decompress=False,
        )

    async def close(self) -> None:
        """End what is open."""
        if self._session:
            await self._session.close()

    async def hand_on(self, request: web.Request) -> web.StreamResponse:
        """The bff's answer as it comes, cut where it was cut; a 502 while it does not answer."""
        assert self._session is not None
        try:
            found = await self._session.request(
                request.method,
                URL(self._target + request.raw_path, encoded=True),
                # Host stays the reader's: the bff compares the Origin with it.
                headers=_kept(request.headers),
                data=request.content if request.can_read_body else None,
                skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
                allow_redirects=False,
            )
        except (aiohttp.ClientError, OSError, TimeoutError) as failure:
            return problem(502, "The bff does not answer", type(failure).__name__)
        answer = web.StreamResponse(status=found.status, reason=found.reason, headers=_kept(found.headers))
        async with found:
            try:
                await answer.prepare(request)
                async for chunk in found.content.iter_chunked(CHUNK):
                    await answer.write(chunk)
                await answer.write_eof()
            except (aiohttp.ClientError, OSError, TimeoutError):
                if request.transport:  # one end has gone: the other sees that it is not whole
                    request.transport.abort()
        return answer


def _kept(headers: CIMultiDictProxy[str]) -> CIMultiDict[str]:
    named = {name.strip().lower() for name in headers.get(hdrs.CONNECTION, "").split(",")}
    kept: CIMultiDict[str] = CIMultiDict()
    for name, value in headers.items():
        if name.lower() not in HOP_BY_HOP | named:
            kept.add(name, value)
    return kept
