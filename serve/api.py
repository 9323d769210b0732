"""The HTTP interface as one FastAPI app, built from ports: the same in a test and under Ray Serve.

Owns what is common to all routes: problem documents, security headers, the OpenAPI description.
Nothing is open by default but the page's own files, the description and the health probes.
"""

from fastapi import FastAPI
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve import problems
from serve.page_routes import SECURITY_HEADERS, page_routes
from serve.ports import Ports
from serve.routes_ingest import ingest_routes
from serve.routes_live import live_routes
from serve.routes_ops import ops_routes
from serve.routes_read import read_routes

DESCRIPTION = """Live sports telemetry: states, events, forecasts and device health of venues.

Every value carries its age and status; what a caller sees is decided by role and data class.
Errors are problem documents (RFC 9457). The live feed at `/v1/live` resumes by `Last-Event-ID`.
"""


def build_api(ports: Ports) -> FastAPI:
    """The app. Keep no state elsewhere: `app.state.ports`, and the count of open live streams."""
    app = FastAPI(
        title="Touchline", version="1", description=DESCRIPTION, openapi_url="/openapi.json",
        docs_url=None, redoc_url=None,
    )
    app.state.ports = ports
    app.state.live_n = 0
    problems.install(app)
    app.add_middleware(SecurityHeaders)
    for routes in (
        read_routes(), live_routes(), ingest_routes(), ops_routes(), page_routes()
    ):
        app.include_router(routes)
    return app


class SecurityHeaders:
    """Pure ASGI, so that streams pass through unbuffered."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, with_headers)
