"""Settings: one frozen pydantic tree from defaults, one TOML file, the environment and overrides.

Owns every knob of the system and nothing else: no kernel sees this tree, composition roots turn it
into small frozen configs. Later sources win: defaults < TOML < environment < overrides.
`TOUCHLINE_SECTION__KEY` sets `section.key`; `TOUCHLINE_DATA_DIR` sets `data_dir`. Paths are made
absolute on loading, because actors do not share the working folder of their driver. Secrets never
live here: keys are files under `identity.key_dir`, S3 credentials come from the usual AWS sources.
Units are in the names.
"""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args, get_origin

from pydantic import BaseModel, Field, ValidationError, model_validator

from cluster.pool_settings import PoolSettings
from cluster.settings_layers import from_environment, merge, nested, read_toml
from cluster.settings_section import Section
from cluster.webhook_settings import WebhookSettings
from models.errors import ConfigError

_Port = Annotated[int, Field(ge=0, le=65535)]
_Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]


class LogSettings(Section):
    """The event log."""

    url: str = Field(default="", description="Event log; empty: `sqlite:<data_dir>/log`")
    segment_bytes: int = Field(
        default=64 << 20, ge=64 << 10, le=4 << 30, description="A segment rotates at this size"
    )
    retention_s: float = Field(
        default=14_400.0, gt=0, description="Rolled records are kept this long"
    )


class EdgeSettings(Section):
    """Pre-processing in the stadium; mirrors `models.edge.config.EdgeConfig`."""

    tick_ms: int = Field(default=100, ge=10, le=10_000, description="Event-time span of one record")
    lateness_ms: int = Field(
        default=250, ge=0, le=60_000, description="How long a record waits for rows"
    )
    late_bound_ms: int = Field(
        default=30_000, ge=0, description="Later rows are rejected as too late"
    )
    future_bound_ms: int = Field(default=1_000, ge=0, description="Rows further ahead are rejected")
    thin: bool = Field(default=True, description="Decimate calm flows; false forwards every sample")
    imu_hz: float = Field(default=50.0, gt=0, description="Rate of a calm inertial flow")
    ball_imu_hz: float = Field(
        default=100.0, gt=0, description="Rate of a calm ball's inertial flow"
    )
    position_hz: float = Field(
        default=25.0, gt=0, description="Rate of a calm position flow above it"
    )
    pre_roll_ms: int = Field(
        default=2_000, ge=0, le=10_000, description="Full rate before a flow is hot"
    )
    post_roll_ms: int = Field(
        default=5_000, ge=0, le=60_000, description="Full rate after it is calm"
    )
    hot_enter: float = Field(
        default=0.70, gt=0, le=1, description="A flow is hot from this intensity on"
    )
    hot_leave: float = Field(default=0.55, ge=0, le=1, description="... and calm below this one")
    hot_hold_ms: int = Field(
        default=2_000, ge=0, le=60_000, description="... held below it this long"
    )

    @model_validator(mode="after")
    def _hysteresis(self) -> Self:
        if self.hot_leave > self.hot_enter:
            raise ValueError("hot_leave must not exceed hot_enter")
        return self


class SimulatorSource(Section):
    """A simulated match."""

    type: Literal["simulator"] = Field(default="simulator", description="A simulated match")
    seed: int = Field(default=1, ge=0, description="Same seed, same match")
    duration_s: int = Field(default=600, ge=1, le=86_400, description="Length of the match")
    speed: float = Field(
        default=1.0, ge=0, description="Times real time; 0: as fast as it is taken"
    )
    imu_hz: int = Field(
        default=100, ge=10, le=1000, multiple_of=10,
        description="Rate of the athletes' inertial units",
    )
    pos_hz: int = Field(
        default=20, ge=10, le=100, multiple_of=10, description="Rate of the positions"
    )
    ball_hz: int = Field(
        default=500, ge=50, le=1000, multiple_of=50,
        description="Rate of the ball's inertial unit",
    )
    start_ns: int = Field(
        default=0, ge=0, description="Kick-off, ns UTC; 0: the simulator's default"
    )
    faults: bool = Field(default=True, description="Whether devices fail as real ones do")


class FileSource(Section):
    """A recording."""

    type: Literal["file"] = Field(default="file", description="A recording")
    path: str = Field(min_length=1, description="The file or folder of the recording")
    mapping: str = Field(default="", description="JSON file that maps CSV columns to channels")
    speed: float = Field(
        default=0.0, ge=0, description="Times real time; 0: as fast as it is taken"
    )
    merge_late: bool = Field(default=False, description="What is late comes as one batch, as live")


class UdpSource(Section):
    """Signed datagrams of device packets."""

    type: Literal["udp"] = Field(
        default="udp", description="Datagrams signed with the gateway's key"
    )
    host: str = Field(default="127.0.0.1", description="Address to listen on")
    port: _Port = Field(default=5600, description="Port to listen on; 0: any free one")
    gateway: _Name = Field(
        default="gateway", description="Name of the key that signs the datagrams"
    )
    queue_packets: int = Field(
        default=8_192, ge=1, le=1 << 20, description="Bound of the receive queue"
    )


class FlightSource(Section):
    """Arrow Flight with mutual TLS."""

    type: Literal["flight"] = Field(default="flight", description="Arrow Flight with mutual TLS")
    host: str = Field(default="127.0.0.1", description="Address to listen on")
    port: _Port = Field(default=8815, description="Port to listen on; 0: any free one")
    queue_batches: int = Field(
        default=256, ge=1, le=65_536, description="Bound of the receive queue"
    )


class HttpSource(Section):
    """Packets that arrive through `POST /v1/ingest`."""

    type: Literal["http"] = Field(
        default="http", description="Packets posted to the REST interface"
    )
    queue_batches: int = Field(
        default=256, ge=1, le=65_536, description="Bound of the receive queue"
    )


SourceSettings = Annotated[
    SimulatorSource | FileSource | UdpSource | FlightSource | HttpSource,
    Field(discriminator="type"),
]


class VenueSettings(Section):
    """One venue and its match."""

    id: _Name = Field(description="Name of the venue in topics, paths and the interfaces")
    match_id: _Name = Field(default="match-1", description="Name of the match")
    roster: str = Field(
        default="", description="Roster file (JSON); empty: the source brings its own"
    )
    sources: tuple[SourceSettings, ...] = Field(
        default=(), max_length=16, description="Where samples come from"
    )


class ServeSettings(Section):
    """HTTP interfaces and nets."""

    host: str = Field(default="127.0.0.1", description="Address of the HTTP interfaces")
    port: _Port = Field(default=8000, description="Port of the HTTP interfaces")
    nets: bool = Field(
        default=True, description="Whether the nets are served; else the rules answer"
    )


class TierSettings(Section):
    """Warm and cold storage."""

    warm_url: str = Field(
        default="", description="Warm tier, folder or `s3://`; empty: under data_dir"
    )
    cold_url: str = Field(
        default="", description="Cold tier, folder or `s3://`; empty: under data_dir"
    )
    roll_every_s: float = Field(default=60.0, gt=0, description="Time between rolls while live")


class S3Settings(Section):
    """How `s3://` URLs are reached; credentials come from the usual AWS sources."""

    endpoint_url: str = Field(default="", description="S3 endpoint; empty: AWS")
    region: str = Field(default="", description="S3 region; empty: as the AWS environment says")


class RaySettings(Section):
    """The Ray cluster."""

    address: str = Field(
        default="local", description="`local` starts Ray here; else a cluster's address"
    )
    num_cpus: int | None = Field(
        default=None, ge=1, description="CPUs for Ray; none: cores, at least 4"
    )
    object_store_mb: int = Field(
        default=300, ge=80, description="Size of the object store (local only)"
    )
    dashboard: bool = Field(
        default=False, description="Whether the dashboard is started (local only)"
    )
    dashboard_port: _Port = Field(default=8265, description="Port of the dashboard on loopback")


class IdentitySettings(Section):
    """The local issuer."""

    key_dir: str = Field(default="", description="Keys, mode 0600; empty: `<data_dir>/keys`")
    token_ttl_s: int = Field(
        default=3_600, ge=1, le=31_536_000, description="Life of an access token"
    )
    issuer: str = Field(default="touchline", min_length=1, description="`iss` of the access tokens")
    audience: str = Field(
        default="touchline-api", min_length=1, description="`aud` of the access tokens"
    )


class AuditSettings(Section):
    """The audit chain."""

    rotate_bytes: int = Field(
        default=16 << 20, ge=4096, description="An audit file rotates at this size"
    )
    keep_files: int = Field(
        default=64, ge=2, le=10_000, description="Audit files kept; the oldest go"
    )


class Settings(Section):
    """The whole tree. Empty paths and URLs are filled in from `data_dir` on construction."""

    data_dir: str = Field(
        default=".touchline", min_length=1, description="Everything that is written"
    )
    log: LogSettings = LogSettings()
    edge: EdgeSettings = EdgeSettings()
    venues: tuple[VenueSettings, ...] = Field(
        default=(), max_length=256, description="The venues; each is a table `[[venues]]`"
    )
    webhooks: tuple[WebhookSettings, ...] = Field(
        default=(), max_length=64, description="Who is told of events; each is `[[webhooks]]`"
    )
    pool: PoolSettings = PoolSettings()
    serve: ServeSettings = ServeSettings()
    tiers: TierSettings = TierSettings()
    s3: S3Settings = S3Settings()
    ray: RaySettings = RaySettings()
    identity: IdentitySettings = IdentitySettings()
    audit: AuditSettings = AuditSettings()

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, data: Any) -> Any:
        if not isinstance(data, Mapping):
            return data
        filled = {k: v.model_dump() if isinstance(v, BaseModel) else v for k, v in data.items()}
        given = filled.get("data_dir", ".touchline")
        if not isinstance(given, str) or not given:
            return filled
        root = _absolute(given)
        filled["data_dir"] = root
        _default(filled, "log", "url", f"sqlite:{root}/log")
        _default(filled, "tiers", "warm_url", f"{root}/tiers/warm")
        _default(filled, "tiers", "cold_url", f"{root}/tiers/cold")
        _default(filled, "identity", "key_dir", f"{root}/keys")
        return filled

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        for what, listed in (("venues", self.venues), ("webhooks", self.webhooks)):
            if len({one.id for one in listed}) != len(listed):
                raise ValueError(f"two {what} have the same id")
        return self

    def to_dict(self) -> dict[str, Any]:
        """Plain values that travel to actors; `Settings.from_dict` is the way back."""
        return self.model_dump(mode="json")

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> "Settings":
        """Raises ConfigError naming the bad key."""
        try:
            return Settings.model_validate(dict(values))
        except ValidationError as error:
            raise ConfigError(_explain(error)) from error


def load_settings(
    path: Path | str | None = None,
    overrides: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Settings:
    """Defaults < TOML at `path` < `environ` (os.environ if None) < `overrides`.

    overrides: nested like the tree, or with dotted keys (`{"serve.port": 0}`). Raises ConfigError
    that names the file and the bad key.
    """
    tree = read_toml(Path(path)) if path is not None else {}
    merge(tree, from_environment(os.environ if environ is None else environ))
    merge(tree, nested(overrides or {}))
    try:
        return Settings.from_dict(tree)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}" if path is not None else str(error)) from error


def settings_reference() -> list[tuple[str, str, str, str]]:
    """(key, type, default, doc) of every setting, in the order of the tree.

    Tables in lists are written `venues[].id`; those of a source also name its type:
    `venues[].sources[udp].port`.
    """
    return list(_reference(Settings, ""))


def _reference(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, str, str, str]]:
    for name, info in model.model_fields.items():
        key, annotation = prefix + name, info.annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            yield from _reference(annotation, key + ".")
            continue
        default = "(required)" if info.is_required() else json.dumps(info.default)
        yield key, _type_name(annotation), default, info.description or ""
        for inner in _models_in(annotation):
            label = inner.model_fields["type"].default if "type" in inner.model_fields else ""
            yield from _reference(inner, f"{key}[{label}].")


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for inner in get_args(annotation) for model in _models_in(inner)]


def _type_name(annotation: Any) -> str:
    if _models_in(annotation):
        return "list of tables"
    if isinstance(annotation, type):
        return annotation.__name__
    if get_origin(annotation) is tuple:
        return f"list of {_type_name(get_args(annotation)[0])}"
    if get_origin(annotation) is Annotated:
        return _type_name(get_args(annotation)[0])
    args = [arg for arg in get_args(annotation) if arg is not type(None)]
    return " | ".join(a.__name__ if isinstance(a, type) else json.dumps(a) for a in args)


def _default(tree: dict[str, Any], section: str, key: str, value: str) -> None:
    table = tree.get(section, {})
    if isinstance(table, Mapping) and table.get(key, "") == "":
        tree[section] = {**table, key: value}


def _absolute(path: str) -> str:
    return str(Path(path).expanduser().absolute())


def _explain(error: ValidationError) -> str:
    """One line per bad key, dotted as in the reference."""
    lines = []
    for problem in error.errors(include_url=False):
        key = ".".join(str(part) for part in problem["loc"]) or "settings"
        if problem["type"] == "extra_forbidden":
            lines.append(f"{key}: no such setting")
        else:
            got = problem["input"]
            shown = "" if isinstance(got, Mapping) else f" (got {str(got)[:80]!r})"
            lines.append(f"{key}: {problem['msg'].removeprefix('Value error, ')}{shown}")
    return "; ".join(lines)


def played_faster(tree: Settings) -> frozenset[str]:
    """Venues whose source is played at another speed than that of a match. They come as fast as
    they can be taken, and the same each time: nobody orders their edges to do anything else."""
    return frozenset(
        venue.id for venue in tree.venues
        if any(getattr(source, "speed", 1.0) != 1.0 for source in venue.sources)
    )
