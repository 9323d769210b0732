"""`GET /v1/ops` and the health probes: how the system itself is doing.

Owns the composition: each part is asked at the same time and has its own status, so that one part
that is away never hides the others. `/healthz` says that this process serves, `/readyz` that it can
answer questions.
"""

import asyncio
from collections.abc import Awaitable
from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from models.errors import TouchlineError
from models.latency import LatencyHistogram
from models.policies.sight import granted
from serve.catalogue import DEVICE
from serve.gate import READ, Here, Who, allow
from serve.ports import AwayError, Ports
from serve.problems import problem
from serve.routes_read import fresh


def ops_routes() -> APIRouter:
    router = APIRouter(tags=["ops"])
    router.add_api_route("/v1/ops", ops, methods=["GET"])
    router.add_api_route("/healthz", healthz, methods=["GET"])
    router.add_api_route("/readyz", readyz, methods=["GET"])
    return router


async def ops(ports: Here, who: Who) -> JSONResponse:
    """Stage latencies; and for operators pool, lag, samples, rejections, devices, tiers, actions.

    Callers without the class of device health get the latencies only.
    """
    allow(ports, who, READ, "ops")
    found = await collect_ops(ports)
    if DEVICE not in granted(who):
        found = {key: found[key] for key in ("now_ns", "stages")}
    return fresh(found)


async def healthz() -> JSONResponse:
    """This process serves."""
    return fresh({"status": "ok"})


async def readyz(ports: Here) -> JSONResponse:
    """503 with the reason while the twin store does not answer."""
    try:
        venues = await ports.twin.ask("venues")
    except AwayError as error:
        return problem(503, str(error), {"Retry-After": "2"}, part=error.part)
    return fresh({"status": "ready", "venues": len(venues)})


async def collect_ops(ports: Ports) -> dict[str, Any]:
    """One document; a part that is away is {"status": "away", "reason"}."""
    twin, pool, tiers = await asyncio.gather(
        _part(ports.twin.ask("ops")), _part(ports.pool.status()),
        _part(asyncio.to_thread(ports.tiers)),
    )
    venues = twin.get("venues", []) if twin["status"] == "ok" else []
    ids = [venue["venue_id"] for venue in venues]
    stats = await asyncio.gather(*(_part(ports.stadium.stats(venue_id)) for venue_id in ids))
    stadiums = dict(zip(ids, stats, strict=True))
    return {
        "now_ns": ports.now_ns(), "stages": stages(*stadiums.values(), pool, twin),
        "samples": samples(stadiums), "stadiums": stadiums, "pool": pool, "twin": twin,
        "tiers": tiers,
    }


def stages(*parts: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Stage -> {p50, p95, p99, max, count} in ms over all parts that measured the stage.

    A part gives `latency`: stage -> `LatencyHistogram.to_dict()`; histograms merge exactly.
    """
    merged: dict[str, LatencyHistogram] = {}
    for part in parts:
        for stage, values in (part.get("latency") or {}).items():
            try:
                held = LatencyHistogram.from_dict(values)
            except (KeyError, TypeError, ValueError, IndexError):
                continue  # a part of another version; its other figures still count
            merged.setdefault(stage, LatencyHistogram()).merge(held)
    return {
        stage: {name: round(value, 3) for name, value in held.summary_ms().items()}
        for stage, held in merged.items() if held.count
    }


def samples(stadiums: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Totals over venues of what came in and what became of it; rejections by reason."""
    total: dict[str, Any] = {
        "in": 0, "forwarded": 0, "thinned": 0, "buffered": 0, "lost_by_counter": 0, "rejected": {},
    }
    for stats in stadiums.values():
        account = stats.get("account") or {}
        for key in ("in", "forwarded", "thinned", "buffered", "lost_by_counter"):
            total[key] += int(account.get(key, 0))
        for reason, count in (account.get("rejected") or {}).items():
            total["rejected"][reason] = total["rejected"].get(reason, 0) + int(count)
    return total


async def _part(answer: Awaitable[Any]) -> dict[str, Any]:
    try:
        return {"status": "ok", **(await answer)}
    except AwayError as error:
        return {"status": "away", "reason": error.reason}
    except (TouchlineError, OSError) as error:
        return {"status": "away", "reason": type(error).__name__}
