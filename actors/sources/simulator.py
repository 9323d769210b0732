"""The simulated match as a track: chunks of one second, cut into units."""

from itertools import pairwise
from typing import Final

import numpy as np

from actors.sources.played import SECOND_UNITS, UNIT_NS
from models.simulator.match import MatchSimulator
from models.telemetry.block import SampleBlock, concat_blocks
from models.telemetry.decoded import Refusal
from models.telemetry.kinds import Kind

_NEVER_NS: Final = 2**63 - 1


class SimulatedTrack:
    """`simulator` plays any second at random access; the second being read is kept."""

    type_name = "simulator"
    # Four seconds are some 14,000 rows: enough that what a batch costs by itself does not show.
    full_units = 4 * SECOND_UNITS
    refusals: tuple[Refusal, ...] = ()

    def __init__(self, simulator: MatchSimulator) -> None:
        self._simulator = simulator
        self.start_ns = simulator.config.start_ns
        self.units = simulator.chunks * SECOND_UNITS
        self._kept: tuple[int, dict[Kind, SampleBlock]] = (-1, {})

    def read(self, cursor: int, upto: int) -> dict[Kind, SampleBlock]:
        second, first = divmod(cursor, SECOND_UNITS)
        if upto > (second + 1) * SECOND_UNITS:
            cuts = [cursor, *range((second + 1) * SECOND_UNITS, upto, SECOND_UNITS), upto]
            return joined([self.read(a, b) for a, b in pairwise(cuts)])
        if self._kept[0] != second:
            self._kept = (second, self._simulator.chunk(second))
        if first == 0 and upto - cursor == SECOND_UNITS:
            return dict(self._kept[1])
        from_ns = self.start_ns + cursor * UNIT_NS
        # The last second also holds what is still on its way when play ends.
        to_ns = self.start_ns + upto * UNIT_NS if upto < self.units else _NEVER_NS
        return rows_between(self._kept[1], from_ns, to_ns)

    def skip(self, cursor: int) -> int:
        return cursor


def joined(parts: list[dict[Kind, SampleBlock]]) -> dict[Kind, SampleBlock]:
    """The rows of consecutive parts, kind by kind."""
    kinds = [kind for kind in Kind if any(kind in part for part in parts)]
    return {k: concat_blocks([part[k] for part in parts if k in part]) for k in kinds}


def rows_between(
    blocks: dict[Kind, SampleBlock], from_ns: int, to_ns: int
) -> dict[Kind, SampleBlock]:
    """Rows with from_ns <= t_ingest < to_ns; blocks are in arrival order, empty ones go."""
    cut: dict[Kind, SampleBlock] = {}
    for kind, block in blocks.items():
        low, high = np.searchsorted(block.t_ingest_ns, (from_ns, to_ns))
        if high > low:
            cut[kind] = block.take(slice(int(low), int(high)))
    return cut
