"""`touchline send --venue V --via http|udp|flight [PATH]`: plays devices to a venue that is live.

Sends a recording, or a simulated match without a PATH, with its clock moved to now, as a gateway of
the venue: with an access token, signed datagrams, or a client certificate, from the local issuer or
from a folder of `touchline token --gateway`. `--speed N` sends N times faster by compressing time
itself (a load test: bodies move N times faster); `--speed max` sends at once, as the history up to
now, of which a venue takes what is not older than its `edge.late_bound_ms`.
"""

import argparse
import json
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from actors.sources.played import SECOND_UNITS, UNIT_NS, Track
from actors.sources.recorded import open_recording, read_mapping
from actors.sources.recording import RecordedTrack
from actors.sources.simulator import SimulatedTrack
from cluster.settings import FlightSource, Settings, UdpSource
from jobs.demo import parse_speed
from jobs.gateway import Gateway, gateway_in, local_gateway
from jobs.options import add_settings_options, settings_of
from jobs.send_ways import Answer, Blocks, FlightWay, HttpWay, UdpWay, Way
from models.errors import ConfigError
from models.simulator.config import Faults, MatchConfig
from models.simulator.match import MatchSimulator
from models.telemetry.roster import Roster

WAYS: Final = ("http", "udp", "flight")
SLICES_PER_S: Final = 10
SIMULATED_S: Final = 60.0


@dataclass(slots=True)
class Sent:
    """What was sent, and what the venue said to it. `verdicts`: packets by reason, "none" = taken;
    `accepted_rows` as far as it was answered (never over UDP)."""

    rows: int = 0
    slices: int = 0
    accepted_rows: int = 0
    retries: int = 0
    seconds: float = 0.0
    verdicts: dict[str, int] = field(default_factory=dict)

    def count(self, blocks: Blocks, answer: Answer) -> None:
        self.slices += 1
        self.rows += sum(len(block) for block in blocks.values())
        self.accepted_rows += sum(int(one["accepted_rows"]) for one in answer)
        reasons = Counter(self.verdicts)
        reasons.update(str(one["reason"]) for one in answer)
        self.verdicts = dict(sorted(reasons.items()))


@dataclass(slots=True)
class Stretch:
    """What is played: units [cursor, end) of a track, and when its first one happens.

    speed 0: at once. boot: added to the boot counters, so that a stretch that is sent again is not
    taken for a repetition. Times ns UTC.
    """

    track: Track
    cursor: int
    end: int
    speed: float
    start_ns: int
    boot: int = 0
    _origin_ns: int = field(init=False)

    def __post_init__(self) -> None:
        self._origin_ns = self.track.start_ns + self.cursor * UNIT_NS

    def slice_end(self) -> int:
        """A slice is a tenth of a second of the wall clock; a second where nobody waits."""
        units = round(self.speed * SECOND_UNITS / SLICES_PER_S) if self.speed else SECOND_UNITS
        # A track gives a span that lies within one of its seconds.
        second = (self.cursor // SECOND_UNITS + 1) * SECOND_UNITS
        return min(self.cursor + max(units, 1), second, self.end)

    def take(self, upto: int) -> Blocks:
        """The rows of the slice with their new times and boots; the cursor moves on."""
        read = self.track.read(self.cursor, upto)
        blocks = {
            kind: replace(
                block, t_event_ns=self.moved(block.t_event_ns),
                t_ingest_ns=self.moved(block.t_ingest_ns),
                boot=block.boot + np.uint32(self.boot),
            )
            for kind, block in read.items() if len(block)
        }
        self.cursor = min(self.track.skip(upto), self.end)
        self._origin_ns += (self.cursor - upto) * UNIT_NS  # nobody waits for a long silence
        return blocks

    def moved(self, t_ns: Any) -> Any:
        """Times of the track as times of now."""
        since_ns = t_ns - self._origin_ns
        if self.speed not in (0.0, 1.0):
            since_ns = np.rint(since_ns / self.speed).astype(np.int64)
        return since_ns + self.start_ns

    def due_ns(self, upto: int) -> int:
        """When everything before unit `upto` has happened; 0 when nobody waits."""
        if not self.speed:
            return 0
        return int(self.moved(np.int64(self.track.start_ns + upto * UNIT_NS)))


def send(
    way: Way, stretch: Stretch, wait: Callable[[float], None] = time.sleep,
    now_ns: Callable[[], int] = time.time_ns,
) -> Sent:
    """Play the stretch over `way` to its end. Raises SendError, AccessError."""
    sent, begun_ns = Sent(), now_ns()
    try:
        while stretch.cursor < stretch.end:
            upto = stretch.slice_end()
            ahead_s = (stretch.due_ns(upto) - now_ns()) / 1e9
            if ahead_s > 0:
                wait(ahead_s)
            blocks = stretch.take(upto)
            if blocks:
                sent.count(blocks, way.send(blocks))
    finally:
        way.close()
    sent.retries, sent.seconds = way.retries, round((now_ns() - begun_ns) / 1e9, 3)
    return sent


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
    sent = send(open_way(options, roster), stretch)
    print(summary(options.via, sent), flush=True)
    if options.json is not None:
        options.json.write_text(json.dumps(asdict(sent), indent=1, sort_keys=True))
    return 0


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
    text = f"{via}: {sent.rows:,} samples sent in {sent.seconds:.1f} s, {sent.retries} sent again"
    if via == "udp":
        return text + "; nobody answers over UDP: see the venue's account"
    verdicts = ", ".join(
        f"{'taken' if reason == 'none' else reason} {n:,}" for reason, n in sent.verdicts.items()
    )
    return f"{text}; {sent.accepted_rows:,} taken; packets: {verdicts or 'none'}"
