"""The live page and the description of the API: files of our own, served under a policy that lets
nothing else in.

The files are read once, when the app is built. No CDN, no inline script or style, no token in a URL
(the page takes it from the fragment, which browsers never send).
"""

import hashlib
from importlib.resources import files
from typing import Final

from fastapi import APIRouter, Request
from fastapi.responses import Response

CSP: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
SECURITY_HEADERS: Final = {
    "Content-Security-Policy": CSP, "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer", "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
_FILES: Final = (
    ("/", "index.html", "text/html; charset=utf-8"),
    ("/page/style.css", "style.css", "text/css; charset=utf-8"),
    ("/page/app.js", "app.js", "text/javascript; charset=utf-8"),
    ("/page/pitch.js", "pitch.js", "text/javascript; charset=utf-8"),
    ("/page/table.js", "table.js", "text/javascript; charset=utf-8"),
    ("/page/feed.js", "feed.js", "text/javascript; charset=utf-8"),
    ("/page/panels.js", "panels.js", "text/javascript; charset=utf-8"),
    ("/docs", "docs.html", "text/html; charset=utf-8"),
    ("/page/docs.css", "docs.css", "text/css; charset=utf-8"),
    ("/page/docs.js", "docs.js", "text/javascript; charset=utf-8"),
    ("/favicon.svg", "favicon.svg", "image/svg+xml"),
)


def page_routes() -> APIRouter:
    """The page at /, the API's description at /docs, their files under /page."""
    router = APIRouter(include_in_schema=False)
    folder = files("serve") / "page"
    for path, name, media_type in _FILES:
        content = (folder / name).read_bytes()
        router.add_api_route(path, PageFile(content, media_type).get, methods=["GET"])
    return router


class PageFile:
    """One file in memory, with its ETag."""

    def __init__(self, content: bytes, media_type: str) -> None:
        self._content, self._media_type = content, media_type
        self._tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'

    async def get(self, request: Request) -> Response:
        headers = {"ETag": self._tag, "Cache-Control": "no-cache"}
        if self._tag in request.headers.get("If-None-Match", ""):
            return Response(status_code=304, headers=headers)
        return Response(self._content, headers=headers, media_type=self._media_type)
