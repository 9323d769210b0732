"""`GET /v1/live`: the live feed as server-sent events, four times a second, resumable.

Each message has an `id:`; a client that comes back with it in `Last-Event-ID` gets every event that
it missed, in order, and the newest states. What a slow client misses of states is merged, never
queued. The right to read is checked again while the stream is open, and the stream ends with the
token.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Annotated, Any, Final

from fastapi import APIRouter, Header, Request
from fastapi.responses import StreamingResponse

from models.errors import AccessError
from models.policies.access import Principal
from serve.gate import LIVE, Here, Who, allow
from serve.ports import AwayError, BusyError, Ports
from serve.routes_read import known, venue_named
from serve.view import snapshot_view

AWAY_S: Final = 1.0


def live_routes() -> APIRouter:
    router = APIRouter(prefix="/v1", tags=["live"])
    router.add_api_route(
        "/live", live, methods=["GET"], response_class=StreamingResponse,
        responses={200: {"content": {"text/event-stream": {}}, "description": "the feed"}},
    )
    return router


async def live(
    request: Request, ports: Here, who: Who, venue: str = "", match: str = "",
    last_event_id: Annotated[str, Header()] = "",
) -> StreamingResponse:
    """States that changed, new events, devices and predictions; `snapshot` and `away` messages."""
    venue_id = await venue_named(ports, venue, match)
    allow(ports, who, LIVE, f"live/{venue_id}", venue_id)
    await known(ports, "venue", venue_id)
    state = request.app.state
    if state.live_n >= ports.limits.max_live:
        raise BusyError("live feed", 5)
    feed = Feed(ports, who, venue_id, last_event_id[:128])
    return StreamingResponse(
        _counted(state, feed.messages()), media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def _counted(state: Any, messages: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    state.live_n += 1
    try:
        async for message in messages:
            yield message
    finally:
        state.live_n -= 1


class Feed:
    """One client's stream."""

    def __init__(self, ports: Ports, caller: Principal, venue_id: str, cursor: str) -> None:
        self._ports, self._caller, self._venue_id = ports, caller, venue_id
        self._cursor = cursor
        self._sight = ports.gate.sight(caller, venue_id)

    async def messages(self) -> AsyncIterator[bytes]:
        """Until the client leaves, its right ends or its token expires."""
        limits, loop = self._ports.limits, asyncio.get_running_loop()
        yield b"retry: 1000\n\n"
        sent_s = checked_s = loop.time()
        while True:
            now_s = loop.time()
            if not self._may_go_on(now_s - checked_s > limits.reverify_s):
                yield message("end", {"reason": "the right to read has ended"})
                return
            if now_s - checked_s > limits.reverify_s:
                checked_s = now_s
            body, wait_s = await self._next()
            if body is not None:
                yield body
                sent_s = loop.time()
            elif now_s - sent_s >= limits.heartbeat_s:
                yield message("heartbeat", {"now_ns": self._ports.now_ns()})
                sent_s = now_s
            await asyncio.sleep(wait_s)

    async def _next(self) -> tuple[bytes | None, float]:
        """The next message, None when nothing has changed; and how long to wait behind it, s."""
        period_s = self._ports.limits.live_period_s
        try:
            body = await self._ports.twin.ask("snapshot_since", self._venue_id, self._cursor)
        except AwayError as error:
            return message("away", {"part": error.part, "reason": error.reason}), AWAY_S
        except KeyError:
            # A store that has just come back does not know its venues yet.
            return message("away", {"part": "twin-store", "reason": "catching up"}), AWAY_S
        cursor, self._cursor = self._cursor, body["cursor"]
        idle = cursor and not body["full"] and not (
            body["athletes"] or body["events"] or "devices" in body or "predictions" in body
        )
        if idle:
            return None, period_s
        sent = message("snapshot", snapshot_view(body, self._sight), body["cursor"])
        return sent, 0.0 if body["more"] else period_s

    def _may_go_on(self, ask_again: bool) -> bool:
        if self._caller.expires_s <= self._ports.now_ns() / 1e9:
            return False
        if not ask_again:
            return True
        try:
            self._sight = allow(
                self._ports, self._caller, LIVE, f"live/{self._venue_id}", self._venue_id
            )
        except AccessError:
            return False
        return True


def message(kind: str, body: dict[str, Any], cursor: str = "") -> bytes:
    """One server-sent event."""
    head = f"id: {cursor}\n" if cursor else ""
    data = json.dumps(body, separators=(",", ":"), allow_nan=False)
    return f"{head}event: {kind}\ndata: {data}\n\n".encode()
