"""FusedKernel: the one door of the fused pipeline. Interleaved rows in; windows and sprints out.

For every stream: duplicates out and samples into order, Hampel filter on each channel, units,
smoothed position, distance, speed, PlayerLoad, tumbling windows, sprints. The work of a call is
laid out stream after stream and done column by column; what a stream remembers is a few hundred
bytes (`models.fused.state`). Results are bit-identical however the rows are cut into calls.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.columns import frozen
from models.errors import SchemaError
from models.fused import state as S  # noqa: N812
from models.fused.arrange import arrange, keep_raw, place, recall_clean
from models.fused.config import FusedConfig, FusedRule
from models.fused.filters import clean_channel, move, shake
from models.fused.sequence import admit, by_place, finite, release_all
from models.fused.stage import NEIGHBOURS, RECORD, Stage, due, gather, new_stage, unpack
from models.fused.state import (
    CHANNELS,
    Columns,
    Given,
    Listed,
    Pool,
    Streams,
    new_pool,
    new_scratch,
    new_streams,
    wider_pool,
)
from models.fused.sums import flush, sum_up
from models.state_bytes import fill, pack_state, unpack_state

ALGO_VERSION = "fused-1"
LEAST_POOL = 1024
UNKNOWN_COUNT = 3
LEAST_RUN = 4
"""Rows of one stream in a row, on average, that need no gathering."""


class Samples(NamedTuple):
    """Rows in order of arrival, all (n,): stream, seq int32; t_ms int64 event time; positions,
    accelerations (m/s^2) and heart rate (bpm) float32. `seq` counts the samples of a stream from
    0."""

    stream: NDArray[np.int32]
    seq: NDArray[np.int32]
    t_ms: NDArray[np.int64]
    x: NDArray[np.float32]
    y: NDArray[np.float32]
    z: NDArray[np.float32]
    ax: NDArray[np.float32]
    ay: NDArray[np.float32]
    az: NDArray[np.float32]
    hr: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class FusedEffects:
    """windows (w, 8) float64: stream, number of the window, samples, distance m, largest speed m/s,
    mean |a| g, PlayerLoad au, mean heart rate bpm. sprints (k, 4) int64: stream, 1 begin or 0 end,
    its time ms, the time ms at which it was certain."""

    windows: NDArray[np.float64]
    sprints: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class FusedAccount:
    """Rows: rows_in = released + stale + unknown + not_finite + waiting + staged. `stale` rows came
    before, or too late. Windows hold all released rows but the first two of each stream, which only
    serve as context, and the newest two, which still do."""

    rows_in: int
    released: int
    stale: int
    unknown: int
    not_finite: int
    waiting: int
    staged: int


@njit(cache=True, error_model="numpy")
def _work(
    t_ms: NDArray[np.int64], values: tuple[NDArray[np.float32], ...], base_ms: int, rule: FusedRule,
    streams: Streams, pool: Pool, listed: Listed, columns: Columns, given: Given,
) -> None:
    """From what has been released to windows and sprints."""
    touched, touched_n = listed.touched, listed.n[S.TOUCHED]
    gate, rows = streams.gate, streams.row
    used = arrange(base_ms, streams, touched, touched_n, columns)
    channel, work, t_used = columns.channel, columns.work[:used], columns.t_ms[:used]
    place(t_ms, values, base_ms, gate, pool, listed, channel, t_used)
    keep_raw(rows, gate, touched, touched_n, channel)
    for c in range(CHANNELS):
        floor = rule.position_floor if c < 3 else rule.acceleration_floor
        if c == 6:
            floor = rule.heart_floor
        clean_channel(
            channel[c, :used], columns.valid[:used], floor, rule.k, work, columns.changed[:used]
        )
    recall_clean(rows, gate, touched, touched_n, channel)
    move(channel, t_used, rule.position_m, columns.dist[:used], columns.speed[:used], work)
    shake(channel, rule.per_g, columns.acc[:used], columns.load[:used], work)
    sum_up(streams, touched, touched_n, columns, given, rule, base_ms)
    for n in range(pool.n[1]):
        pool.free[pool.n[0]] = pool.used[n]
        pool.n[0] += 1
    pool.n[1] = 0


@njit(cache=True, error_model="numpy")
def _let_in(
    stream: NDArray[np.int32], seq: NDArray[np.int32], t_ms: NDArray[np.int64],
    values: tuple[NDArray[np.float32], ...], rule: FusedRule, streams: Streams, pool: Pool,
    listed: Listed, odd: NDArray[np.float32],
) -> None:
    """List what the rows of a call release. `odd` is scratch."""
    listed.n[:] = 0
    finite(values, odd)
    admit(stream, seq, t_ms, values, odd, rule.wait_n, streams.gate, streams.ring, pool, listed)


@njit(cache=True, error_model="numpy")
def _take(
    stream: NDArray[np.int32], seq: NDArray[np.int32], t_ms: NDArray[np.int64],
    values: tuple[NDArray[np.float32], ...], rule: FusedRule, streams: Streams, pool: Pool,
    listed: Listed, columns: Columns, given: Given,
) -> None:
    """Work on the rows of a call."""
    _let_in(stream, seq, t_ms, values, rule, streams, pool, listed, columns.dist)
    if listed.n[S.RELEASED] > 0:
        _work(t_ms, values, t_ms[0], rule, streams, pool, listed, columns, given)


@njit(cache=True, error_model="numpy")
def _finish(
    t_ms: NDArray[np.int64], values: tuple[NDArray[np.float32], ...], base_ms: int,
    rule: FusedRule, streams: Streams, pool: Pool, listed: Listed, columns: Columns, given: Given,
) -> None:
    listed.n[:] = 0
    release_all(streams.gate, streams.ring, pool, listed)
    if listed.n[S.RELEASED] > 0:
        _work(t_ms, values, base_ms, rule, streams, pool, listed, columns, given)
    for s in range(streams.gate.shape[0]):
        if streams.real[s, S.N] > 0.0:
            flush(s, streams.whole[s], streams.real[s], given.windows, given.n)


@njit(cache=True, error_model="numpy")
def _take_hood(
    hood: int, stage: Stage, rule: FusedRule, streams: Streams, pool: Pool, listed: Listed,
    columns: Columns, given: Given,
) -> None:
    """Work on the rows of one neighbourhood, stream by stream as they lie in memory."""
    n = unpack(stage, hood)
    v, t_ms = stage.values, stage.t_ms[:n]
    values = (v[0, :n], v[1, :n], v[2, :n], v[3, :n], v[4, :n], v[5, :n], v[6, :n])
    _let_in(
        stage.stream[:n], stage.seq[:n], t_ms, values, rule, streams, pool, listed, columns.dist
    )
    first = hood * NEIGHBOURS
    by_place(streams.gate, first, min(first + NEIGHBOURS, streams.gate.shape[0]), listed)
    if listed.n[S.RELEASED] > 0:
        _work(t_ms, values, t_ms[0], rule, streams, pool, listed, columns, given)


class FusedKernel:
    """State per stream: see `bytes_per_stream`; it does not grow with time."""

    def __init__(self, stream_n: int, config: FusedConfig | None = None) -> None:
        self.config = config or FusedConfig()
        self._rule = self.config.rule()
        self._streams = new_streams(stream_n, self.config.ring_n)
        self._stage = new_stage(stream_n, self.config.stage_n)
        self._pool = new_pool(LEAST_POOL)
        self._work = new_scratch(0, stream_n)
        self._counts = np.zeros(5, np.int64)
        self._newest_ms = 0

    @property
    def bytes_per_stream(self) -> int:
        """Bytes that one stream owns, staging included; 40 more per waiting sample."""
        staged = 4 * RECORD * self.config.stage_n if len(self._stage.filled) else 0
        return S.ROW_BYTES + 4 * S.GATE + 4 * self.config.ring_n + staged

    def handle(self, samples: Samples) -> FusedEffects:
        """Take rows in order of arrival; what they complete.

        With more streams than one neighbourhood, rows may be kept back for `stage_ms` of event time
        (`flush` works on them at once).
        """
        given: tuple[NDArray[Any], ...] = samples
        columns = [frozen(column, kind) for column, kind in zip(given, _TYPES, strict=True)]
        stream, seq, t_ms, values = columns[0], columns[1], columns[2], tuple(columns[3:])
        self._counts[0] += len(stream)
        if len(stream) == 0:
            return _gathered([])
        self._newest_ms = max(self._newest_ms, int(t_ms[-1]))
        if not len(self._stage.filled):
            return self._done(len(stream), _take, stream, seq, t_ms, values)
        if np.count_nonzero(stream[1:] != stream[:-1]) * LEAST_RUN < len(stream):
            found = self._overdue(2**62)
            return _gathered([*found, self._done(len(stream), _take, stream, seq, t_ms, values)])
        found, at = [], 0
        while at < len(stream):
            at, full, unknown = gather(
                stream, seq, t_ms, values, at, self._stage, len(self._streams.gate)
            )
            self._counts[UNKNOWN_COUNT] += unknown
            if full >= 0:
                found.append(self._hood(int(full)))
        return _gathered(found + self._overdue(self._newest_ms - self.config.stage_ms))

    def flush(self) -> FusedEffects:
        """Work on everything that is kept back."""
        return _gathered(self._overdue(2**62))

    def finish(self) -> FusedEffects:
        """The streams end: what waits is released, and open windows are given."""
        found = self._overdue(2**62)
        none = tuple(frozen(np.empty(0, np.float32)) for _ in range(CHANNELS))
        end = self._done(0, _finish, frozen(np.empty(0, np.int64)), none, self._newest_ms)
        return _gathered([*found, end])

    def account(self) -> FusedAccount:
        """Where all rows have gone."""
        waiting = int(self._streams.gate[:, S.HELD].sum())
        rows_in, released, stale, unknown, not_finite = self._counts.tolist()
        staged = int(self._stage.filled.sum())
        return FusedAccount(rows_in, released, stale, unknown, not_finite, waiting, staged)

    def state_bytes(self) -> int:
        """Bytes of all that the kernel remembers."""
        return sum(array.nbytes for array in self._arrays().values())

    def snapshot(self) -> bytes:
        """All that the kernel remembers: a kernel restored from it goes on as this one would."""
        return pack_state({"made": self._made(), "newest_ms": self._newest_ms}, self._arrays())

    def restore(self, payload: bytes) -> None:
        """Become the kernel of a snapshot. Raises SchemaError when it is torn, or of another number
        of streams or configuration; then nothing has changed."""
        scalars, found = unpack_state(payload)
        if scalars.get("made") != self._made():
            raise SchemaError("wrong_format", f"snapshot of {str(scalars.get('made'))[:100]}")
        try:
            pool = Pool(*(found[f"pool_{name}"] for name in Pool._fields))
            newest_ms = int(scalars["newest_ms"])
        except (KeyError, TypeError, ValueError) as error:
            raise SchemaError("wrong_format", f"snapshot without {error}") from error
        fill(self._fixed(), found)
        self._pool, self._newest_ms = pool, newest_ms

    def _made(self) -> str:
        return f"{ALGO_VERSION} of {len(self._streams.gate)} streams, {self.config!r}"

    def _arrays(self) -> dict[str, NDArray[Any]]:
        pool = {f"pool_{name}": array for name, array in self._pool._asdict().items()}
        return {**self._fixed(), **pool}

    def _fixed(self) -> dict[str, NDArray[Any]]:
        """Arrays whose size never changes; the pool's does."""
        return {
            "counts": self._counts, "gate": self._streams.gate, "ring": self._streams.ring,
            "row": self._streams.row, "staged": self._stage.record, "filled": self._stage.filled,
        }

    def _overdue(self, until_ms: int) -> list[FusedEffects]:
        found, hood = [], due(self._stage, until_ms, 0)
        while hood >= 0:
            found.append(self._hood(hood))
            hood = due(self._stage, until_ms, hood + 1)
        return found

    def _hood(self, hood: int) -> FusedEffects:
        return self._done(int(self._stage.filled[hood]), _take_hood, hood, self._stage)

    def _done(self, rows: int, work: Any, *inputs: Any) -> FusedEffects:
        """Run compiled `work` on `rows` rows, with room for all that they can release."""
        self._make_room(rows)
        work(*inputs, self._rule, self._streams, self._pool, *self._work)
        n, given = self._work[0].n, self._work[2]
        self._counts[1:] += n[[S.RELEASED, S.STALE, S.UNKNOWN, S.NOT_FINITE]]
        windows, sprints = int(n[S.WINDOWS]), int(n[S.SPRINTS])
        return FusedEffects(given.windows[:windows].copy(), given.sprints[:sprints].copy())

    def _make_room(self, rows: int) -> None:
        """Room for everything that `rows` rows can release, and for all of them to wait."""
        slots, free = len(self._pool.free), int(self._pool.n[0])
        if free < rows:
            most = len(self._streams.gate) * self.config.ring_n + rows
            self._pool = wider_pool(self._pool, min(max(2 * slots, slots + rows - free), most))
        released = rows + len(self._pool.free) - int(self._pool.n[0])
        if released > len(self._work[0].source):
            self._work = new_scratch(released + released // 4, len(self._streams.gate))


def _gathered(parts: list[FusedEffects]) -> FusedEffects:
    if len(parts) == 1:
        return parts[0]
    return FusedEffects(
        np.concatenate([np.empty((0, 8)), *(part.windows for part in parts)]),
        np.concatenate([np.empty((0, 4), np.int64), *(part.sprints for part in parts)]),
    )


_TYPES = (np.int32, np.int32, np.int64, *(np.float32,) * CHANNELS)
