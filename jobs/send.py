"""`touchline send --venue V --via http|udp|flight [PATH]`: plays devices to a venue that is live.

Sends a recording, or a simulated match without a PATH, with its clock moved to now, as a gateway of
the venue: with an access token, signed datagrams, or a client certificate, from the local issuer or
from a folder of `touchline token --gateway`. `--speed N` sends N times faster by compressing time
itself (a load test: bodies move N times faster); `--speed max` sends at once, as the history up to
now, of which a venue takes what is not older than its `edge.late_bound_ms`. What the venue does not
take waits and is sent again in order; over HTTP bodies become dense before the uplink gets narrow.
"""

import argparse
import json
import time
from dataclasses import asdict, fields, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

from actors.sources.played import SECOND_UNITS, UNIT_NS, Track
from actors.sources.recorded import open_recording, read_mapping
from actors.sources.recording import RecordedTrack
from actors.sources.simulator import SimulatedTrack
from cluster.settings import FlightSource, Settings, UdpSource
from jobs.demo import parse_speed
from jobs.gateway import Gateway, gateway_in, local_gateway
from jobs.options import add_settings_options, settings_of
from jobs.send_loop import HOLD_S, Sent, send
from jobs.send_stretch import Stretch
from jobs.send_ways import FlightWay, HttpWay, UdpWay, Way
from models.errors import ConfigError
from models.policies.link_pilot import LinkPilot
from models.policies.link_policy import Body, LinkPolicyConfig
from models.simulator.config import Faults, MatchConfig
from models.simulator.match import MatchSimulator
from models.telemetry.roster import Roster

WAYS: Final = ("http", "udp", "flight")
SIMULATED_S: Final = 60.0


def main(argv: list[str] | None = None) -> int:
    """0 when everything was sent, and answered where there are answers."""
    parser = argparse.ArgumentParser(prog="touchline send", description=__doc__)
    parser.add_argument("path", type=Path, nargs="?", metavar="PATH", help="a recording")
    parser.add_argument("--venue", required=True, help="id of the venue, as in its settings")
    parser.add_argument("--via", choices=WAYS, default="http")
    add_settings_options(parser, "the settings of the live system")
    parser.add_argument("--address", default="", help="URL or host:port, if not as in the settings")
    parser.add_argument("--gateway", default="gateway", help="name of the sending gateway")
    parser.add_argument("--credentials", type=Path, help="folder of `touchline token --gateway`")
    parser.add_argument("--format", choices=("arrow", "json", "binary"), default="arrow",
                        help="of HTTP payloads")
    parser.add_argument("--body", choices=("auto", *Body), default="auto",
                        help="of HTTP: plain, dense (zstd), or by the forecast of the uplink")
    parser.add_argument("--hold-s", type=float, default=HOLD_S,
                        help="how long a venue that was reached may be away")
    parser.add_argument("--mapping", type=Path, help="file that maps a table's columns to channels")
    parser.add_argument("--seed", type=int, default=1, help="of the simulated match")
    parser.add_argument("--faults", action="store_true", help="let simulated devices fail")
    parser.add_argument("--from-s", type=float, default=0.0, help="begin so far into the match")
    parser.add_argument("--seconds", type=float, default=0.0,
                        help="send so much of it; 0: all of a recording, a minute of a simulation")
    parser.add_argument("--speed", type=parse_speed, default=1.0, help="times real time, or max")
    parser.add_argument("--boot", type=int, default=-1,
                        help="added to the boot counters; rises with each run by itself")
    parser.add_argument("--start-ns", type=int, default=0,
                        help="when it begins, ns UTC, not now; with the same --boot a repetition")
    parser.add_argument("--write-roster", type=Path, help="write the venue's roster and end")
    parser.add_argument("--json", type=Path, help="write what became of it to this file")
    options = parser.parse_args(argv)
    roster, track = open_track(options)
    if options.write_roster is not None:
        options.write_roster.write_text(roster_text(roster))
        print(f"{options.write_roster}: {len(roster.devices)} devices")
        return 0
    stretch = stretch_of(track, options, time.time_ns())
    way = open_way(options, roster)
    pilot = LinkPilot(LinkPolicyConfig(fixed=fixed_body(options)))
    sent = send(way, stretch, pilot=pilot, hold_s=options.hold_s, say=partial(print, flush=True))
    print(summary(options.via, sent), flush=True)
    if options.json is not None:
        options.json.write_text(json.dumps(asdict(sent), indent=1, sort_keys=True))
    return 0


def fixed_body(options: argparse.Namespace) -> Body | None:
    """The body that is asked for, None when the pilot chooses. Only HTTP has a choice."""
    if options.via != "http":
        return Body.PLAIN
    return None if options.body == "auto" else Body(options.body)


def open_track(options: argparse.Namespace) -> tuple[Roster, Track]:
    """Who is in it, and the samples. Raises ConfigError, SchemaError."""
    if options.path is None:
        match = MatchConfig(
            options.seed, options.from_s + (options.seconds or SIMULATED_S),
            faults=Faults() if options.faults else Faults.none(), venue_id=options.venue,
        )
        simulator = MatchSimulator(match)
        return replace(simulator.roster, periods=()), SimulatedTrack(simulator)
    if not options.path.exists():
        raise ConfigError(f"{options.path}: there is no such file or folder")
    mapping = read_mapping(options.mapping) if options.mapping else None
    recording = open_recording(options.path, mapping)
    roster = replace(recording.roster, venue_id=options.venue, periods=())
    return roster, RecordedTrack(recording)


def stretch_of(track: Track, options: argparse.Namespace, now_ns: int) -> Stretch:
    """The part that is asked for. Raises ConfigError when there is nothing in it."""
    first = int(options.from_s * SECOND_UNITS)
    length = int(options.seconds * SECOND_UNITS) or track.units
    end = min(track.units, first + length)
    if not 0 <= first < end or options.speed < 0:
        raise ConfigError(f"nothing to send: it is {track.units / SECOND_UNITS:g} s long")
    # History ends now, everything else begins now.
    begin_ns = now_ns if options.speed else now_ns - (end - first) * UNIT_NS
    # A new run is a new start of all devices, unless it says which one it is.
    boot = options.boot if options.boot >= 0 else now_ns // 1_000_000_000 % 2**31
    return Stretch(track, first, end, options.speed, options.start_ns or begin_ns, boot)


def open_way(options: argparse.Namespace, roster: Roster) -> Way:
    """The way in, with its credentials. Raises ConfigError, AccessError, SendError."""
    settings = settings_of(options)
    gateway = gateway_of(settings, options)
    address = options.address or address_of(settings, options.venue, options.via)
    speed = options.speed or 1.0
    if options.via == "http":
        return HttpWay(address, gateway, roster, options.format, speed)
    if options.via == "udp":
        return UdpWay(address, gateway, roster, speed)
    return FlightWay(address, gateway, roster)


def gateway_of(settings: Settings, options: argparse.Namespace) -> Gateway:
    """Whom we send as."""
    if options.credentials is not None:
        return gateway_in(options.credentials, options.venue, options.gateway)
    return local_gateway(settings, options.venue, options.gateway)


def address_of(settings: Settings, venue_id: str, via: str) -> str:
    """Where the settings say that the venue listens. Raises ConfigError."""
    if via == "http":
        return f"http://{settings.serve.host}:{settings.serve.port}"
    for source in (s for venue in settings.venues if venue.id == venue_id for s in venue.sources):
        if isinstance(source, UdpSource | FlightSource) and source.type == via and source.port:
            return f"{source.host}:{source.port}"
    raise ConfigError(
        f"venue {venue_id}: the settings name no {via} source with a port; give --address"
    )


def roster_text(roster: Roster) -> str:
    """The roster as JSON for people: an entry a line, and only what is not the default."""
    whole = json.loads(roster.to_json())
    parts = []
    for key, value in sorted(whole.items()):
        if isinstance(value, list) and value:
            entries = getattr(roster, key)
            lines = ",\n  ".join(json.dumps(_told(entry), sort_keys=True) for entry in entries)
            parts.append(f" {json.dumps(key)}: [\n  {lines}\n ]")
        else:
            parts.append(f" {json.dumps(key)}: {json.dumps(value)}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _told(entry: Any) -> dict[str, Any]:
    return {
        one.name: getattr(entry, one.name)
        for one in fields(entry) if getattr(entry, one.name) != one.default
    }


def summary(via: str, sent: Sent) -> str:
    """One line or two for people."""
    text = (
        f"{via}: {sent.rows:,} samples sent in {sent.seconds:.1f} s, {sent.sent_bytes / 1e6:.1f} MB"
        f" ({sent.plain_bytes / 1e6:.1f} MB plain), {sent.retries} sent again"
    )
    if via == "udp":
        return text + "; nobody answers over UDP: see the venue's account"
    verdicts = ", ".join(
        f"{'taken' if reason == 'none' else reason} {n:,}" for reason, n in sent.verdicts.items()
    )
    return f"{text}; {sent.accepted_rows:,} taken; packets: {verdicts or 'none'}"
