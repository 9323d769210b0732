"""What an analysis shows in a terminal: aligned tables, and a heat map in shaded blocks."""

import math
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from models.analyses.heatmap import HeatMap
from models.analyses.suite import Suite

MOST_ROWS: Final = 400
SHADES: Final = " ·░▒▓█"


def table_text(title: str, table: pa.Table) -> str:
    """The table for people, seconds and metres to one decimal; of windows the whole game only."""
    if "window_s" in table.schema.names:
        table = table.filter(pc.equal(table.column("window_s"), 0)).drop_columns(["window_s"])
    if not table.num_rows:
        return f"{title}: none"
    rows = [[_cell(row[name]) for name in table.schema.names] for row in
            table.slice(0, MOST_ROWS).to_pylist()]
    head = list(table.schema.names)
    widths = [max(len(row[k]) for row in (head, *rows)) for k in range(len(head))]
    lines = ["  ".join(cell.rjust(w) for cell, w in zip(row, widths, strict=True))
             for row in (head, *rows)]
    more = table.num_rows - MOST_ROWS
    return "\n".join([f"{title}:", *lines, *([f"... and {more} more rows"] if more > 0 else [])])


def _cell(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "-"
    return f"{value:.1f}" if isinstance(value, float) else str(value)


def heat_text(suite: Suite, analysis: HeatMap, grid: int, player: str = "") -> str:
    """The whole game's heat map of one subject, or of each team where none is named; the home end
    is as in the recording, +y is up. The darkest block is the fullest cell."""
    rows = suite.roster.subject_row()
    if player:
        groups = {player: [rows[player]] if player in rows else []}
    else:
        groups = {
            team: [row for row, name in enumerate(suite.teams) if name == team]
            for team in dict.fromkeys(suite.teams)
        }
    parts = []
    for name, members in groups.items():
        shares = [analysis.share(row, grid) for row in members]
        seen = [share for share in shares if not np.isnan(share).any()]
        if seen:
            parts.append(f"{name or 'without a team'}:\n{_picture(np.mean(seen, axis=0))}")
    return "\n".join(parts) or "nobody was seen"


def _picture(share: np.ndarray) -> str:
    most = max(float(share.max()), 1e-9)
    level = np.ceil(np.sqrt(share / most) * (len(SHADES) - 1)).astype(int)
    edge = "+" + "-" * (2 * share.shape[1]) + "+"
    lines = ["|" + "".join(SHADES[k] * 2 for k in row) + "|" for row in level[::-1]]
    return "\n".join([edge, *lines, f"{edge} at most {most:.1f} % in a cell"])
