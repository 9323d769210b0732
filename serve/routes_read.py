"""Read routes: venues, matches, athletes, metrics, events, devices, predictions.

Every answer is cut to the caller's data classes. Live values say their age and status; they are
`no-store`. Pages of events that can never change carry an ETag.
"""

import hashlib
import json
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from models.policies.access import Principal
from models.policies.event_view import class_of_event, events_view
from models.policies.sight import Sight, granted
from serve.catalogue import (
    ALWAYS,
    DEVICE,
    HEALTH,
    INDEX,
    ON_BALL,
    PERFORMANCE,
    TRACKING,
    catalogue,
    events,
)
from serve.gate import READ, Here, Who, allow
from serve.ports import Ports
from serve.view import (
    TRACKING_COARSE,
    devices_view,
    history_view,
    metric_values,
    predictions_view,
    row_view,
    rows_view,
)

_ATHLETES = frozenset({TRACKING, TRACKING_COARSE, PERFORMANCE, HEALTH, INDEX})
_EVENTS = frozenset({TRACKING, TRACKING_COARSE, PERFORMANCE, ON_BALL, HEALTH, INDEX, DEVICE})
_PREDICTIONS = frozenset({INDEX, DEVICE, PERFORMANCE})


def read_routes() -> APIRouter:
    """All of them, under /v1."""
    router = APIRouter(prefix="/v1", tags=["read"])
    for path, endpoint in (
        ("/venues", list_venues), ("/venues/{venue_id}", get_venue), ("/matches", list_matches),
        ("/matches/{match_id}", get_match), ("/matches/{match_id}/athletes", match_athletes),
        ("/athletes/{subject_id}/state", athlete_state),
        ("/athletes/{subject_id}/metrics", athlete_metrics), ("/events", list_events),
        ("/devices/health", devices_health), ("/predictions", list_predictions),
        ("/catalogue", list_metrics),
    ):
        router.add_api_route(path, endpoint, methods=["GET"])
    return router


async def list_venues(ports: Here, who: Who) -> JSONResponse:
    """All venues that the caller may see, with their matches and how far each is."""
    allow(ports, who, READ, "venues")
    venues = await ports.twin.ask("venues")
    return fresh({"venues": [v for v in venues if covers(who, v["venue_id"])]})


async def get_venue(ports: Here, who: Who, venue_id: str) -> JSONResponse:
    """One venue: pitch, periods, who is on the roster (pseudonyms and shirt numbers)."""
    allow(ports, who, READ, f"venues/{venue_id}", venue_id)
    return fresh(await known(ports, "venue", venue_id))


async def list_matches(ports: Here, who: Who, venue: str = "") -> JSONResponse:
    """All matches now known, or those of one venue."""
    allow(ports, who, READ, "matches", venue)
    matches = await known(ports, "matches", venue)
    return fresh({"matches": [m for m in matches if covers(who, m["venue_id"])]})


async def get_match(ports: Here, who: Who, match_id: str) -> JSONResponse:
    """One match: venue, period, clock, status."""
    match = await known(ports, "match", match_id)
    allow(ports, who, READ, f"matches/{match_id}", match["venue_id"])
    return fresh(match)


async def match_athletes(ports: Here, who: Who, match_id: str) -> JSONResponse:
    """Newest state of everybody and of the ball, cut to what the caller may see."""
    match = await known(ports, "match", match_id)
    venue_id = match["venue_id"]
    wanted = _ATHLETES | {ON_BALL}
    sight = allow(ports, who, READ, f"matches/{match_id}/athletes", venue_id, wanted)
    rows = await known(ports, "athletes", venue_id)
    return fresh({
        "match_id": match_id, "venue_id": venue_id, "head_ns": match["head_ns"],
        "athletes": rows_view(rows, sight),
    })


async def athlete_state(ports: Here, who: Who, subject_id: str) -> JSONResponse:
    """Newest state of one athlete, official or ball."""
    row, sight = await _athlete(ports, who, subject_id, "state")
    return fresh(row_view(row, sight))


async def athlete_metrics(ports: Here, who: Who, subject_id: str) -> JSONResponse:
    """Every metric with unit, age, status, version, coverage and formula; and its history."""
    row, sight = await _athlete(ports, who, subject_id, "metrics")
    points = await known(ports, "history", subject_id)
    return fresh({
        **{key: row[key] for key in ("subject_id", "role", "team", "number", "match_id")},
        "metrics": metric_values(row, sight), "history": history_view(points, row, sight),
        "history_step_s": 10,
    })


async def list_events(
    request: Request, ports: Here, who: Who, match: str = "", venue: str = "",
    cursor: Annotated[int, Query(ge=0)] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 200,
    type: Annotated[list[str] | None, Query(max_length=32)] = None,
) -> Response:
    """Events after `cursor`, oldest first. Go on with `next_cursor`; `more` says that there is."""
    venue_id = await venue_named(ports, venue, match)
    sight = allow(ports, who, READ, "events", venue_id, _EVENTS)
    types = tuple(sorted(set(type or ())))
    page = await known(ports, "events", venue_id, cursor, limit, types, match)
    body = {**page, "venue_id": venue_id, "events": events_view(page["events"], sight)}
    return tagged(request, body) if page["more"] and page["complete"] else fresh(body)


async def devices_health(
    ports: Here, who: Who, venue: str = "", status: str = ""
) -> JSONResponse:
    """Every device with its health row, faults and predicted failure, worst first."""
    venue_id = await venue_named(ports, venue)
    sight = allow(ports, who, READ, "devices/health", venue_id, frozenset({DEVICE}))
    devices = devices_view(await known(ports, "devices", venue_id), sight)
    kept = [device for device in devices if status in ("", device["status"])]
    return fresh({"venue_id": venue_id, "devices": kept})


async def list_predictions(ports: Here, who: Who, venue: str = "") -> JSONResponse:
    """Newest fatigue and failure predictions, the last classified impacts, the next failure."""
    venue_id = await venue_named(ports, venue)
    sight = allow(ports, who, READ, "predictions", venue_id, _PREDICTIONS)
    found = await known(ports, "predictions", venue_id)
    return fresh({"venue_id": venue_id, **predictions_view(found, sight)})


async def list_metrics(request: Request, ports: Here, who: Who) -> Response:
    """What each metric and event means and how it is made, of those that the caller may see; and
    who is asking."""
    allow(ports, who, READ, "catalogue")
    classes = granted(who)
    caller = {"subject": who.subject, "role": str(who.role), "classes": sorted(classes)}
    rules = [rule for rule in events() if class_of_event(rule) in classes | {ALWAYS}]
    return tagged(request, {"caller": caller, "metrics": catalogue(classes), "events": rules})


async def _athlete(
    ports: Ports, caller: Principal, subject_id: str, what: str
) -> tuple[dict[str, Any], Sight]:
    """The newest row of a subject of whom the caller may see something."""
    row = await known(ports, "athlete", "", subject_id)
    resource = f"athletes/{subject_id}/{what}"
    sight = allow(ports, caller, READ, resource, row["venue_id"], _ATHLETES | {ON_BALL})
    if not row_view(row, sight):
        ports.gate.refuse(caller, READ, resource, "nothing of this subject may be seen")
    return row, sight


def covers(caller: Principal, venue_id: str) -> bool:
    """Whether the token is for this venue."""
    return not caller.venues or venue_id in caller.venues


async def venue_named(ports: Ports, venue: str, match: str = "") -> str:
    """The venue that a request means: by name, by match, or the only one there is."""
    if venue:
        return venue
    return str((await known(ports, "match", match))["venue_id"]) if match else (
        await sole_venue(ports)
    )


async def known(ports: Ports, method: str, *args: Any) -> Any:
    """The twin store's answer; 404 for what it does not know."""
    try:
        return await ports.twin.ask(method, *args)
    except KeyError as error:
        raise HTTPException(404, f"not known: {str(error).strip(chr(39))}") from error


async def sole_venue(ports: Ports) -> str:
    """The only venue; 422 when the caller has to choose, 404 when there is none."""
    venues = await ports.twin.ask("venues")
    if not venues:
        raise HTTPException(404, "no venue yet")
    if len(venues) > 1:
        raise HTTPException(422, "several venues: name one with `venue` or `match`")
    return str(venues[0]["venue_id"])


def fresh(body: Any) -> JSONResponse:
    """An answer of live values, which nobody may keep."""
    return JSONResponse(body, headers={"Cache-Control": "no-store"})


def tagged(request: Request, body: Any) -> Response:
    """An answer that stays the same: with an ETag, and 304 for who has it already."""
    payload = json.dumps(body, separators=(",", ":")).encode()
    tag = f'"{hashlib.sha256(payload).hexdigest()[:32]}"'
    headers = {"ETag": tag, "Cache-Control": "private, no-cache", "Vary": "Authorization"}
    if tag in request.headers.get("If-None-Match", ""):
        return Response(status_code=304, headers=headers)
    return Response(payload, headers=headers, media_type="application/json")
