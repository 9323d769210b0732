"""Thinning: calm flows at the rate that their consumers need, hot ones at full rate.

Owns which rows go on and what a merged row holds. Inertial channels run through a causal
Butterworth low-pass (fourth order, 0.4 of the new rate) before they are decimated; positions are
the end point of a least-squares line over the last 4 m samples, a low-pass without lag at constant
velocity. A merged row carries the PlayerLoad sum, the largest |acc| and the number of samples that
it stands for, so that sums survive; the first full-rate row of a flow carries what was pending.
An order may raise the level: calm athletes then go at lower rates still (`tables.INERTIAL_HZ`),
through filters of those rates.
"""

from typing import Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.borrow import borrow
from models.columns import frozen
from models.edge.cells import Cells
from models.edge.rows import DEVICE, FLAGS, REASON, T_NS, Rows
from models.edge.tables import Streams, Tables, Whole
from models.signal.biquads import PASS_ALL, SECTIONS, butterworth, filter_step, settle
from models.telemetry.flags import Flag
from models.telemetry.kinds import KINDS, Kind

FILTERED: Final = 6
"""Acceleration and rotation; slow channels are read at the merged row's last sample."""
CUTOFF: Final = 0.4
_MERGED: Final = int(Flag.MERGED)
_LONG_GAP_NS: Final = 250_000_000
THINNED, MERGED, WHOLE = 0, 1, 2

PENDING_WIDTH: Final = 6
_COUNT, _LOAD, _PEAK, _FLAGS, _CLIP, _FLAT = range(PENDING_WIDTH)


class ThinState(NamedTuple):
    """Per device row: pending (D, PENDING_WIDTH) what no row has carried yet; z (D, 2 SECTIONS,
    FILTERED) filters; live (D, FILTERED) whether a filter has settled; waiting (D,) rows since the
    last one that went on; t_last (D,)."""

    pending: NDArray[np.float64]
    z: NDArray[np.float64]
    live: NDArray[np.uint8]
    waiting: NDArray[np.int64]
    t_last: NDArray[np.int64]


def new_thinning(device_n: int) -> ThinState:
    """State of devices that have sent nothing."""
    return ThinState(
        np.zeros((device_n, PENDING_WIDTH)), np.zeros((device_n, 2 * SECTIONS, FILTERED)),
        np.zeros((device_n, FILTERED), np.uint8), np.zeros(device_n, np.int64),
        np.zeros(device_n, np.int64),
    )


def thin_sections(tables: Tables) -> list[NDArray[np.float64]]:
    """Per level (D, SECTIONS, 5): the anti-alias low-pass of each device that is thinned."""
    return [
        frozen(np.array([
            butterworth(CUTOFF * rate / merge, rate) if merge > 1 else np.array(PASS_ALL)
            for rate, merge in zip(tables.streams.rate, merges, strict=True)
        ], np.float64).reshape(-1, SECTIONS, 5))
        for merges in tables.merges
    ]


def plan_rows(
    rows: Rows, streams: Streams, cells: Cells, whole: NDArray[np.uint8], waiting: NDArray[np.int64]
) -> NDArray[np.uint8]:
    """What becomes of each good row: (n,) THINNED, MERGED or WHOLE; rejected rows are THINNED.

    whole (K, S) uint8 says in which ticks a subject keeps its full rate.
    """
    fate = np.zeros(len(rows), np.uint8)
    _plan(rows.longs, rows.words, streams, cells, whole, waiting, fate)
    return fate


@njit(cache=True)
def _plan(
    longs: NDArray[np.int64], words: NDArray[np.uint32], streams: Streams, cells: Cells,
    whole: NDArray[np.uint8], waiting: NDArray[np.int64], fate: NDArray[np.uint8],
) -> None:
    longs, words, streams, cells, whole, waiting, fate = borrow(
        (longs, words, streams, cells, whole, waiting, fate)
    )
    t_ns, device, reason = longs[T_NS], words[DEVICE], words[REASON]
    first, subjects, merges = streams.first, streams.subject, streams.merge
    begin_ns, tick_ns = cells.tick_begin_ns, cells.tick_ns
    tick, tick_end = 0, -1
    for i in range(device.size):
        if reason[i] != 0:
            continue
        t = t_ns[i]
        if t >= tick_end or t < tick_end - tick_ns:
            tick = (t - begin_ns) // tick_ns
            tick_end = begin_ns + (tick + 1) * tick_ns
        row, subject = first[device[i]], subjects[device[i]]
        merge = merges[row]
        waiting[row] += 1
        if merge == 1 or (subject >= 0 and whole[tick, subject] == 1):
            fate[i] = WHOLE
            waiting[row] = 0
        elif waiting[row] >= merge:
            fate[i] = MERGED
            waiting[row] = 0


def thin_inertial(
    rows: Rows, fate: NDArray[np.uint8], streams: Streams, sections: NDArray[np.float64],
    state: ThinState,
) -> Rows:
    """The rows of `fate` MERGED and WHOLE; every good row goes through its filter."""
    kept = rows.take(np.flatnonzero(fate))
    names = KINDS[rows.kind].names
    _filter_rows(
        rows.longs, rows.words, rows.values, fate, names.index("load_au"),
        names.index("clip") if rows.kind == Kind.BALL_IMU else -1, streams, sections, state,
        kept.values, kept.flags,
    )
    return kept


@njit(cache=True, forceinline=True)
def _run_filters(
    values: NDArray[np.float32], i: Whole, row: Whole, long_gap: bool,
    sections: NDArray[np.float64], z: NDArray[np.float64], live: NDArray[np.uint8],
    out: NDArray[np.float64],
) -> None:
    for c in range(FILTERED):
        x = float(values[c, i])
        if x != x:
            live[row, c] = 0
        elif long_gap or live[row, c] == 0:
            settle(sections, z, row, c, x)
            live[row, c] = 1
        if x == x:
            x = filter_step(sections, z, row, c, x)
        out[c] = x


@njit(cache=True)
def _filter_rows(
    longs: NDArray[np.int64], words: NDArray[np.uint32], values: NDArray[np.float32],
    fate: NDArray[np.uint8], load: int, clip: int, streams: Streams, sections: NDArray[np.float64],
    state: ThinState, out: NDArray[np.float32], out_flags: NDArray[np.uint32],
) -> None:
    longs, words, values, fate, streams, sections, state, out, out_flags = borrow(
        (longs, words, values, fate, streams, sections, state, out, out_flags)
    )
    t_ns, device, flags, reason = longs[T_NS], words[DEVICE], words[FLAGS], words[REASON]
    first, merges = streams.first, streams.merge
    s, z, live, t_last = state.pending, state.z, state.live, state.t_last
    smooth = np.empty(FILTERED, np.float64)
    at = 0
    for i in range(device.size):
        if reason[i] != 0:
            continue
        row = first[device[i]]
        if merges[row] > 1:
            gap_ns = t_ns[i] - t_last[row]
            t_last[row] = t_ns[i]
            long_gap = gap_ns > _LONG_GAP_NS or gap_ns < 0
            _run_filters(values, i, row, long_gap, sections, z, live, smooth)
        if fate[i] == WHOLE and s[row, _COUNT] == 0.0:
            at += 1
            continue
        s[row, _COUNT] += values[load + 2, i]
        s[row, _LOAD] += values[load, i]
        s[row, _FLAT] += values[load + 3, i]
        s[row, _PEAK] = max(s[row, _PEAK], values[load + 1, i])
        s[row, _FLAGS] = int(s[row, _FLAGS]) | int(flags[i])
        if clip >= 0 and values[clip, i] == values[clip, i]:
            s[row, _CLIP] = max(s[row, _CLIP], values[clip, i] + 1.0)
        if fate[i] == THINNED:
            continue
        if fate[i] == MERGED:
            for c in range(FILTERED):
                out[c, at] = smooth[c]
        out[load, at] = s[row, _LOAD]
        out[load + 1, at] = s[row, _PEAK]
        out[load + 2, at] = s[row, _COUNT]
        out[load + 3, at] = s[row, _FLAT]
        if clip >= 0:
            out[clip, at] = s[row, _CLIP] - 1.0 if s[row, _CLIP] > 0.0 else np.nan
        out_flags[at] = int(s[row, _FLAGS]) | (_MERGED if s[row, _COUNT] > 1.0 else 0)
        for part in range(PENDING_WIDTH):
            s[row, part] = 0.0
        at += 1


def thin_positions(
    rows: Rows, fate: NDArray[np.uint8], smooth: NDArray[np.float32], streams: Streams,
    pending: NDArray[np.float64],
) -> Rows:
    """The rows of `fate` MERGED and WHOLE; merged ones hold the smooth place (3, n) of x, y, z."""
    index = np.flatnonzero(fate)
    kept = rows.take(index)
    merged = np.flatnonzero(fate[index] == MERGED)
    if len(merged):
        names = KINDS[rows.kind].names
        for axis, name in enumerate(("pos_x_m", "pos_y_m", "pos_z_m")):
            if name in names:
                kept.values[names.index(name), merged] = smooth[axis, index[merged]]
    _gather_flags(rows.words, fate, streams, pending, kept.flags)
    return kept


@njit(cache=True)
def _gather_flags(
    words: NDArray[np.uint32], fate: NDArray[np.uint8], streams: Streams,
    pending: NDArray[np.float64], out_flags: NDArray[np.uint32],
) -> None:
    device, flags, reason = words[DEVICE], words[FLAGS], words[REASON]
    at = 0
    for i in range(device.size):
        if reason[i] != 0:
            continue
        row = streams.first[device[i]]
        pending[row, _COUNT] += 1.0
        pending[row, _FLAGS] = int(pending[row, _FLAGS]) | int(flags[i])
        if fate[i] != THINNED:
            merged = _MERGED if pending[row, _COUNT] > 1.0 else 0
            out_flags[at] = int(pending[row, _FLAGS]) | merged
            pending[row, _COUNT] = 0.0
            pending[row, _FLAGS] = 0.0
            at += 1
