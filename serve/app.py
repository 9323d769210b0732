"""The Serve application, composed: the API with its ports, and the nets beside it.

`build(args)` is a composition root: `serve.run(build({"settings": settings.to_dict()}),
name=names.SERVE_APP, route_prefix="/")`, or the import path of a Serve config file. The FastAPI app
is made inside the replica, so that nothing has to be pickled. Where HTTP listens is the proxy's
business: `http_options` says it, loopback by default.
"""

import time
from collections.abc import Mapping
from typing import Any, Final

from fastapi import FastAPI
from ray import serve

from cluster.audit import Entry, open_audit
from cluster.identity import open_issuer
from cluster.placement import OFF_FLOW_NODES
from cluster.settings import Settings
from cluster.storage import open_storage
from cluster.tiers import totals
from models.policies.access import Principal
from serve.api import build_api
from serve.gate import Gate
from serve.nets import NetOptions, net_applications
from serve.ports import Ports
from serve.ray_ports import Actors, RayPool, RayStadium, RayTwin

API_NAME: Final = "api"
TIERS_FOR_S: Final = 10.0


class ApiReplica:
    """One replica of the HTTP interface. `nets` are held only so that they are deployed with it."""

    def __init__(self, settings: Mapping[str, Any], nets: Mapping[str, Any]) -> None:
        self._settings = Settings.from_dict(settings)
        self._nets = dict(nets)

    def __serve_build_asgi_app__(self) -> FastAPI:
        return build_api(make_ports(self._settings))


def build(args: Mapping[str, Any]) -> serve.Application:
    """args: {"settings": Settings.to_dict()}. Raises ConfigError for settings that do not hold."""
    settings = Settings.from_dict(args["settings"])
    options = NetOptions.of(settings.serve.model_dump())
    nets = net_applications(options) if settings.serve.nets else {}
    api = serve.deployment(
        name=API_NAME, num_replicas=1, max_ongoing_requests=200, health_check_period_s=1,
        health_check_timeout_s=5, graceful_shutdown_timeout_s=3,
        ray_actor_options={"num_cpus": 0.1, **OFF_FLOW_NODES},
    )(serve.ingress()(ApiReplica))
    return api.bind(settings.to_dict(), nets)


def http_options(settings: Settings) -> dict[str, Any]:
    """For `serve.start(http_options=...)`. No time limit on requests: the live feed has no end."""
    return {
        "host": settings.serve.host, "port": settings.serve.port, "request_timeout_s": None,
        "keep_alive_timeout_s": 30,
    }


def make_ports(settings: Settings) -> Ports:
    """The real ports: named actors, the local issuer, the audit chain, the storage tiers."""
    actors = Actors()
    audit = open_audit(settings)

    def deny(caller: Principal, action: str, resource: str, reason: str) -> None:
        who = f"{caller.role}:{caller.subject}"
        audit.append(Entry(who, action, resource, "deny", reason, caller.token_id))

    gate = Gate(open_issuer(settings.identity).verify, deny)
    return Ports(
        RayTwin(actors), RayStadium(actors), RayPool(actors), gate, time.time_ns,
        TierSizes(settings).now,
    )


class TierSizes:
    """Bytes and rows of the tiers, looked up at most every `TIERS_FOR_S`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._held: dict[str, Any] = {}
        self._until_s = float("-inf")

    def now(self) -> dict[str, Any]:
        """tier -> {bytes, rows}. Raises TouchlineError, OSError when one cannot be reached."""
        now_s = time.monotonic()
        if now_s < self._until_s:
            return self._held
        settings = self._settings
        self._held = {
            "hot": hot_size(settings.log.url),
            "warm": tier_size(settings.tiers.warm_url, settings),
            "cold": tier_size(settings.tiers.cold_url, settings),
        }
        self._until_s = now_s + TIERS_FOR_S
        return self._held


def tier_size(url: str, settings: Settings) -> dict[str, int]:
    """Bytes and rows of what a tier's manifests name."""
    return totals(open_storage(url, settings.s3.endpoint_url, settings.s3.region))


def hot_size(url: str) -> dict[str, int]:
    """Bytes and records of the event log, over all topics."""
    from cluster.eventlog.open import open_log

    log = open_log(url)
    try:
        infos = [log.describe(topic) for topic in log.topics()]
    finally:
        log.close()
    return {
        "bytes": sum(info.size_bytes for info in infos),
        "rows": sum(info.end - info.begin for info in infos),
    }
