"""Makes a venue's sources from its settings.

A venue plays at most one recording or simulation, which brings its own roster; live sources need a
roster file otherwise. Pushed packets are always taken, also while a recording plays. What only one
kind of source needs is imported for it alone: a stadium that is started again has not the time.
"""

import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from actors.sources.arrival import ArrivalClock
from actors.sources.played import PlayedSource, Track
from actors.sources.port import Source
from actors.sources.push import PushSource
from actors.sources.udp import UdpSource
from cluster import settings as tree
from cluster.datagram_keys import open_datagram_key
from models.errors import ConfigError
from models.telemetry.devices import DeviceIndex
from models.telemetry.roster import Roster

if TYPE_CHECKING:
    from models.simulator.config import MatchConfig


@dataclass(frozen=True, slots=True)
class Played:
    """The venue's recording or simulation."""

    source_id: str
    roster: Roster
    track: Track
    speed: float
    merge_late: bool = False


@dataclass(frozen=True, slots=True)
class SourceContext:
    """What all sources of a venue share."""

    settings: tree.Settings
    venue: tree.VenueSettings
    index: DeviceIndex
    clock: ArrivalClock
    wake: Callable[[], None]
    wall_ns: Callable[[], int]


def played_in(venue: tree.VenueSettings) -> Played | None:
    """The one recording or simulation of `venue`. Raises ConfigError, SchemaError."""
    found: list[Played] = []
    for number, source in enumerate(venue.sources):
        source_id = f"{source.type}-{number}"
        if isinstance(source, tree.SimulatorSource):
            found.append(_simulated(source, venue, source_id))
        elif isinstance(source, tree.FileSource):
            found.append(_recorded(source, source_id))
    if len(found) > 1:
        raise ConfigError(f"venue {venue.id}: one recording or simulation at most")
    return found[0] if found else None


def roster_of(venue: tree.VenueSettings, played: Played | None) -> Roster:
    """The roster that holds for the venue's devices. Raises ConfigError."""
    if played is not None:
        if venue.roster:
            raise ConfigError(f"venue {venue.id}: a recording brings its own roster")
        return played.roster
    if not venue.roster:
        raise ConfigError(f"venue {venue.id}: live sources need a roster file")
    try:
        return Roster.from_json(Path(venue.roster).read_bytes())
    except OSError as error:
        raise ConfigError(f"roster {venue.roster}: {error.strerror}") from error


def make_sources(
    context: SourceContext, played: Played | None, cursors: Mapping[str, int]
) -> list[Source]:
    """All sources of the venue, each at its cursor, not yet started. Raises ConfigError."""
    sources: list[Source] = []
    if played is not None:
        cursor = cursors.get(played.source_id, 0)
        sources.append(PlayedSource(
            played.source_id, played.track, played.speed, cursor, played.merge_late
        ))
    for number, source in enumerate(context.venue.sources):
        cursor = cursors.get(f"{source.type}-{number}", 0)
        if isinstance(source, tree.UdpSource):
            sources.append(_udp(context, source, f"udp-{number}", cursor))
        elif isinstance(source, tree.FlightSource):
            sources.append(_flight(context, source, f"flight-{number}", cursor))
    sources.append(_push(context, cursors))
    return sources


def _simulated(
    source: tree.SimulatorSource, venue: tree.VenueSettings, source_id: str
) -> Played:
    from actors.sources.simulator import SimulatedTrack
    from models.simulator.match import MatchSimulator

    simulator = MatchSimulator(_match(source, venue))
    return Played(source_id, simulator.roster, SimulatedTrack(simulator), source.speed)


def _recorded(source: tree.FileSource, source_id: str) -> Played:
    from actors.sources.recorded import open_recording, read_mapping
    from actors.sources.recording import RecordedTrack

    mapping = read_mapping(Path(source.mapping)) if source.mapping else None
    recording = open_recording(Path(source.path), mapping)
    track = RecordedTrack(recording)
    return Played(source_id, recording.roster, track, source.speed, source.merge_late)


def _match(source: tree.SimulatorSource, venue: tree.VenueSettings) -> "MatchConfig":
    from models.simulator.config import START_NS, Faults, MatchConfig

    return MatchConfig(
        seed=source.seed, duration_s=source.duration_s, imu_hz=source.imu_hz,
        pos_hz=source.pos_hz, ball_hz=source.ball_hz, start_ns=source.start_ns or START_NS,
        faults=Faults() if source.faults else Faults.none(), venue_id=venue.id,
        match_id=venue.match_id,
    )


def _udp(context: SourceContext, source: tree.UdpSource, source_id: str, cursor: int) -> Source:
    key_dir = context.settings.identity.key_dir
    key = open_datagram_key(key_dir, context.venue.id, source.gateway)
    return UdpSource(
        source_id, context.index, context.clock, context.wake, key.verify, source.host,
        source.port, source.queue_packets, cursor,
    )


def _flight(
    context: SourceContext, source: tree.FlightSource, source_id: str, cursor: int
) -> Source:
    from actors.sources.flight import FlightSource, FlightTls
    from cluster.certificates import CertificateAuthority, may_send, service_uri

    authority = CertificateAuthority(context.settings.identity.key_dir)
    own = authority.issue_certificate(
        service_uri(f"stadium-{context.venue.id}"), dns=["localhost"], ips=_address(source.host)
    )
    tls = FlightTls(own.certificate, own.key, authority.root_pem())
    allowed = partial(may_send, venue_id=context.venue.id)
    return FlightSource(
        source_id, context.index, context.clock, context.wake, tls, allowed, source.host,
        source.port, source.queue_batches, cursor,
    )


def _address(host: str) -> list[str]:
    """The host for the certificate, when it is an address that clients can name."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return []
    return [] if address.is_unspecified else [host]


def _push(context: SourceContext, cursors: Mapping[str, int]) -> PushSource:
    declared = [s for s in context.venue.sources if isinstance(s, tree.HttpSource)]
    bound = declared[0].queue_batches if declared else tree.HttpSource().queue_batches
    return PushSource(
        "http", context.index, context.clock, context.wake, context.wall_ns, bound,
        cursors.get("http", 0),
    )
