"""A recorded file as a track: any span of arrival time can be read, long silences are jumped."""

from typing import Final

from actors.sources.played import SECOND_UNITS, UNIT_NS
from actors.sources.recorded.recording import MAX_SILENCE_NS, Recording
from models.telemetry.block import SampleBlock
from models.telemetry.decoded import Refusal
from models.telemetry.kinds import Kind

ROWS_WORTH_A_BATCH: Final = 16_000
LONGEST_BATCH_S: Final = 30


class RecordedTrack:
    """`recording` as its reader opened it."""

    type_name = "file"

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self.start_ns = recording.t_start_ns
        self.units = max(1, recording.chunk_count(UNIT_NS))
        self.refusals: tuple[Refusal, ...] = recording.refusals
        rows_per_s = sum(recording.rows.values()) * SECOND_UNITS / self.units
        # A sparse recording at full speed comes in larger batches: each costs the same.
        seconds = min(LONGEST_BATCH_S, max(1, int(ROWS_WORTH_A_BATCH / max(rows_per_s, 1.0))))
        self.full_units = seconds * SECOND_UNITS

    def read(self, cursor: int, upto: int) -> dict[Kind, SampleBlock]:
        from_ns = self.start_ns + cursor * UNIT_NS
        blocks = (lane.read(from_ns, self._end_ns(upto)) for lane in self._recording.lanes)
        return {block.kind: block for block in blocks if len(block)}

    def skip(self, cursor: int) -> int:
        from_ns = self._end_ns(cursor)
        if cursor >= self.units:
            return cursor
        upcoming = min(lane.next_ns(from_ns) for lane in self._recording.lanes)
        if upcoming - from_ns <= MAX_SILENCE_NS:
            return cursor
        return min(max(cursor, (upcoming - self.start_ns) // UNIT_NS), self.units)

    def _end_ns(self, upto: int) -> int:
        return self.start_ns + upto * UNIT_NS
