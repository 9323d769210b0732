"""Canonical blocks as one stream in order of time, which is what analyses take.

A row is a position of a person's sensor, a position of the ball, or a reading of the ball's own
motion sensor. Metres, pitch-centred; m/s^2; times ns UTC.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.telemetry.block import SampleBlock
from models.telemetry.kinds import KINDS, POSITION_KINDS, Kind
from models.telemetry.roster import Role, Roster, source_order

PERSON: Final = 0
BALL: Final = 1
KNOCK: Final = 2


class Samples(NamedTuple):
    """n rows, by time. t_ns (n,) int64; what (n,) int64: PERSON, BALL, KNOCK; device, subject (n,)
    int64 rows of the roster; main (n,) int64: 1 for the sensors that say where a person is, 0 for
    spare ones (an arm, a worse system); x_m, y_m, z_m, in_play, accel_mps2 (n,) float64, NaN where
    unknown."""

    t_ns: NDArray[np.int64]
    what: NDArray[np.int64]
    device: NDArray[np.int64]
    subject: NDArray[np.int64]
    main: NDArray[np.int64]
    x_m: NDArray[np.float64]
    y_m: NDArray[np.float64]
    z_m: NDArray[np.float64]
    in_play: NDArray[np.float64]
    accel_mps2: NDArray[np.float64]

    @property
    def rows(self) -> int:
        """How many rows there are (`len` of a named tuple is its columns)."""
        return int(self.t_ns.shape[0])

    def part(self, rows: slice) -> "Samples":
        """The rows of a slice."""
        return Samples._make(column[rows] for column in self)


class SampleMerger:
    """Turns blocks of all kinds into `Samples` for one roster."""

    def __init__(self, roster: Roster) -> None:
        rows = roster.subject_row()
        size = max(len(roster.devices), 1)
        self.subject = np.full(size, -1, np.int64)
        self.main = np.zeros(size, np.int64)
        best: dict[int, tuple[int, int]] = {}
        for row, device in enumerate(roster.devices):
            owner = rows.get(device.subject, -1)
            self.subject[row] = owner
            if owner >= 0 and device.kind in POSITION_KINDS:
                rank = source_order(device, row)[:2]
                best[owner] = min(best.get(owner, rank), rank)
        for row, device in enumerate(roster.devices):
            found = best.get(int(self.subject[row]))
            self.main[row] = int(found == source_order(device, row)[:2])
        self.ball = np.array([s.role == Role.BALL for s in roster.subjects] or [False])
        self.devices = len(roster.devices)
        self.subjects = len(roster.subjects)

    def merge(self, blocks: Mapping[Kind, SampleBlock]) -> Samples:
        """All rows of persons' positions and of the ball, by event time, then kind and device.
        Rows of other kinds, and of devices that nobody wears, are left out."""
        parts = [
            self._rows(blocks[kind], what)
            for kind, what in (
                (Kind.LPS, PERSON), (Kind.GNSS, PERSON), (Kind.BALL_POS, BALL),
                (Kind.BALL_IMU, KNOCK),
            )
            if kind in blocks
        ]
        if not parts:
            return self._rows(None, PERSON)
        whole = Samples._make(np.concatenate(columns) for columns in zip(*parts, strict=True))
        order = np.lexsort((whole.device, whole.what, whole.t_ns))
        return Samples._make(column[order] for column in whole)

    def _rows(self, block: SampleBlock | None, what: int) -> Samples:
        if block is None:
            none, nan = np.empty(0, np.int64), np.empty(0)
            return Samples(none, none, none, none, none, nan, nan, nan, nan, nan)
        device = block.device.astype(np.int64)
        known = (device >= 0) & (device < self.devices)
        subject = np.where(known, self.subject[np.where(known, device, 0)], -1)
        right = self.ball[np.maximum(subject, 0)] == (what != PERSON)
        keep = (subject >= 0) & right
        device, subject, names = device[keep], subject[keep], KINDS[block.kind].names

        def column(name: str) -> NDArray[np.float64]:
            if name not in names:
                return np.full(len(device), np.nan)
            return block.values[names.index(name)][keep].astype(np.float64)

        accel = np.full(len(device), np.nan)
        if what == KNOCK:
            axes = np.stack([column(f"acc_{axis}_mps2") for axis in "xyz"])
            accel = np.fmax(np.sqrt((axes**2).sum(axis=0)), column("peak_mps2"))
        return Samples(
            block.t_event_ns[keep].astype(np.int64), np.full(len(device), what, np.int64), device,
            subject, self.main[device], column("pos_x_m"), column("pos_y_m"), column("pos_z_m"),
            column("in_play"), accel,
        )
