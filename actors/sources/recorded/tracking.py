"""A kloppy tracking data set as canonical rows.

kloppy gives objects; each frame is walked once. Coordinates are pitch-centred metres, x goal to
goal, y up the page, never flipped: the playing direction is `Roster.periods`. The data set is held
in memory (about 40 bytes per player and frame, besides kloppy's objects while loading).
"""

from datetime import datetime, timedelta
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from actors.sources.recorded.directions import period_name, team_directions
from actors.sources.recorded.mapping import DEFAULT_START_NS, to_ns
from actors.sources.recorded.recording import MemoryLane, Recording
from models.errors import SchemaError
from models.telemetry.block import SampleBlock
from models.telemetry.kinds import KINDS, Kind
from models.telemetry.roster import Device, Period, Role, Roster, Subject

COORDINATES: Final = "secondspectrum"
"""kloppy's name for the frame that is ours: origin at the centre, metres, y up."""
BALL: Final = "ball"
_ALTERNATING: Final = {"home-away": 1, "away-home": -1}
_STATIC: Final = {"fixed-home-away": 1, "fixed-away-home": -1}


def recording_of(dataset: Any, name: str, match: str) -> Recording:
    """The recording in a kloppy data set with coordinates `COORDINATES`. Raises SchemaError."""
    if not dataset.frames:
        raise SchemaError("empty", f"{match}: no frames")
    metadata = dataset.metadata
    rate_hz = float(metadata.frame_rate)
    players = {
        player.player_id: (team, player) for team in metadata.teams for player in team.players
    }
    periods = {period.id: period for period in metadata.periods}
    frames = _Frames(dataset, players, rate_hz)
    starts = _starts_ns(periods, metadata.date)
    subjects, devices, blocks = [], [], []
    for row, player_id in enumerate(players):
        subjects.append(_subject(*players[player_id]))
        devices.append(Device(f"lps-{player_id}", Kind.LPS, str(player_id), rate_hz))
        assert devices[row].subject == subjects[row].subject_id
    if frames.player_rows:
        blocks.append(frames.players_block(starts))
    if frames.ball_rows:
        subjects.append(Subject(BALL, Role.BALL))
        devices.append(Device(BALL, Kind.BALL_POS, BALL, rate_hz))
        blocks.append(frames.ball_block(starts, len(devices) - 1))
    if not blocks:
        raise SchemaError("empty", f"{match}: no frame has a position")
    size = metadata.pitch_dimensions
    roster = Roster(
        "recorded", match, pitch_length_m=float(size.pitch_length or 105.0),
        pitch_width_m=float(size.pitch_width or 68.0), subjects=tuple(subjects),
        devices=tuple(devices),
    )
    roster = _with_periods(roster, blocks, str(metadata.orientation.value), list(periods))
    notes = (f"{frames.absent} positions are unknown and absent",) if frames.absent else ()
    return Recording(name, roster, tuple(MemoryLane(b) for b in blocks), (), notes)


def _subject(team: Any, player: Any) -> Subject:
    position = str(player.starting_position or "")
    role = Role.GOALKEEPER if position == "Goalkeeper" else Role.ATHLETE
    side = str(team.ground.value)
    return Subject(
        str(player.player_id), role, side if side in ("home", "away") else "",
        int(player.jersey_no or 0),
    )


def _starts_ns(periods: dict[int, Any], date: datetime | None) -> dict[int, int]:
    """UTC ns at which each period starts: its own time, or the match's date plus its offset."""
    base = DEFAULT_START_NS
    if date is not None and to_ns(date) > 0:
        base = to_ns(date)
    first = min(periods)
    found = {}
    for number, period in periods.items():
        start = period.start_timestamp
        if isinstance(start, datetime):
            found[number] = to_ns(start)
        else:
            found[number] = base + _delta_ns(start - periods[first].start_timestamp)
    return found


def _delta_ns(delta: timedelta) -> int:
    return (delta.days * 86_400 + delta.seconds) * 1_000_000_000 + delta.microseconds * 1_000


def _with_periods(
    roster: Roster, blocks: list[SampleBlock], orientation: str, numbers: list[int]
) -> Roster:
    """Directions as the provider states them, else as the teams stand."""
    estimated = team_directions(roster, blocks, by_boot=True)
    names = {period_name(number): number for number in numbers}
    periods = []
    for period in estimated.periods:
        number = names.get(period.name, 1)
        attacks = period.home_attacks
        if orientation in _STATIC:
            attacks = _STATIC[orientation]
        elif orientation in _ALTERNATING:
            attacks = _ALTERNATING[orientation] * (1 if number % 2 else -1)
        periods.append(Period(period.name, period.start_ns, period.end_ns, attacks))
    return Roster(
        roster.venue_id, roster.match_id, roster.sport, roster.pitch_length_m,
        roster.pitch_width_m, roster.subjects, roster.devices, tuple(periods),
    )


class _Frames:
    """The frames of a data set as flat lists, filled in one walk."""

    def __init__(self, dataset: Any, players: dict[Any, Any], rate_hz: float) -> None:
        row_of = {player_id: row for row, player_id in enumerate(players)}
        self.player_rows: list[tuple[int, int, float, float]] = []
        self.ball_rows: list[tuple[int, float, float, float, float]] = []
        self.absent = 0
        ids, periods, times = [], [], []
        for number, frame in enumerate(dataset.frames):
            ids.append(int(frame.frame_id))
            periods.append(int(frame.period.id))
            times.append(_delta_ns(frame.timestamp))
            for player, data in frame.players_data.items():
                point, row = data.coordinates, row_of.get(player.player_id, -1)
                # NaN differs from itself: a test for it without a call per position.
                if point is not None and point.x == point.x and point.y == point.y and row >= 0:
                    self.player_rows.append((number, row, point.x, point.y))
                else:
                    self.absent += 1
            self._add_ball(number, frame)
        self._period = np.array(periods, np.int64)
        self._time = np.array(times, np.int64)
        self._seq = _frame_counter(np.array(ids, np.int64), self._period, self._time, rate_hz)

    def _add_ball(self, number: int, frame: Any) -> None:
        point = frame.ball_coordinates
        if point is None or point.x != point.x or point.y != point.y:
            self.absent += 1
            return
        height = getattr(point, "z", None)
        state = frame.ball_state
        in_play = float("nan") if state is None else float(state.value == "alive")
        z = float("nan") if height is None else height
        self.ball_rows.append((number, point.x, point.y, z, in_play))

    def players_block(self, starts: dict[int, int]) -> SampleBlock:
        table = np.array(self.player_rows, np.float64)
        return self._block(
            Kind.LPS, table[:, 0].astype(np.int64), table[:, 1].astype(np.int32), starts,
            {"pos_x_m": table[:, 2], "pos_y_m": table[:, 3]},
        )

    def ball_block(self, starts: dict[int, int], device: int) -> SampleBlock:
        table = np.array(self.ball_rows, np.float64)
        return self._block(
            Kind.BALL_POS, table[:, 0].astype(np.int64), np.full(len(table), device, np.int32),
            starts, {
                "pos_x_m": table[:, 1], "pos_y_m": table[:, 2], "pos_z_m": table[:, 3],
                "in_play": table[:, 4],
            },
        )

    def _block(
        self, kind: Kind, frame: NDArray[np.int64], device: NDArray[np.int32],
        starts: dict[int, int], columns: dict[str, NDArray[np.float64]],
    ) -> SampleBlock:
        base = np.array([starts[int(number)] for number in self._period], np.int64)
        t_ns = (base + self._time)[frame]
        values = np.full((len(KINDS[kind].channels), len(frame)), np.nan, np.float32)
        for name, column in columns.items():
            values[KINDS[kind].index(name)] = column
        block = SampleBlock(
            kind, device, self._period[frame].astype(np.uint32),
            self._seq[frame].astype(np.uint32), t_ns, t_ns, np.zeros(len(frame), np.uint32), values,
        )
        return block.take(np.argsort(t_ns, kind="stable"))


def _frame_counter(
    ids: NDArray[np.int64], period: NDArray[np.int64], t_ns: NDArray[np.int64], rate_hz: float
) -> NDArray[np.int64]:
    """The provider's frame number where it counts frames, else the frame that the time falls in.

    Some providers number frames by clock time or by source frame; a counter has to rise by one.
    """
    same = period[1:] == period[:-1]
    steps = np.diff(ids)[same]
    counts = len(steps) and (steps > 0).all() and np.median(steps) == 1
    if counts and ids.min() >= 0 and ids.max() < 2**32:
        return ids
    counted: NDArray[np.int64] = np.rint(t_ns * (rate_hz / 1e9)).astype(np.int64)
    return counted
