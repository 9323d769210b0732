"""Periods and playing directions of a recording, from where the teams stand.

A team is on average nearer to the goal that it defends, so over a whole period the team with the
smaller mean x attacks towards +x. Only an estimate: a provider's own statement comes first.
"""

from dataclasses import replace
from typing import Final

import numpy as np

from models.telemetry.block import SampleBlock
from models.telemetry.kinds import KINDS, POSITION_KINDS
from models.telemetry.roster import Period, Roster

PERIOD_NAMES: Final = {
    1: "first_half", 2: "second_half", 3: "first_half_extratime", 4: "second_half_extratime",
    5: "shootout",
}


def period_name(number: int) -> str:
    return PERIOD_NAMES.get(number, f"period_{number}")


def team_directions(roster: Roster, blocks: list[SampleBlock], by_boot: bool) -> Roster:
    """`roster` with periods: one per boot number, or one in all."""
    team_of = {subject.subject_id: subject.team for subject in roster.subjects}
    side = np.array(
        [{"home": 1, "away": -1}.get(team_of[d.subject], 0) for d in roster.devices], np.int8
    )
    numbers = sorted({int(n) for b in blocks for n in np.unique(b.boot)}) if by_boot else [1]
    periods = []
    for number in numbers:
        start, end, sums, counts = 2**62, 0, {1: 0.0, -1: 0.0}, {1: 0, -1: 0}
        for block in blocks:
            mine = block.take(block.boot == number) if by_boot else block
            if not len(mine):
                continue
            start = min(start, int(mine.t_event_ns.min()))
            end = max(end, int(mine.t_event_ns.max()) + 1)
            if block.kind in POSITION_KINDS:
                x = mine.values[KINDS[block.kind].index("pos_x_m")]
                for team in (1, -1):
                    rows = side[mine.device] == team
                    sums[team] += float(x[rows].sum(dtype=np.float64))
                    counts[team] += int(rows.sum())
        attacks = 1
        if counts[1] and counts[-1]:
            attacks = 1 if sums[1] / counts[1] <= sums[-1] / counts[-1] else -1
        periods.append(Period(period_name(number), start, end, attacks))
    return replace(roster, periods=tuple(periods))
