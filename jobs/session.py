"""A running system: everything that is started for a run, watched, and stopped again.

The order of the start matters. A live venue takes samples as soon as it can: they are safe in the
log before anybody reads it. What is played begins last, when all readers are there, so that its
first sample already finds its way to the end. `stop` undoes whatever `start` has done so far.
"""

import contextlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.connection import connect, disconnect
from cluster.eventlog.open import open_log
from cluster.identity import open_issuer
from cluster.names import SERVE_APP, worker_actor
from cluster.settings import FileSource, Settings, SimulatorSource, VenueSettings
from models.errors import TouchlineError
from models.latency import LatencyHistogram

ASK_S = 10.0
READY_S = 120.0
FAILED_STILL_S = 3.0
STATES_THAT_END = ("failed", "fenced")
SEVERITY = ("ok", "waiting", "silent", "degraded", "failed")


class StartError(TouchlineError):
    """A part of the system did not come up."""


@dataclass(frozen=True, slots=True)
class Progress:
    """`done` in [0, 1]; `mark` changes as long as anything moves; `failure` is final."""

    done: float
    text: str
    finished: bool
    mark: tuple[Any, ...]
    failure: str = ""


class Session:
    """`fixed_workers` 0 leaves the pool elastic."""

    def __init__(self, settings: Settings, fixed_workers: int = 0) -> None:
        self.settings = settings
        self.venues = [venue.id for venue in settings.venues]
        self._fixed = fixed_workers
        self._actors: dict[str, Any] = {}
        self._stats: dict[str, dict[str, Any]] = {}
        self._status: dict[str, Any] = {}
        self._serving = False
        self._connected = False
        self._data = Path(settings.data_dir)
        self._data.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.log = open_log(settings.log.url, settings.log.segment_bytes)

    # -- start and stop ---------------------------------------------------------------------------

    def start(self, say: Callable[[str], None] = print) -> None:
        """Bring up everything; returns when the sources play. Raises StartError, ConfigError."""
        begun_s = time.monotonic()
        connect(self.settings)
        self._connected = True
        say(f"Ray is up ({time.monotonic() - begun_s:.1f} s)")
        from actors import launch

        self._actors["twin"] = launch.launch_twin_store(self.settings)
        self._actors["coordinator"] = launch.launch_coordinator(self.settings, self._fixed)
        if self.settings.webhooks:
            self._actors["webhooks"] = launch.launch_webhooks(self.settings)
        self._open_venues(played=False)
        self._serve()
        self._ask("twin", "ping", limit_s=READY_S)
        if "webhooks" in self._actors:
            self._ask("webhooks", "stats", limit_s=READY_S)
        self._status = self._ask("coordinator", "status", limit_s=READY_S)
        self._open_venues(played=True)
        self._actors["supervisor"] = launch.launch_supervisor(self.settings)
        nets = "with nets" if self.settings.serve.nets else "rules only"
        say(f"pool, twins and Serve ({nets}) are up ({time.monotonic() - begun_s:.1f} s)")

    def _open_venues(self, played: bool) -> None:
        """Launch the stadiums that play something, or those that do not."""
        from actors import launch

        for venue in self.settings.venues:
            if _plays(venue) == played:
                stadium = launch.launch_stadium(self.settings, venue.id)
                self._actors[f"stadium/{venue.id}"] = stadium

    def _serve(self) -> None:
        """The HTTP interface and the nets; returns when they answer."""
        import logging

        from ray import serve

        from serve.app import build, http_options

        self._serving = True
        logging.getLogger("ray.serve").setLevel(logging.WARNING)
        try:
            serve.start(http_options=http_options(self.settings))
        except RuntimeError as error:  # Ray's own errors of a task are of its cause's type too
            why = (str(error).strip() or type(error).__name__).splitlines()[-1]
            raise StartError(f"HTTP at serve.host and serve.port: {why}") from error
        app = build({"settings": self.settings.to_dict()})
        serve.run(app, name=SERVE_APP, route_prefix="/")

    def finish(self, limit_s: float = 60.0) -> bool:
        """End every match: take what sources hold, and wait for the final records downstream.

        False when that does not come; soon, when a venue has failed and nothing moves any more.
        """
        end_s = still_s = time.monotonic()
        end_s += limit_s
        last: tuple[Any, ...] | None = None
        while time.monotonic() < end_s:
            for venue in self.venues:
                # Each turn anew: a stadium that is being restarted has not heard it yet.
                self._ask(f"stadium/{venue}", "finish", default=False)
            progress = self.progress()
            if progress.finished:
                return True
            if progress.mark != last:
                last, still_s = progress.mark, time.monotonic()
            if progress.failure and time.monotonic() - still_s > FAILED_STILL_S:
                return False
            time.sleep(0.25)
        return False

    def stop(self) -> None:
        """Stop what runs; harmless twice, and after a start that failed half-way."""
        if self._connected:
            import ray
            from ray import serve

            with contextlib.suppress(Exception):  # what is dead already needs no stop
                for name in [n for n in self._actors if n.startswith("stadium/")]:
                    ray.get(self._actors[name].stop.remote(), timeout=ASK_S)
            with contextlib.suppress(Exception):
                # A cluster of our own ends with us; shutting Serve down first only takes time.
                if self._serving and self.settings.ray.address != "local":
                    serve.shutdown()  # type: ignore[no-untyped-call]
            with contextlib.suppress(Exception):
                self._end_actors()
            disconnect()
            self._connected = False
        self.log.close()

    def _end_actors(self) -> None:
        import ray

        if "supervisor" in self._actors:
            ray.kill(self._actors.pop("supervisor"))
        # The cluster would keep nodes for workers that nobody is going to start.
        self._ask("coordinator", "stop", default=False)
        for name in ("coordinator", "twin", *self._actors):
            handle = self._actors.pop(name, None)
            if handle is not None:
                ray.kill(handle)
        # By name: of workers that still wait for a node no status tells.
        for name in ray.util.list_named_actors():
            if name.startswith(worker_actor("")):
                with contextlib.suppress(ValueError):
                    ray.kill(ray.get_actor(name))

    # -- watching ---------------------------------------------------------------------------------

    def progress(self) -> Progress:
        """How far it is; an actor that is being restarted keeps its last word meanwhile."""
        for venue in self.venues:
            stats = self._ask(f"stadium/{venue}", "stats", default={})
            if stats:
                self._stats[venue] = stats
        self._status = self._ask("coordinator", "status", default=self._status) or self._status
        stats = list(self._stats.values())
        shares = [_share(one) for one in stats]
        done = sum(shares) / max(len(self.venues), 1)
        rows = sum(one.get("account", {}).get("in", 0) for one in stats)
        lag = self._status.get("lag_records", 0)
        size = self._status.get("size", 0)
        finished = (
            len(stats) == len(self.venues) and all(one.get("done") for one in stats)
            and bool(self._status.get("all_final")) and self._caught_up()
        )
        failed = [
            f"{one.get('venue_id', 'venue')}: {one.get('error')}"
            for one in stats if one.get("state") in STATES_THAT_END
        ]
        text = f"{rows:,} samples, {size} workers, {lag} records behind"
        mark = (rows, lag, self._status.get("rows_n"), finished)
        found = Progress(done, text, finished, mark, "; ".join(failed))
        self._note(found)
        return found

    def _caught_up(self) -> bool:
        ops = self._ask("twin", "ops", default={})
        return bool(ops) and not any(ops["lag_records"].values())

    def settle_webhooks(self, limit_s: float = 10.0) -> bool:
        """Wait until receivers have been told of all that there is, but not for one that fails or
        takes longer: the next start goes on where this one ends."""
        end_s = time.monotonic() + limit_s
        while "webhooks" in self._actors:
            if self._ask("webhooks", "settled", default=False):
                return True
            if time.monotonic() >= end_s:
                return False
            time.sleep(0.05)
        return True

    def _note(self, progress: Progress) -> None:
        """Leave the progress where operators and tests find it."""
        path = self._data / ".progress.json.new"
        path.write_text(json.dumps({"done": progress.done}))
        path.replace(self._data / "progress.json")

    def stadium_stats(self) -> dict[str, dict[str, Any]]:
        """The newest word of every stadium."""
        self.progress()
        return self._stats

    def ended(self) -> list[str]:
        """Venues whose match has come to its end, by their newest word."""
        return [
            f"{venue}: match {one.get('match_id')}" for venue, one in self._stats.items()
            if one.get("done")
        ]

    def pool(self) -> dict[str, Any]:
        """The pool's part of the report."""
        status = self._status
        return {
            "min": status.get("min_size", 0), "max": status.get("max_size", 0),
            "decisions": status.get("decisions", []),
        }

    def latency(self) -> dict[str, LatencyHistogram]:
        """Stage -> histogram, over all actors."""
        stages: dict[str, LatencyHistogram] = {}
        sources = [one.get("latency", {}) for one in self._stats.values()]
        sources += [
            self._ask("coordinator", "latency", default={}),
            self._ask("twin", "latency", default={}),
            self._ask("webhooks", "stats", default={}).get("latency", {}),
        ]
        for source in sources:
            for stage, values in source.items():
                stages.setdefault(stage,
                LatencyHistogram()).merge(LatencyHistogram.from_dict(values))
        return stages

    def webhooks(self) -> dict[str, Any]:
        """How it stands with each webhook; empty where there is none."""
        found: dict[str, Any] = self._ask("webhooks", "stats", default={}).get("webhooks", {})
        return found

    def fatigue(self) -> dict[str, dict[str, float]]:
        """The fatigue net's newest word per athlete."""
        found: dict[str, dict[str, float]] = {}
        for venue in self.venues:
            for one in self._ask("twin", "predictions", venue, default={}).get("fatigue", ()):
                scores = one["scores"]
                if one.get("source") == "net":
                    found[one["subject_id"]] = {
                        "index": scores["mid"], "low": scores["low"], "high": scores["high"]
                    }
        return found

    def devices(self) -> list[dict[str, Any]]:
        """One entry per device: the worst status of its streams, and what may fail."""
        merged: dict[str, dict[str, Any]] = {}
        for venue in self.venues:
            for row in self._ask("twin", "devices", venue, default=[]):
                held = merged.setdefault(
                    row["id"], {"id": row["id"], "status": "ok", "faults": [], "failure_p": 0.0}
                )
                held["status"] = max(held["status"], row["status"], key=_severity)
                held["faults"] = sorted({*held["faults"], *row["faults"]})
                held["failure_p"] = max(held["failure_p"], row["failure_p"])
        return [merged[key] for key in sorted(merged)]

    def links(self) -> dict[str, str]:
        """Where to look. The page's token is in the fragment, which no server is sent."""
        serve, ray = self.settings.serve, self.settings.ray
        # Whoever runs this owns the venue's data: both teams, health included.
        issuer = open_issuer(self.settings.identity)
        token = issuer.mint("operator", "medical", claims={"team": "*"})
        base = f"http://{serve.host}:{serve.port}"
        found = {"page": f"{base}/#token={token}", "API": f"{base}/docs"}
        if ray.dashboard and ray.address == "local":
            found["dashboard"] = f"http://127.0.0.1:{ray.dashboard_port}"
        return found

    def _ask(
        self, actor: str, method: str, *args: Any, default: Any = None, limit_s: float = ASK_S
    ) -> Any:
        """An actor's answer; `default` when there is one and the actor is away for now."""
        import ray

        try:
            return ray.get(getattr(self._actors[actor], method).remote(*args), timeout=limit_s)
        except (ray.exceptions.RayError, KeyError) as error:
            if default is None:
                raise StartError(f"{actor}: {type(error).__name__}: {error}"[:500]) from error
            return default


def _plays(venue: VenueSettings) -> bool:
    """Whether a recording or a simulation is played there."""
    return any(isinstance(source, FileSource | SimulatorSource) for source in venue.sources)


def _share(stats: Mapping[str, Any]) -> float:
    """How much of a venue's bounded sources has been played."""
    shares = [
        1.0 if one.get("done") else one.get("cursor", 0) / one["total"]
        for one in stats.get("sources", ()) if one.get("total")
    ]
    return sum(shares) / len(shares) if shares else float(bool(stats.get("done")))


def _severity(status: str) -> int:
    return SEVERITY.index(status) if status in SEVERITY else 0
