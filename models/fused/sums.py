"""Tumbling windows of event time and sprints, from the columns of one call, stream after stream."""

from math import sqrt

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.fused import state as S  # noqa: N812
from models.fused.arrange import keep_clean
from models.fused.config import FusedRule
from models.fused.state import CONTEXT, Columns, Given, Streams, Whole


@njit(cache=True, error_model="numpy")
def sum_up(
    streams: Streams, touched: NDArray[np.int32], touched_n: int, columns: Columns, given: Given,
    rule: FusedRule, base_ms: int,
) -> None:
    """Add every touched stream's samples to its windows and sprints, and keep its context."""
    clean, t_ms, dist, speed = columns.channel, columns.t_ms, columns.dist, columns.speed
    heart = clean[6]
    begin = 0
    for n in range(touched_n):
        s = np.uint32(touched[n])
        row, whole, real = streams.row[s], streams.whole[s], streams.real[s]
        end = streams.gate[s, S.PLACE]
        streams.gate[s, S.PLACE] = 0
        first = begin + CONTEXT + 2 - whole[S.SEEN]
        last = end - 2
        if first < last:
            if whole[S.GIVEN] < 5:
                stop = min(last, first + 5 - whole[S.GIVEN])
                _start_up(
                    clean, t_ms, rule.position_m, dist, speed, columns.load, first, stop,
                    whole[S.GIVEN],
                )
            fastest = _windows(
                s, whole, real, t_ms, dist, speed, columns.acc, columns.load, heart, first, last,
                given.windows, given.n, rule.window_ms, base_ms,
            )
            if fastest > rule.sprint_mps or whole[S.RUN_FROM] >= 0:
                _sprints(
                    s, whole, t_ms[first:last], speed[first:last], given.sprints, given.n,
                    rule.sprint_mps, rule.sprint_ms, base_ms,
                )
        keep_clean(row, whole, clean, t_ms, begin, end, base_ms)
        begin = end


@njit(cache=True, error_model="numpy")
def _start_up(
    clean: NDArray[np.float32], t_ms: NDArray[np.int32], position_m: np.float32,
    dist: NDArray[np.float32], speed: NDArray[np.float32], load: NDArray[np.float32], first: int,
    stop: int, given: int,
) -> None:
    """The first five samples of a stream: means of fewer positions, and no step before the
    first."""
    for i in range(first, stop):
        count = given + i - first
        if count == 0:
            dist[i] = speed[i] = load[i] = np.float32(0.0)
            continue
        square = 0.0
        for c in range(3):
            now = before = 0.0
            for j in range(count + 1):
                now += clean[c, i - j]
            for j in range(count):
                before += clean[c, i - 1 - j]
            step = now / (count + 1) - before / count
            square += step * step
        metres = sqrt(square) * position_m
        dist[i] = np.float32(metres)
        speed[i] = np.float32(metres * 1000.0 / max(t_ms[i] - t_ms[i - 1], 1))


@njit(cache=True, error_model="numpy")
def _windows(
    s: Whole, whole: NDArray[np.int64], real: NDArray[np.float64], t_ms: NDArray[np.int32],
    dist: NDArray[np.float32], speed: NDArray[np.float32], acc: NDArray[np.float32],
    load: NDArray[np.float32], heart: NDArray[np.float32], first: int, last: int,
    out: NDArray[np.float64], n: NDArray[np.int64], window_ms: Whole, base_ms: int,
) -> np.float32:
    """Sum samples [first, last) one by one, in double precision; returns the largest speed."""
    at, fastest = first, np.float32(0.0)
    while at < last:
        until = (whole[S.WINDOW] + 1) * window_ms - base_ms
        if t_ms[at] >= until or whole[S.WINDOW] < 0:
            if real[S.N] > 0.0:
                flush(s, whole, real, out, n)
            whole[S.WINDOW] = (base_ms + t_ms[at]) // window_ms
            until = (whole[S.WINDOW] + 1) * window_ms - base_ms
        stop = last
        if t_ms[last - 1] >= until:
            stop = at
            while t_ms[stop] < until:
                stop += 1
        dist_m, acc_g, load_au, heart_bpm = real[S.DIST], real[S.ACC], real[S.LOAD], real[S.HEART]
        top = np.float32(0.0)
        for i in range(at, stop):
            j = np.uint32(i)
            dist_m += dist[j]
            acc_g += acc[j]
            load_au += load[j]
            heart_bpm += heart[j]
            v = speed[j]
            top = v if v > top else top
        real[S.N] += stop - at
        real[S.DIST], real[S.ACC], real[S.LOAD], real[S.HEART] = dist_m, acc_g, load_au, heart_bpm
        real[S.VMAX] = max(real[S.VMAX], np.float64(top))
        fastest = max(fastest, top)
        at = stop
    return fastest


@njit(cache=True, error_model="numpy")
def flush(
    s: Whole, whole: NDArray[np.int64], real: NDArray[np.float64], windows: NDArray[np.float64],
    n: NDArray[np.int64],
) -> None:
    """Give the open window of a stream, and empty it."""
    out = windows[n[S.WINDOWS]]
    n[S.WINDOWS] += 1
    count = real[S.N]
    out[0], out[1], out[2] = s, whole[S.WINDOW], count
    out[3], out[4], out[5] = real[S.DIST], real[S.VMAX], real[S.ACC] / count
    out[6], out[7] = real[S.LOAD], real[S.HEART] / count
    real[S.N : S.HEART + 1] = 0.0


@njit(cache=True, error_model="numpy")
def _sprints(
    s: Whole, whole: NDArray[np.int64], t_ms: NDArray[np.int32], speed: NDArray[np.float32],
    sprints: NDArray[np.int64], n: NDArray[np.int64], sprint_mps: np.float32, sprint_ms: Whole,
    base_ms: int,
) -> None:
    """Runs above the sprint speed: told when they have lasted, and again when they end."""
    for i in range(t_ms.size):
        t = base_ms + t_ms[i]
        if speed[i] > sprint_mps:
            if whole[S.RUN_FROM] < 0:
                whole[S.RUN_FROM] = t
                whole[S.RUNNING] = 0
            if whole[S.RUNNING] == 0 and t - whole[S.RUN_FROM] >= sprint_ms:
                whole[S.RUNNING] = 1
                _tell(sprints, n, s, 1, whole[S.RUN_FROM], t)
        elif whole[S.RUN_FROM] >= 0:
            if whole[S.RUNNING] == 1:
                _tell(sprints, n, s, 0, t, t)
            whole[S.RUN_FROM] = -1


@njit(cache=True, error_model="numpy")
def _tell(
    sprints: NDArray[np.int64], n: NDArray[np.int64], s: Whole, kind: int, t_event_ms: int,
    t_detected_ms: int,
) -> None:
    out = sprints[n[S.SPRINTS]]
    n[S.SPRINTS] += 1
    out[0], out[1], out[2], out[3] = s, kind, t_event_ms, t_detected_ms
