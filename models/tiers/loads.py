"""Loads over days from the cold tier: what an athlete did each day, and its moving averages.

EWMA of 7 (acute) and 28 days (chronic) after Williams 2017, seeded by the first day; days without a
match are days of rest and count as 0. A description of load: random chronic loads predict injuries
as well as real ones (Impellizzeri 2020), so the ratio must never raise an alert.
"""

from typing import Final

import numpy as np
import pyarrow as pa

from models.metrics.load import ewma

ACUTE_DAYS: Final = 7
CHRONIC_DAYS: Final = 28
MOST_DAYS: Final = 3660
"""Days further back than ten years before an athlete's last one are left out."""
LOADS_SCHEMA: Final = pa.schema(
    [
        pa.field("athlete", pa.string()), pa.field("day", pa.date32()),
        *(pa.field(name, pa.float64()) for name in ("load", "acute", "chronic", "ratio")),
    ]
)


def load_history(minutes: pa.Table, column: str) -> pa.Table:
    """`LOADS_SCHEMA` rows, one per athlete and day from the first match to the last.

    minutes: rows of the cold tier with `athlete`, `day` (rows without one are left out) and
    `column`, in any order. `ratio` is NaN while the chronic load is 0.
    """
    day = minutes.column("day").cast(pa.int32()).fill_null(-1).to_numpy().astype(np.int64)
    load = minutes.column(column).to_numpy(zero_copy_only=False).astype(np.float64)
    names = np.asarray(minutes.column("athlete").to_pylist(), dtype=object).astype(str)
    parts = []
    for athlete in np.unique(names[day >= 0]):
        mine = (names == athlete) & (day >= 0)
        last = int(day[mine].max())
        first = max(int(day[mine].min()), last - MOST_DAYS + 1)
        mine &= day >= first
        daily = np.zeros(last - first + 1)
        np.add.at(daily, day[mine] - first, np.nan_to_num(load[mine]))
        acute, chronic = ewma(daily, ACUTE_DAYS), ewma(daily, CHRONIC_DAYS)
        ratio = np.divide(acute, chronic, out=np.full_like(acute, np.nan), where=chronic > 0.0)
        days = pa.array(np.arange(first, last + 1, dtype=np.int32), pa.date32())
        columns = [[str(athlete)] * len(daily), days, daily, acute, chronic, ratio]
        parts.append(pa.table(columns, schema=LOADS_SCHEMA))
    return pa.concat_tables(parts) if parts else LOADS_SCHEMA.empty_table()
