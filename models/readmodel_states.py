"""Latest state per subject, the ball's trail, and a coarse history: what state rows turn into.

Owns which row is the newest, when a value is stale, when a flow counts as hot, and the bounds of
what is remembered. Columns keep the names and units that the flow kernel gave them.
"""

from collections import deque
from dataclasses import dataclass, field
from itertools import pairwise
from math import nan
from struct import Struct
from typing import Any, Final

import numpy as np
import pyarrow as pa

from models.flows.states import match_of_states
from models.readmodel_rows import Readable, TableRow

STATE_PERIOD_MS: Final = 250.0
HEART_PERIOD_MS: Final = 1000.0
STALE_PERIODS: Final = 3.0
"""DOMAIN C: a value is greyed out when it is older than three of its periods."""
SILENT_MS: Final = 3000.0
"""Wall-clock time without any row after which a live value is stale whatever its own age says."""
LOW_COVERAGE: Final = 0.8
HOT_ENTER: Final = 0.70
HOT_LEAVE: Final = 0.55
TRAIL_NS: Final = 3_000_000_000
TRAIL_POINTS: Final = 256
HISTORY_STEP_NS: Final = 10_000_000_000
HISTORY_POINTS: Final = 1080
"""Three hours at one point per ten seconds."""
TREND_POINTS: Final = 30
HISTORY_COLUMNS: Final = (
    "distance_m", "hsr_m", "player_load_au", "hr_bpm", "fatigue_index", "dbal_pct",
)
_DISTANCE: Final = HISTORY_COLUMNS.index("distance_m")
_POINT: Final = Struct(f"<q{len(HISTORY_COLUMNS)}d")
_KEYS: Final = ("subject_id", "t_ns", "status")


@dataclass(slots=True)
class StateEntry:
    """The newest row of a subject."""

    t_ns: int
    t_append_ns: int
    version: int
    status: str
    algo_version: str
    row: TableRow | dict[str, Any]
    first_ns: int = 0
    hot: bool = False
    history: deque[bytes] = field(default_factory=lambda: deque(maxlen=HISTORY_POINTS))
    """t_ns and the values of `HISTORY_COLUMNS`, NaN where unknown, packed: a quarter of a tuple."""

    @property
    def values(self) -> dict[str, Any]:
        """Finite numbers only (unknown is absent)."""
        if isinstance(self.row, TableRow):
            self.row = _shown(self.row.values())
        return self.row


class StateBoard:
    """All subjects of a venue's current match."""

    def __init__(self) -> None:
        self.entries: dict[str, StateEntry] = {}
        self.finals: dict[tuple[str, str], dict[str, Any]] = {}
        self._readable = Readable(_KEYS)
        self.trail: deque[tuple[int, float, float, float]] = deque(maxlen=TRAIL_POINTS)
        self.head_ns = 0
        self.rows = 0

    def clear(self) -> None:
        """Another match begins: the live values go, final ones stay."""
        self.entries.clear()
        self.trail.clear()
        self.head_ns = 0

    def take(
        self, table: pa.Table, ball_id: str, match_id: str, t_append_ns: int, version: int
    ) -> int:
        """Take the rows of `table`; the number of subjects that changed. KeyError on no id.

        `match_id` is the match that is played; of another one only final rows are kept.
        """
        if table.num_rows == 0:
            return 0
        subjects = _names(table.column("subject_id"))
        times = table.column("t_ns").to_numpy()
        statuses = table.column("status").to_pylist() if _has(table, "status") else []
        self.rows += table.num_rows
        of_match = match_of_states(table) or match_id
        for index in [i for i, status in enumerate(statuses) if status == "final"]:
            self.finals[of_match, subjects[index]] = table.slice(index, 1).to_pylist()[0]
        if match_id and of_match != match_id:
            return 0
        self.head_ns = max(self.head_ns, int(times.max()))
        algorithm = (table.schema.metadata or {}).get(b"algo_version", b"").decode()
        last = _newest_rows(subjects, times.tolist())
        whole = [] if self._readable.later(table) else table.to_pylist()
        hot, intensity = (_listed(table, name) for name in ("hot", "intensity"))
        changed = 0
        for subject_id, index in last.items():
            status = (statuses[index] if statuses else None) or "provisional"
            entry = self._entry(subject_id, int(times[index]), status)
            if entry is None:
                continue
            entry.t_append_ns, entry.version, entry.algo_version = t_append_ns, version, algorithm
            entry.row = _shown(whole[index]) if whole else TableRow(table, index)
            entry.hot = _is_hot(entry.hot, hot, intensity, index)
            self._note(entry, table, index)
            changed += 1
        if ball_id in last:
            self._extend_trail(table, np.array([s == ball_id for s in subjects]), times)
        return changed

    def _entry(self, subject_id: str, t_ns: int, status: str) -> StateEntry | None:
        """The subject's entry as of `t_ns`; None when it holds something newer."""
        held = self.entries.get(subject_id)
        if held is None:
            held = self.entries[subject_id] = StateEntry(t_ns, 0, 0, status, "", {}, t_ns)
        elif (t_ns, status == "final") < (held.t_ns, held.status == "final"):
            return None
        held.t_ns, held.status = t_ns, status
        return held

    def _note(self, entry: StateEntry, table: pa.Table, index: int) -> None:
        """Extend the history, a point per step."""
        noted_ns = _POINT.unpack(entry.history[-1])[0] if entry.history else None
        if noted_ns is None or entry.t_ns - noted_ns >= HISTORY_STEP_NS:
            row = TableRow(table, index)
            point = _shown({name: row.value(name) for name in HISTORY_COLUMNS})
            values = (point.get(name, nan) for name in HISTORY_COLUMNS)
            entry.history.append(_POINT.pack(entry.t_ns, *values))

    def _extend_trail(self, table: pa.Table, mask: Any, times: Any) -> None:
        columns = [
            table.column(name).to_numpy(zero_copy_only=False)[mask].astype(np.float64)
            if _has(table, name) else np.full(int(mask.sum()), np.nan)
            for name in ("x_m", "y_m", "z_m")
        ]
        for t_ns, x, y, z in zip(times[mask].tolist(), *(c.tolist() for c in columns), strict=True):
            newer = not self.trail or t_ns > self.trail[-1][0]
            if newer and x == x and y == y:
                self.trail.append((t_ns, round(x, 2), round(y, 2), round(z, 2) if z == z else 0.0))
        while self.trail and self.trail[0][0] < self.trail[-1][0] - TRAIL_NS:
            self.trail.popleft()

    def served(self, subject_id: str, now_ns: int) -> dict[str, Any] | None:
        """The newest row with its age and status; None for a subject without any.

        age_ms counts in event time: how far the value is behind the newest of the venue, plus the
        age that it had then. received_age_ms is wall-clock time since its row was appended.
        """
        entry = self.entries.get(subject_id)
        if entry is None:
            return None
        behind_ms = (self.head_ns - entry.t_ns) / 1e6
        received_ms = max(0.0, (now_ns - entry.t_append_ns) / 1e6)
        values = entry.values
        age_ms = behind_ms + max(0.0, float(values.get("age_ms", 0.0)))
        hr_age_ms = behind_ms + float(values.get("hr_age_ms", 0.0)) if "hr_bpm" in values else None
        final = entry.status == "final"
        silent = not final and received_ms > SILENT_MS
        return {
            **values, "subject_id": subject_id, "t_ns": entry.t_ns, "status": entry.status,
            "minutes": round((entry.t_ns - entry.first_ns) / 60e9, 2),
            "algo_version": entry.algo_version, "hot": entry.hot and not silent,
            "age_ms": round(age_ms, 1), "received_age_ms": round(received_ms, 1),
            "hr_age_ms": None if hr_age_ms is None else round(hr_age_ms, 1),
            "stale": silent or (not final and age_ms > STALE_PERIODS * STATE_PERIOD_MS),
            "hr_stale": hr_age_ms is None or (
                silent or (not final and hr_age_ms > STALE_PERIODS * HEART_PERIOD_MS)
            ),
            "low_coverage": float(values.get("coverage", 1.0)) < LOW_COVERAGE,
            "trend_mpmin": _trend(entry),
        }

    def history(self, subject_id: str) -> list[dict[str, Any]]:
        """One point per ten seconds of event time, oldest first."""
        entry = self.entries.get(subject_id)
        if entry is None:
            return []
        named = (
            (t_ns, zip(HISTORY_COLUMNS, values, strict=True))
            for t_ns, *values in map(_POINT.unpack, entry.history)
        )
        return [{"t_ns": t, **{k: v for k, v in values if v == v}} for t, values in named]


def _trend(entry: StateEntry) -> list[int]:
    """Metres per minute in each of the last ten-second steps, at most five minutes of them."""
    newest = map(_POINT.unpack, list(entry.history)[-TREND_POINTS - 1 :])
    points = [(t, value) for t, *values in newest if (value := values[_DISTANCE]) == value]
    return [
        round(max(0.0, (d1 - d0) / ((t1 - t0) / 60e9)))
        for (t0, d0), (t1, d1) in pairwise(points)
    ]


def _names(column: pa.ChunkedArray) -> list[str]:
    """Texts; of a dictionary each is made once, and not for every row. Raises ValueError."""
    if column.num_chunks != 1 or not pa.types.is_dictionary(column.type) or column.null_count:
        return list(column.to_pylist())
    held = column.chunk(0)
    texts = held.dictionary.to_pylist()
    places = held.indices.to_numpy().tolist()
    if any(not 0 <= place < len(texts) for place in places):
        raise ValueError("an index beyond the dictionary")
    return [texts[place] for place in places]


def _newest_rows(subjects: list[str], times: list[int]) -> dict[str, int]:
    """The index of the newest row of each subject; of two at the same time the later one."""
    best: dict[str, int] = {}
    for index, subject_id in enumerate(subjects):
        if subject_id not in best or times[index] >= times[best[subject_id]]:
            best[subject_id] = index
    return best


def _is_hot(
    was: bool, hot: list[float] | None, intensity: list[float] | None, index: int
) -> bool:
    """What the row says; if it says nothing, by hysteresis on its intensity."""
    if hot is not None and _known(hot[index]):
        return bool(hot[index])
    value = intensity[index] if intensity is not None else None
    known = _plain(value) if _known(value) else 0.0
    return bool(known >= (HOT_LEAVE if was else HOT_ENTER))


def _has(table: pa.Table, name: str) -> bool:
    return bool(table.schema.get_field_index(name) >= 0)


def _listed(table: pa.Table, name: str) -> list[float] | None:
    """A column of numbers, NaN where there is none; None without the column. Raises TypeError,
    ValueError."""
    if not _has(table, name):
        return None
    column = table.column(name).to_numpy(zero_copy_only=False)
    values: list[float] = column.astype(np.float64).tolist()
    return values


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    return {k: _plain(v) for k, v in row.items() if k not in _KEYS and _known(v)}


def _known(value: Any) -> bool:
    return value is not None and value == value and value not in (float("inf"), float("-inf"))


def _plain(value: Any) -> Any:
    """Floats to four digits: a view for people; the exact value is in the log."""
    return round(value, 4) if isinstance(value, float) else value
