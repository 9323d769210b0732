"""A gateway's uplink by a recorded trace, in time of the test's own, as a way of `touchline send`.

Bytes are carried at the trace's rate of each second, over and over; a body also takes `OVERHEAD_NS`
there and back. One that would take longer than a call may is lost when that time is over. Bodies
are really encoded, and their sizes kept, so that runs over the same match need not do it again.
"""

from dataclasses import dataclass, field

import numpy as np

from actors.sources.played import Track
from jobs.send_loop import Clocks, Sent, send
from jobs.send_spool import Spool
from jobs.send_stretch import Stretch
from jobs.send_ways import TIMEOUT_S, Answer, Blocks, NotTakenError
from models.policies.link_pilot import LinkPilot
from models.policies.link_policy import Body
from models.telemetry.dense import densified
from models.telemetry.ingest import encode_blocks

S = 1_000_000_000
OVERHEAD_NS = 60_000_000
START_NS = 1_800_000_000 * S
Sizes = dict[tuple[int, int], tuple[int, int]]


@dataclass
class Wall:
    """A clock that moves only when somebody waits."""

    now_ns: int = START_NS

    def clocks(self) -> Clocks:
        return Clocks(lambda: self.now_ns, lambda: self.now_ns, self.wait)

    def wait(self, seconds: float) -> None:
        self.now_ns += int(seconds * 1e9)


class KeptTrack:
    """A track whose slices are read once."""

    def __init__(self, track: Track) -> None:
        self._track, self._read = track, {}
        self.type_name, self.refusals = track.type_name, track.refusals
        self.start_ns, self.units, self.full_units = (
            track.start_ns, track.units, track.full_units,
        )

    def read(self, cursor: int, upto: int) -> Blocks:
        key = (cursor, upto)
        if key not in self._read:
            self._read[key] = self._track.read(cursor, upto)
        return self._read[key]

    def skip(self, cursor: int) -> int:
        return self._track.skip(cursor)


@dataclass
class TracedLink:
    """A way over a link; `rates` (seconds,) bytes per second. `taken`: (blocks, ns) in order."""

    rates: np.ndarray
    wall: Wall
    device_ids: list[str]
    sizes: Sizes = field(default_factory=dict)
    taken: list[tuple[Blocks, int]] = field(default_factory=list)
    bodies: list[tuple[int, Body]] = field(default_factory=list)
    lost: int = 0
    retries: int = 0
    sent_bytes: int = 0
    plain_bytes: int = 0

    def __post_init__(self) -> None:
        self._sum = np.concatenate([[0.0], np.cumsum(self.rates)])
        assert self._sum[-1] > 0, "a link that carries nothing"

    def send(self, blocks: Blocks, body: Body = Body.PLAIN) -> Answer:
        plain, dense = self._sizes_of(blocks)
        size = plain if body == Body.PLAIN else dense
        begin_ns = self.wall.now_ns
        self.bodies.append((begin_ns, body))
        done_ns = self._done_ns(begin_ns, size) + OVERHEAD_NS
        if done_ns > begin_ns + int(TIMEOUT_S * 1e9):
            self.lost += 1
            self.wall.now_ns += int(TIMEOUT_S * 1e9)
            raise NotTakenError(f"{size} bytes were not carried in time")
        self.wall.now_ns = done_ns
        self.sent_bytes += size
        self.plain_bytes += plain
        self.taken.append((blocks, done_ns))
        return [{"accepted_rows": len(block), "reason": "none"} for block in blocks.values()]

    def close(self) -> None:
        """Nothing is open."""

    def _sizes_of(self, blocks: Blocks) -> tuple[int, int]:
        first = min(int(block.t_ingest_ns[0]) for block in blocks.values())
        key = (first, sum(len(block) for block in blocks.values()))
        if key not in self.sizes:
            plain = encode_blocks(blocks, self.device_ids)
            self.sizes[key] = (len(plain), len(densified(plain)))
        return self.sizes[key]

    def _done_ns(self, begin_ns: int, size: int) -> int:
        """When `size` bytes from `begin_ns` on have been carried; what nobody used is gone."""
        seconds, whole = len(self.rates), float(self._sum[-1])
        begin_s = (begin_ns - START_NS) / S
        round_, within = divmod(begin_s, seconds)
        upto = float(np.interp(within, np.arange(seconds + 1), self._sum)) + size
        more, rest = divmod(upto, whole)
        at = int(np.searchsorted(self._sum, rest, "left"))
        at = min(max(at, 1), seconds)
        part = (rest - self._sum[at - 1]) / max(self.rates[at - 1], 1e-9)
        return START_NS + int(((round_ + more) * seconds + at - 1 + min(part, 1.0)) * S)


def play(
    track: Track, link: TracedLink, pilot: LinkPilot, pack_slices: int = 10,
    hold_s: float = 600.0,
) -> Sent:
    """All of `track` over `link`, in the time of the link's wall."""
    stretch = Stretch(track, 0, track.units, 1.0, link.wall.now_ns)
    return send(
        link, stretch, link.wall.clocks(), pilot, hold_s, spool=Spool(pack_slices=pack_slices),
    )


def with_outage(rates: np.ndarray, at_s: int, outage_s: int) -> np.ndarray:
    """`rates` with nothing carried for `outage_s` seconds from `at_s` on; later ones move."""
    return np.concatenate([rates[:at_s], np.zeros(outage_s), rates[at_s:]])


def waits_of(link: TracedLink, seconds: int) -> np.ndarray:
    """(seconds,) age in seconds of the oldest row that was under way, at the end of each second."""
    begun = np.array([min(int(b.t_ingest_ns[0]) for b in one.values()) for one, _ in link.taken])
    done = np.array([ns for _, ns in link.taken])
    found = np.zeros(seconds)
    for k in range(seconds):
        t_ns = START_NS + (k + 1) * S
        waiting = begun[(begun <= t_ns) & (done > t_ns)]
        found[k] = (t_ns - waiting.min()) / S if len(waiting) else 0.0
    return found


def ages_of(link: TracedLink) -> np.ndarray:
    """(rows,) seconds from each row's arrival at the gateway to its being taken."""
    return np.concatenate([
        (ns - block.t_ingest_ns) / S for one, ns in link.taken for block in one.values()
    ])
