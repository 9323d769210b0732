"""Labelled event windows out of simulated matches, for training and evaluation. No torch.

A candidate is a peak of |acc| of at least `WINDOW_G`, as the flow kernel takes it; its label is the
true contact, fall or jump landing at that peak, else "none". Athletes of different seeds are
different people, so splitting by seed splits by match and by athlete.
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.nets.contract import EVENT_CLASSES, EVENT_WINDOW
from models.nets.windows import AFTER_NS, BEFORE_NS, GRAVITY, event_window
from models.signal.kalman import AX, AY, VX, VY, kalman_step, new_kalman
from models.simulator.match import MatchConfig, MatchSimulator
from models.simulator.traits import PLAYERS
from models.simulator.truth import TrueEvent
from models.telemetry.block import SampleBlock, concat_blocks
from models.telemetry.kinds import Kind

WINDOW_G: Final = 4.0
_SETTLE_NS: Final = 250_000_000
_GAP_NS: Final = 1_000_000_000
_LANDING_G: Final = 2.5
_POSITION_M: Final = 0.15


@dataclass(frozen=True, slots=True)
class EventExamples:
    """windows (n, 9, 256) float32, labels (n,) int64 index of EVENT_CLASSES, peak_g (n,)."""

    windows: NDArray[np.float32]
    labels: NDArray[np.int64]
    peak_g: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.labels)


def event_examples(config: MatchConfig, rng: np.random.Generator, ordinary: int) -> EventExamples:
    """Every candidate of one match, and up to `ordinary` weaker peaks per athlete as "none"."""
    faults = replace(config.faults, clock_jump_at_s=0.0, hiccup_at_s=0.0)
    simulator = MatchSimulator(replace(config, faults=faults))
    rows = _all_rows(simulator, (Kind.IMU, Kind.LPS, Kind.BALL_POS))
    contacts = _contacts_of(simulator)
    parts = [
        _of_athlete(simulator, rows, agent, contacts[agent], rng, ordinary)
        for agent in range(PLAYERS)
    ]
    return join(parts)


def join(parts: list[EventExamples]) -> EventExamples:
    """All examples of `parts`."""
    return EventExamples(
        np.concatenate([p.windows for p in parts]), np.concatenate([p.labels for p in parts]),
        np.concatenate([p.peak_g for p in parts]),
    )


def _all_rows(simulator: MatchSimulator, kinds: tuple[Kind, ...]) -> dict[Kind, SampleBlock]:
    parts: dict[Kind, list[SampleBlock]] = {kind: [] for kind in kinds}
    for k in range(simulator.chunks):
        blocks = simulator.chunk(k)
        for kind in kinds:
            if kind in blocks:
                parts[kind].append(blocks[kind])
    return {kind: concat_blocks(blocks) for kind, blocks in parts.items()}


def _contacts_of(simulator: MatchSimulator) -> list[list[TrueEvent]]:
    truth = simulator.truth
    found: dict[str, list[TrueEvent]] = {subject: [] for subject in truth.subjects}
    for event in truth.events:
        if event.type in EVENT_CLASSES:
            found[event.subject_id].append(event)
    return [found[subject] for subject in truth.subjects]


def _own(rows: SampleBlock, device: int) -> SampleBlock:
    """Rows of one device in counter order, each once."""
    own = rows.take(rows.device == device)
    key = own.boot.astype(np.int64) << 32 | own.seq
    return own.take(np.unique(key, return_index=True)[1])


def _of_athlete(
    simulator: MatchSimulator, rows: dict[Kind, SampleBlock], agent: int,
    contacts: list[TrueEvent], rng: np.random.Generator, ordinary: int,
) -> EventExamples:
    first = {
        kind: next(i for i, d in enumerate(simulator.roster.devices) if d.kind == kind)
        for kind in rows
    }
    imu = _own(rows[Kind.IMU], first[Kind.IMU] + agent)
    track = track_of(_own(rows[Kind.LPS], first[Kind.LPS] + agent))
    ball = _own(rows[Kind.BALL_POS], first[Kind.BALL_POS])
    near = _ball_distance(track, ball)
    size = np.sqrt((imu.values[:3] ** 2).sum(0)) / GRAVITY
    peaks = _peaks(imu.t_event_ns, size, WINDOW_G)
    weak = _peaks(imu.t_event_ns, size, _LANDING_G)
    labels = np.array([_label(contacts, int(imu.t_event_ns[p])) for p in peaks], np.int64)
    weak = np.array([
        p for p in weak if not len(peaks) or np.abs(peaks - p).min() > 100
    ], np.int64)
    weak_labels = np.array([_label(contacts, int(imu.t_event_ns[p])) for p in weak], np.int64)
    keep = np.flatnonzero(weak_labels > 0)
    plain = np.flatnonzero(weak_labels == 0)
    keep = np.concatenate([keep, rng.permutation(plain)[:ordinary]])
    every = np.concatenate([peaks, weak[keep]]).astype(np.int64)
    marks = np.concatenate([labels, weak_labels[keep]])
    inside = (imu.t_event_ns[every] - imu.t_event_ns[0] > BEFORE_NS) & (
        imu.t_event_ns[-1] - imu.t_event_ns[every] > AFTER_NS
    )
    every, marks = every[inside], marks[inside]
    windows = [
        event_window(
            int(imu.t_event_ns[p]), imu.t_event_ns, imu.values[:6], track.t_ns, track.motion,
            ball.t_event_ns, near,
        )
        for p in every
    ]
    stacked = np.stack(windows) if windows else np.empty((0, *EVENT_WINDOW), np.float32)
    return EventExamples(stacked, marks, size[every].astype(np.float32))


def _peaks(
    t_ns: NDArray[np.int64], size: NDArray[np.float32], least: float
) -> NDArray[np.int64]:
    """Rows of the peaks that the flow kernel would take: from the first row over `least` the
    largest within a quarter of a second, then nothing for a second after the first."""
    peaks: list[int] = []
    opened = -(10**18)
    for row in np.flatnonzero(size >= least).tolist():
        since = int(t_ns[row]) - opened
        if since >= _GAP_NS:
            opened = int(t_ns[row])
            peaks.append(row)
        elif since <= _SETTLE_NS and size[row] > size[peaks[-1]]:
            peaks[-1] = row
    return np.array(peaks, np.int64)


def _label(contacts: list[TrueEvent], t_ns: int) -> int:
    best, chosen = 10**18, 0
    for event in contacts:
        middle = event.t_end_ns + 40_000_000 if event.type == "jump" else event.t_ns + 50_000_000
        gap = abs(t_ns - middle)
        if gap < 200_000_000 and gap < best:
            best, chosen = gap, EVENT_CLASSES.index(event.type)
    return chosen


@dataclass(frozen=True, slots=True)
class Track:
    """Causally filtered motion of one wearer: t_ns (m,), motion (2, m) speed m/s and acceleration
    along the track m/s^2, xy (2, m) metres."""

    t_ns: NDArray[np.int64]
    motion: NDArray[np.float32]
    xy: NDArray[np.float32]


def track_of(lps: SampleBlock) -> Track:
    """The track of one device's position rows, which are in time order."""
    state = new_kalman(1)
    motion = np.zeros((2, len(lps)), np.float32)
    x, y = lps.values[0].astype(np.float64), lps.values[1].astype(np.float64)
    for row, t_ns in enumerate(lps.t_event_ns.tolist()):
        kalman_step(state, 0, t_ns, x[row], y[row], _POSITION_M)
        vx, vy = state[0, VX], state[0, VY]
        speed = (vx * vx + vy * vy) ** 0.5
        motion[0, row] = speed
        motion[1, row] = (vx * state[0, AX] + vy * state[0, AY]) / max(speed, 0.3)
    return Track(lps.t_event_ns, motion, lps.values[:2])


def _ball_distance(track: Track, ball: SampleBlock) -> NDArray[np.float32]:
    at = np.clip(np.searchsorted(track.t_ns, ball.t_event_ns, side="right") - 1, 0, None)
    gap = ball.values[:2] - track.xy[:, at]
    distance: NDArray[np.float32] = np.hypot(gap[0], gap[1]).astype(np.float32)
    return distance


def thinned(windows: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """The same windows as the calm flow sees them: motion at 50 Hz up to a random moment before the
    peak (or throughout), each pair of samples merged into its mean and held."""
    out = windows.copy()
    half = windows[:, :6].reshape(len(windows), 6, EVENT_WINDOW[1] // 2, 2).mean(3)
    calm = np.repeat(half, 2, axis=2)
    until = rng.integers(0, 200, len(windows))
    until[rng.random(len(windows)) < 0.4] = 0
    mask = np.arange(EVENT_WINDOW[1])[None] < until[:, None]
    out[:, :6] = np.where(mask[:, None], calm, windows[:, :6])
    return out
