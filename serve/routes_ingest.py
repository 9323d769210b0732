"""`POST /v1/ingest/{venue}`: packets in, a verdict per packet out, after their rows are durable.

Arrow IPC stream, JSON, or binary packets, told apart by content type; `Content-Encoding: zstd`
packs any of them (one frame that says its unpacked size, at most 16 MiB). Bad packets are not an
HTTP error: the answer is 202 and says which were refused and why. Sending a payload again is
harmless: the edge drops what it has by (device, boot, seq).
"""

from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from models.telemetry.dense import ENCODING, SUFFIX
from serve.gate import INGEST, Here, Who, allow
from serve.ports import BusyError

CONTENT_TYPES: Final = (
    "application/vnd.apache.arrow.stream", "application/json", "application/octet-stream",
)
RETRY: Final = "retry"


def ingest_routes() -> APIRouter:
    router = APIRouter(prefix="/v1", tags=["ingest"])
    router.add_api_route(
        "/ingest/{venue_id}", ingest, methods=["POST"], status_code=202,
        openapi_extra={"requestBody": {"required": True, "content": {
            kind: {"schema": {"type": "string", "format": "binary"}} for kind in CONTENT_TYPES
        }}},
        responses={code: {"description": text} for code, text in (
            (400, "empty payload"), (413, "payload too large"),
            (415, "unknown content type or encoding"),
            (429, "queue full, or log not reachable: send again after Retry-After"),
            (503, "the stadium does not answer"),
        )},
    )
    return router


async def ingest(request: Request, ports: Here, who: Who, venue_id: str) -> JSONResponse:
    """202 with {"verdicts": [{index, device_id, seq, rows, accepted, reason}]}."""
    allow(ports, who, INGEST, f"ingest/{venue_id}", venue_id)
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type not in CONTENT_TYPES:
        raise HTTPException(415, "send one of: " + ", ".join(CONTENT_TYPES))
    coding = request.headers.get("content-encoding", "identity").strip().lower()
    if coding not in ("identity", ENCODING):
        raise HTTPException(415, f"content encoding {coding[:40]!r}: send {ENCODING}, or none")
    payload = await _body(request, ports.limits.max_body_bytes)
    if not payload:
        raise HTTPException(400, "the payload is empty")
    # The stadium unpacks, to its own bound: a small body cannot become a large one on the way.
    sort = content_type + (SUFFIX if coding == ENCODING else "")
    answer = await ports.stadium.ingest(venue_id, payload, sort, who.subject)
    if len(answer) == 1 and answer[0].get("reason") == RETRY:
        raise BusyError(f"stadium {venue_id}", 1)
    verdicts = [_verdict(one) for one in answer]
    return JSONResponse(
        {"verdicts": verdicts, "accepted_rows": sum(v["accepted_rows"] for v in verdicts)}, 202,
        {"Cache-Control": "no-store"},
    )


def _verdict(one: dict[str, Any]) -> dict[str, Any]:
    accepted = bool(one["accepted"])
    rows = int(one["rows"])
    return {
        "index": one["index"], "device_id": one["device_id"], "seq": one["seq"], "rows": rows,
        "accepted_rows": int(one.get("accepted_rows", rows if accepted else 0)),
        "accepted": accepted, "reason": one["reason"],
    }


async def _body(request: Request, bound: int) -> bytes:
    """The whole body; 413 as soon as it is known to be longer than `bound`."""
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > bound:
        raise HTTPException(413, f"at most {bound} bytes per request")
    parts, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > bound:
            raise HTTPException(413, f"at most {bound} bytes per request")
        parts.append(chunk)
    return b"".join(parts)
