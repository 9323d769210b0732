"""One ended match of the warm tier, recomputed: its rows in, data files and a manifest out.

Memory is bounded by the match's positions and by the motion rows of one slice of time. What is
content of the tier is decided by whoever publishes the manifest.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa

from cluster.tier_files import TierWriter, read_file, read_kind, time_span
from cluster.tiers import DataFile, Manifest, TierStorage
from models.flows.config import FlowConfig
from models.flows.layout import PERSON_COLUMNS
from models.flows.subjects import PERSONS
from models.recompute.events import is_recomputed
from models.recompute.match import OF_BODY, Recomputation, Told
from models.recompute.rows import warm_block
from models.recompute.tables import (
    CORRECTIONS,
    FINALS,
    correction_tables,
    events_of,
    finals_table,
    told_events,
)
from models.telemetry.block import SampleBlock, concat_blocks
from models.telemetry.kinds import POSITION_KINDS, Kind
from models.telemetry.roster import Roster
from models.tiers.columns import HEALTH_CORRECTIONS, HEALTH_EVENTS

SLICE_NS: Final = 300_000_000_000
TICK_NS: Final = 100_000_000
NEVER: Final = 1 << 62
EVENT_KINDS: Final = ("events", HEALTH_EVENTS)
CORRECTION_KINDS: Final = (CORRECTIONS, HEALTH_CORRECTIONS)
_Marked = tuple[tuple[int, int, int], dict[str, float]]
_INPUTS: Final = frozenset({*map(str, (*POSITION_KINDS, *OF_BODY)), "states"})


@dataclass(frozen=True, slots=True)
class WarmMatch:
    """A match as the warm tier holds it. `manifests` oldest first, at least one."""

    storage: TierStorage
    key_dir: str
    manifests: list[Manifest]

    @property
    def generation(self) -> int:
        """How many recomputations there are."""
        return sum(is_recomputation(one) for one in self.manifests)

    def due(self) -> bool:
        """Whether the match has ended, and holds what the last recomputation has not seen. Raises
        StorageError, OSError."""
        if not self.manifests or not self.manifests[-1].closed:
            return False
        done = [n for n, one in enumerate(self.manifests) if is_recomputation(one)]
        later = self.manifests[done[-1] + 1 :] if done else self.manifests
        kinds = {entry.kind for one in later for entry in one.files}
        if not done or kinds & _INPUTS:
            return bool({entry.kind for entry in self.files()} & _INPUTS)
        # Corrections go out by the log, and so come back with the next roll.
        return any(
            not is_recomputed(stream)
            for kind in EVENT_KINDS
            for table in read_kind(self.storage, later, kind, self.key_dir, ["stream"])
            for stream in table.column("stream").to_pylist()
        )

    def files(self, *kinds: str) -> list[DataFile]:
        """The files of `kinds` (of all if none are given), in order."""
        return [
            entry for one in self.manifests for entry in one.files
            if not kinds or entry.kind in kinds
        ]

    def tables(self, kinds: Iterable[str]) -> list[pa.Table]:
        """All files of `kinds`, one kind after the other. Raises StorageError, OSError."""
        return [
            table for kind in kinds
            for table in read_kind(self.storage, self.manifests, kind, self.key_dir)
        ]


def recompute_match(match: WarmMatch, roster: Roster, slice_ns: int = SLICE_NS) -> Manifest:
    """Write finals and corrections; the manifest that would publish them. Raises StorageError,
    SchemaError, OSError."""
    generation, last, flow = match.generation, match.manifests[-1], FlowConfig()
    positions = {
        kind: concat_blocks([
            warm_block(roster, kind, table) for table in match.tables([str(kind)])
        ])
        for kind in POSITION_KINDS if match.files(str(kind))
    }
    told, end_ns = _told(match, roster)
    work = Recomputation(roster, positions, flow)
    _walk(match, roster, work, positions, end_ns, slice_ns)
    findings = work.findings(told, generation)
    writer = TierWriter(match.storage, last.root, last.number + 1, match.key_dir)
    writer.add(FINALS, finals_table(findings, generation, flow))
    for kind, table in correction_tables(findings, roster, generation).items():
        writer.add(kind, table)
    files = writer.finish()
    return Manifest(
        last.venue_id, last.match_id, last.number + 1, last.root, files,
        last.files_total + len(files), last.cursors, last.state_key, last.closed,
    )


class _Body:
    """The rows of motion and heart, read file by file as their time comes."""

    def __init__(self, match: WarmMatch, roster: Roster) -> None:
        self._match, self._roster = match, roster
        self.spans = {
            (kind, entry.key): time_span(match.storage, entry.key)
            for kind in OF_BODY for entry in match.files(str(kind))
        }
        self._held: dict[str, SampleBlock] = {}

    def next_ns(self, since_ns: int) -> int:
        """The time of the first row at `since_ns` or later; beyond all times if there is none."""
        found = [NEVER]
        for (kind, key), (begin_ns, last_ns) in self.spans.items():
            if begin_ns >= since_ns:
                found.append(begin_ns)
            elif last_ns >= since_ns:
                t_ns = self._block(kind, key).t_event_ns
                found.append(int(t_ns[t_ns >= since_ns].min(initial=NEVER)))
        return min(found)

    def rows(self, since_ns: int, until_ns: int) -> dict[Kind, SampleBlock]:
        """All rows with since_ns <= t < until_ns; files that end before are let go."""
        parts: dict[Kind, list[SampleBlock]] = {}
        for (kind, key), (begin_ns, last_ns) in self.spans.items():
            if begin_ns < until_ns and last_ns >= since_ns:
                block = self._block(kind, key)
                mine = (block.t_event_ns >= since_ns) & (block.t_event_ns < until_ns)
                parts.setdefault(kind, []).append(block.take(np.flatnonzero(mine)))
            if last_ns < until_ns:
                self._held.pop(key, None)
        return {kind: concat_blocks(found) for kind, found in parts.items()}

    def _block(self, kind: Kind, key: str) -> SampleBlock:
        if key not in self._held:
            table = read_file(self._match.storage, key, self._match.key_dir)
            self._held[key] = warm_block(self._roster, kind, table)
        return self._held[key]


def _walk(
    match: WarmMatch, roster: Roster, work: Recomputation,
    positions: Mapping[Kind, SampleBlock], end_ns: int, slice_ns: int,
) -> None:
    """Hand the rows of motion and heart over, slice by slice. A slice holds so much time from its
    first row on: a recording of runs over years has few slices."""
    body = _Body(match, roster)
    times = [block.t_event_ns for block in positions.values()]
    t_ns = np.sort(np.concatenate([np.empty(0, np.int64), *times]))
    ends = [last for _, last in body.spans.values()] + [int(t) for t in t_ns[-1:]]
    end_ns = max([end_ns, *((last // TICK_NS + 1) * TICK_NS for last in ends)])
    since_ns = 0
    while since_ns < end_ns:
        at = int(np.searchsorted(t_ns, since_ns))
        next_ns = min(body.next_ns(since_ns), int(t_ns[at]) if at < len(t_ns) else NEVER)
        until_ns = min(next_ns + slice_ns, end_ns)
        work.handle(body.rows(since_ns, until_ns), until_ns, final=until_ns == end_ns)
        since_ns = until_ns


def _told(match: WarmMatch, roster: Roster) -> tuple[Told, int]:
    """What has been said of the match so far, and the time of its final rows."""
    persons = [subject.subject_id for subject in roster.subjects if subject.role in PERSONS]
    streams = frozenset(f"flow/{name}" for name in persons)
    events = [
        event for table in match.tables(EVENT_KINDS) for event in told_events(table, streams)
    ]
    rows: dict[str, _Marked] = {}
    for rank, kind in enumerate(("states", FINALS)):
        for table in match.tables([kind]):
            _newest(table, rank, rows)
    kept = {name: rows[name][1] for name in persons if name in rows}
    end_ns = max((rows[name][0][1] for name in kept), default=0)
    return Told([*events, *events_of(match.tables(CORRECTION_KINDS))], kept), end_ns


def _newest(table: pa.Table, rank: int, rows: dict[str, _Marked]) -> None:
    """Put the newest row of each subject into `rows`: final before provisional at the same time,
    and a row of a recomputation before all live ones."""
    names = table.column("subject_id").to_pylist()
    times = table.column("t_ns").to_numpy()
    final = np.array([status == "final" for status in table.column("status").to_pylist()])
    best: dict[str, int] = {}
    for n in np.lexsort((final, times)).tolist():
        best[names[n]] = n
    for name, n in best.items():
        mark = (rank, int(times[n]), int(final[n]))
        if name not in rows or mark >= rows[name][0]:
            row = table.slice(n, 1).select(PERSON_COLUMNS).to_pylist()[0]
            rows[name] = (mark, {
                column: float("nan") if value is None else float(value)
                for column, value in row.items()
            })


def is_recomputation(manifest: Manifest) -> bool:
    """Whether the manifest is of a recomputation, and not of a roll."""
    return any(entry.kind == FINALS for entry in manifest.files)
