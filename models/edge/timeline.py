"""Timeline: what follows from whole ticks and seconds: silence, gaps, device status, health.

Ticks tell who is silent: one device that sends nothing for its `silent` time has failed; when at
least half of the live devices fall silent within `TOGETHER_NS` of each other, it is the feed that
has a gap, not the devices, until half of them are back. A device counts as live in this vote when
it has sent something since; slow ones that have not had their turn yet have no vote. Seconds tell
how well devices do: a fault is on when its condition held in `ON_SECONDS` of the last five seconds
(a stuck sensor: in one), and off after five without. Nothing is judged in the first second of a
device and until `EXCUSED_NS` after a gap of the feed.
"""

from typing import Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.borrow import borrow
from models.edge import cells as grid
from models.edge.cells import Cells
from models.edge.tables import Streams, Whole
from models.edge.vitals import VITALS, Vitals, close_vitals, condition, restart_vitals

TOGETHER_NS: Final = 1_000_000_000
MIN_TOGETHER: Final = 3
SUSPECT_NS: Final = 10_000_000_000
"""So long after a change for the worse the flow of the device's subject is kept at full rate."""
ON_SECONDS: Final = 3
"""A stuck sensor needs one only: the passes have made sure of it already."""
_FIVE: Final = 31

OK, DEGRADED, FAILED = 1, 2, 3
FAULTS: Final = ("none", "dropout", "stuck", "spikes", "noise", "battery", "clock", "saturation")
DROPOUT, STUCK, CLOCK = 1, 2, 6

STATUS_WIDTH: Final = 7
STATUS, T_SEEN, T_FIRST, GRACE_NS, IN_GAP, FAULT_BITS, SILENT = range(STATUS_WIDTH)
FEED_WIDTH: Final = 5
GAP_ON, GAP_DEVICES, GAP_LEFT, GAP_SINCE, GAP_SEEN = range(FEED_WIDTH)
EXCUSED_NS: Final = 2_000_000_000
"""So long after a gap of the feed no device is blamed for what it lacks."""
NOTE_WIDTH: Final = 6
NOTE_TYPE, NOTE_T, NOTE_DETECTED, NOTE_DEVICE, NOTE_FAULT, NOTE_SIZE = range(NOTE_WIDTH)
N_DEGRADED, N_FAILED, N_RECOVERED, N_GAP, N_RESTORED, N_CLOCK = range(6)
NOTE_TYPES: Final = (
    "device_degraded", "device_failed", "device_recovered", "feed_gap", "feed_restored",
    "clock_fault",
)


class Timeline(NamedTuple):
    """State. status (D, STATUS_WIDTH) int64; history (D, len(FAULTS)) int64 last five seconds as
    bits; suspect_ns (S,) until when a subject's devices are under suspicion; feed (FEED_WIDTH,)."""

    status: NDArray[np.int64]
    history: NDArray[np.int64]
    suspect_ns: NDArray[np.int64]
    feed: NDArray[np.int64]


class Findings(NamedTuple):
    """Output: notes (M, NOTE_WIDTH) int64 and note_n (1,) how many; health (N, VITALS, D) float32
    and known (N, D) uint8 of the seconds that ended; suspect (K, S) uint8 per tick."""

    notes: NDArray[np.int64]
    note_n: NDArray[np.int64]
    health: NDArray[np.float32]
    known: NDArray[np.uint8]
    suspect: NDArray[np.uint8]


def new_timeline(device_n: int, subject_n: int) -> Timeline:
    """Nobody has sent anything."""
    return Timeline(
        np.zeros((device_n, STATUS_WIDTH), np.int64), np.zeros((device_n, len(FAULTS)), np.int64),
        np.zeros(subject_n, np.int64), np.zeros(FEED_WIDTH, np.int64),
    )


def new_findings(ticks: int, seconds: int, device_n: int, subject_n: int) -> Findings:
    """Room for all that a stretch can bring: per device two notes a tick, and a second's faults."""
    room = 2 * ticks * (device_n + 1) + seconds * device_n * (len(FAULTS) + 1)
    return Findings(
        np.empty((room, NOTE_WIDTH), np.int64), np.zeros(1, np.int64),
        np.empty((seconds, VITALS, device_n), np.float32),
        np.zeros((seconds, device_n), np.uint8), np.zeros((ticks, subject_n), np.uint8),
    )


@njit(cache=True)
def _note(
    out: Findings, kind: Whole, t_ns: Whole, detected_ns: Whole, device: Whole, fault: Whole,
    size: Whole,
) -> None:
    at = out.note_n[0]
    out.notes[at, NOTE_TYPE] = kind
    out.notes[at, NOTE_T] = t_ns
    out.notes[at, NOTE_DETECTED] = detected_ns
    out.notes[at, NOTE_DEVICE] = device
    out.notes[at, NOTE_FAULT] = fault
    out.notes[at, NOTE_SIZE] = size
    out.note_n[0] = at + 1


@njit(cache=True)
def _suspect(line: Timeline, streams: Streams, device: Whole, now_ns: Whole) -> None:
    subject = streams.subject[device]
    if subject >= 0:
        line.suspect_ns[subject] = max(line.suspect_ns[subject], now_ns + SUSPECT_NS)


@njit(cache=True)
def _arrivals(
    status: NDArray[np.int64], feed: NDArray[np.int64], newest: NDArray[np.int64], tick: Whole,
    now_ns: Whole, out: Findings,
) -> None:
    """Devices that sent something in this tick: they are there (again)."""
    for d in range(newest.shape[1]):
        t_ns = newest[tick, d]
        if t_ns == 0:
            continue
        if status[d, STATUS] == 0:
            status[d, STATUS] = OK
            status[d, T_FIRST] = t_ns
        elif status[d, IN_GAP] == 1:
            status[d, IN_GAP] = 0
            feed[GAP_LEFT] -= 1
        elif status[d, SILENT] == 1:
            status[d, SILENT] = 0
            status[d, STATUS] = OK
            status[d, FAULT_BITS] = 0
            status[d, T_FIRST] = t_ns
            silent_ns = t_ns - status[d, T_SEEN]
            _note(out, N_RECOVERED, t_ns, now_ns, d, DROPOUT, silent_ns)
        if t_ns > status[d, T_SEEN]:
            status[d, T_SEEN] = t_ns


@njit(cache=True)
def _gone(
    status: NDArray[np.int64], silent: NDArray[np.int64], period: NDArray[np.int64], d: Whole,
    now_ns: Whole, gap_ns: Whole,
) -> bool:
    """Whether a live device has been quiet for long enough to be part of a gap of the feed."""
    if silent[d] == 0 or status[d, STATUS] == 0 or status[d, SILENT] == 1:
        return False
    age_ns = now_ns - status[d, T_SEEN]
    return age_ns >= gap_ns and age_ns >= 3 * period[d]


@njit(cache=True)
def _in_gap(
    status: NDArray[np.int64], feed: NDArray[np.int64], silent: NDArray[np.int64],
    period: NDArray[np.int64], now_ns: Whole, gap_ns: Whole,
) -> None:
    """Let all devices that fell silent with the others be part of the gap."""
    since = feed[GAP_SINCE]
    for d in range(status.shape[0]):
        if status[d, IN_GAP] == 1 or abs(status[d, T_SEEN] - since) > TOGETHER_NS:
            continue
        if _gone(status, silent, period, d, now_ns, gap_ns):
            status[d, IN_GAP] = 1
            feed[GAP_DEVICES] += 1
            feed[GAP_LEFT] += 1


@njit(cache=True)
def _restore(
    status: NDArray[np.int64], feed: NDArray[np.int64], now_ns: Whole, grace_ns: Whole,
    out: Findings,
) -> None:
    """End the gap when half of its devices are back; the others get a little time."""
    if 2 * feed[GAP_LEFT] > feed[GAP_DEVICES]:
        return
    _note(out, N_RESTORED, now_ns, now_ns, -1, 0, feed[GAP_DEVICES])
    feed[GAP_ON] = 0
    for d in range(status.shape[0]):
        if status[d, IN_GAP] == 1:
            status[d, IN_GAP] = 0
            status[d, GRACE_NS] = now_ns + grace_ns


@njit(cache=True)
def _watch_feed(
    status: NDArray[np.int64], feed: NDArray[np.int64], silent: NDArray[np.int64],
    period: NDArray[np.int64], now_ns: Whole, gap_ns: Whole, grace_ns: Whole, out: Findings,
) -> None:
    """Begin or end a gap of the whole feed."""
    if feed[GAP_ON] == 1:
        feed[GAP_SEEN] = now_ns
        _in_gap(status, feed, silent, period, now_ns, gap_ns)
        _restore(status, feed, now_ns, grace_ns, out)
        return
    newest = 0
    for d in range(status.shape[0]):
        if _gone(status, silent, period, d, now_ns, gap_ns):
            newest = max(newest, status[d, T_SEEN])
    if newest == 0:
        return
    together, alive, oldest = 0, 0, newest
    for d in range(status.shape[0]):
        seen = status[d, T_SEEN]
        if silent[d] > 0 and seen > newest + gap_ns // 2:
            alive += 1
        elif seen >= newest - TOGETHER_NS and _gone(status, silent, period, d, now_ns, gap_ns):
            together += 1
            oldest = min(oldest, seen)
    if together < MIN_TOGETHER or together < alive:
        return
    feed[GAP_ON] = 1
    feed[GAP_DEVICES] = 0
    feed[GAP_LEFT] = 0
    feed[GAP_SINCE] = newest
    feed[GAP_SEEN] = now_ns
    _in_gap(status, feed, silent, period, now_ns, gap_ns)
    _note(out, N_GAP, oldest, now_ns, -1, 0, together)


@njit(cache=True)
def _silences(
    line: Timeline, streams: Streams, silent: NDArray[np.int64], status: NDArray[np.int64],
    now_ns: Whole, out: Findings,
) -> None:
    for d in range(status.shape[0]):
        if silent[d] == 0 or now_ns - status[d, T_SEEN] < silent[d]:
            continue
        if status[d, STATUS] == 0 or status[d, SILENT] == 1 or status[d, IN_GAP] == 1:
            continue
        if now_ns >= status[d, GRACE_NS]:
            status[d, SILENT] = 1
            status[d, STATUS] = FAILED
            _note(
                out, N_FAILED, status[d, T_SEEN], now_ns, d, DROPOUT, now_ns - status[d, T_SEEN]
            )
            _suspect(line, streams, d, now_ns)


@njit(cache=True)
def _judge_device(
    line: Timeline, streams: Streams, vitals: Vitals, cell: NDArray[np.float64], d: Whole,
    now_ns: Whole, out: Findings,
) -> None:
    """Update the fault bits of one device at the end of a second, and its status."""
    s, before = line.status[d], line.status[d, FAULT_BITS]
    after = before
    for fault in range(1, len(FAULTS)):
        held = condition(vitals, streams, cell, d, fault)
        past = ((line.history[d, fault] << 1) | (1 if held else 0)) & _FIVE
        line.history[d, fault] = past
        bit = 1 << fault
        seconds = 0
        while past > 0:
            seconds += past & 1
            past >>= 1
        needed = 1 if fault == STUCK else ON_SECONDS
        if seconds >= needed and before & bit == 0:
            after |= bit
            s[STATUS] = FAILED if fault == STUCK else max(s[STATUS], DEGRADED)
            kind = N_FAILED if fault == STUCK else N_DEGRADED
            _note(out, kind, now_ns, now_ns, d, fault, 0)
            _suspect(line, streams, d, now_ns)
        elif seconds == 0 and before & bit != 0:
            after &= ~bit
            if after == 0:
                s[STATUS] = OK
                _note(out, N_RECOVERED, now_ns, now_ns, d, fault, 0)
    s[FAULT_BITS] = after


@njit(cache=True)
def _close_second(
    line: Timeline, streams: Streams, vitals: Vitals, cells: Cells, second: Whole, out: Findings
) -> None:
    end_ns = cells.second_begin_ns + (second + 1) * grid.SECOND
    for d in range(streams.kind.size):
        s, cell = line.status[d], cells.device[second, d]
        if s[STATUS] == 0:
            continue
        first = s[T_FIRST] >= end_ns - grid.SECOND
        if first:
            restart_vitals(vitals, d)
            line.history[d, :] = 0
        excused = first or s[IN_GAP] == 1 or end_ns - line.feed[GAP_SEEN] <= EXCUSED_NS
        close_vitals(
            vitals, streams, cells, second, d, excused, end_ns - s[T_SEEN], out.health[second]
        )
        out.known[second, d] = 1
        if cell[grid.STEP_NS] != 0.0:
            _note(out, N_CLOCK, end_ns, end_ns, d, CLOCK, np.int64(cell[grid.STEP_NS]))
            _suspect(line, streams, d, end_ns)
        if s[SILENT] == 0 and not excused:
            _judge_device(line, streams, vitals, cell, d, end_ns, out)


@njit(cache=True)
def roll_timeline(
    line: Timeline, streams: Streams, vitals: Vitals, cells: Cells, gap_ns: Whole, silent_ns: Whole,
    out: Findings,
) -> int:
    """Go through the ticks of a stretch in order; the number of seconds that ended in it."""
    line, streams, vitals, cells, out = borrow((line, streams, vitals, cells, out))
    status, feed, newest, suspect = line.status, line.feed, cells.newest, out.suspect
    silent, period, suspect_ns = streams.silent, streams.period, line.suspect_ns
    second = 0
    for tick in range(newest.shape[0]):
        begin_ns = cells.tick_begin_ns + tick * cells.tick_ns
        now_ns = begin_ns + cells.tick_ns
        for s in range(suspect_ns.size):
            suspect[tick, s] = 1 if begin_ns < suspect_ns[s] else 0
        _arrivals(status, feed, newest, tick, now_ns, out)
        _watch_feed(status, feed, silent, period, now_ns, gap_ns, silent_ns, out)
        _silences(line, streams, silent, status, now_ns, out)
        while cells.second_begin_ns + (second + 1) * grid.SECOND <= now_ns:
            _close_second(line, streams, vitals, cells, second, out)
            second += 1
    return second
