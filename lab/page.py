"""The page as the bff serves it, with the lab's script in it; from files, so that it is there while the bff is dead."""

from __future__ import annotations

from pathlib import Path

from aiohttp import web

from infra.native.paths import CODE
from lab.answers import Refused

PAGE = CODE / "app" / "web" / "static"
OURS = Path(__file__).parent / "static"
CONTENT_TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".mjs": "text/javascript",
    ".json": "application/json",
    ".svg": "image/svg+xml",
}
ADDED = (
    '<link rel="stylesheet" href="/lab/lab.css">\n<script src="/lab/lab.js" type="module"></script>\n</head>'
)


def files(folder: Path) -> dict[str, bytes]:
    """What is served of a folder, by its path inside it."""
    found = (path for path in sorted(folder.rglob("*")) if path.suffix in CONTENT_TYPES)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def routes() -> list[web.RouteDef]:
    """`/`, `/static/…` and `/lab/…`; read now, so no path leads anywhere else."""
    page, ours = files(PAGE), files(OURS)
    index = page["index.html"].replace(b"</head>", ADDED.encode())

    async def root(_: web.Request) -> web.Response:
        return _file(index, ".html")

    def of(folder: dict[str, bytes]) -> object:
        async def handler(request: web.Request) -> web.Response:
            name = request.match_info["file"]
            if name not in folder:
                raise Refused(404, "Not found", "no such file")
            return _file(folder[name], Path(name).suffix)

        return handler

    return [web.get("/", root), web.get("/static/{file:.+}", of(page)), web.get("/lab/{file:.+}", of(ours))]  # type: ignore[arg-type]


def _file(body: bytes, suffix: str) -> web.Response:
    headers = {"Cache-Control": "no-cache"}
    return web.Response(body=body, content_type=CONTENT_TYPES[suffix], charset="utf-8", headers=headers)
