"""Errors as RFC 9457 problem documents. Owns the mapping from our error tree to HTTP statuses.

A problem says what the caller can do about it and never what the server looks like inside.
"""

import logging
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from models.errors import AccessError
from serve.ports import AwayError, BusyError, DeniedError

MEDIA_TYPE = "application/problem+json"
_TITLES = {
    400: "Bad request", 401: "Not authenticated", 403: "Not allowed", 404: "Not found",
    405: "Method not allowed", 413: "Payload too large", 415: "Unsupported media type",
    422: "Parameters not usable", 429: "Too many requests", 500: "Internal error",
    503: "Unavailable",
}
_log = logging.getLogger("touchline.serve")


def problem(
    status: int, detail: str, headers: Mapping[str, str] | None = None, **extra: Any
) -> JSONResponse:
    """A problem document with its status."""
    body = {
        "type": "about:blank", "title": _TITLES.get(status, "Error"), "status": status,
        "detail": detail, **extra,
    }
    always = {"Cache-Control": "no-store"}
    return JSONResponse(body, status, {**always, **(headers or {})}, media_type=MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Let every error of `app` come out as a problem document."""
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _validation)
    app.add_exception_handler(DeniedError, _denied)
    app.add_exception_handler(AccessError, _access)
    app.add_exception_handler(AwayError, _away)
    app.add_exception_handler(BusyError, _busy)
    app.add_exception_handler(Exception, _unexpected)


async def _http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    return problem(error.status_code, str(error.detail), error.headers)


async def _validation(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    found = [
        {"where": ".".join(str(part) for part in one["loc"]), "problem": one["msg"]}
        for one in error.errors()[:20]
    ]
    return problem(422, "one or more parameters are not usable", errors=found)


async def _denied(request: Request, error: Exception) -> JSONResponse:
    return problem(403, str(error))


async def _access(request: Request, error: Exception) -> JSONResponse:
    return problem(401, str(error), {"WWW-Authenticate": 'Bearer realm="touchline"'})


async def _away(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, AwayError)
    return problem(503, str(error), {"Retry-After": "2"}, part=error.part)


async def _busy(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, BusyError)
    detail = f"{error.part} takes no more for now: send the same payload again"
    return problem(429, detail, {"Retry-After": str(error.retry_after_s)}, part=error.part)


async def _unexpected(request: Request, error: Exception) -> JSONResponse:
    _log.error("unexpected error at %s", request.url.path, exc_info=error)
    return problem(500, "an error of ours; it is in the server's log")
