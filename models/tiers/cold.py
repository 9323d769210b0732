"""The cold tier's rows: one per athlete and minute of play, pseudonymised, without health columns.

Input are the state rows of the warm tier (every 250 ms or every second, cumulative sums). A
minute's value is the growth of a cumulative column between the last states of two neighbouring
minutes, so the order and the cut of the input files do not matter; a match must be given whole.
"""

import hashlib
import hmac
from collections.abc import Mapping

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

MINUTE_NS = 60_000_000_000
DAY_NS = 24 * 60 * MINUTE_NS
CUMULATIVE = (
    "distance_m", "z1_m", "z2_m", "z3_m", "z4_m", "z5_m", "hsr_m", "hmld_m", "sprint_n", "acc_n",
    "dec_n", "player_load_au",
)
LEVELS = ("max_speed_mps", "coverage")
COLD_SCHEMA = pa.schema(
    [
        pa.field("season", pa.string()), pa.field("match", pa.string()),
        pa.field("athlete", pa.string()), pa.field("minute", pa.int32()),
        *(pa.field(name, pa.float64()) for name in (*CUMULATIVE, *LEVELS)),
        pa.field("day", pa.date32()),
    ]
)


def pseudonym(key: bytes, identifier: str) -> str:
    """A stable name, not to be turned back without `key`: HMAC-SHA256, 80 bits."""
    return "psn_" + hmac.new(key, identifier.encode(), hashlib.sha256).hexdigest()[:20]


def minute_rows(states: pa.Table, key: bytes, labels: Mapping[str, str]) -> pa.Table:
    """`COLD_SCHEMA` rows of one match.

    states: columns `subject_id`, `t_ns` and those of `CUMULATIVE` and `LEVELS`; rows in any order,
    repeated rows harmless. labels: `season`, `match`. Minutes count from the first state, `day` is
    the UTC day of it.
    """
    if states.num_rows == 0:
        return COLD_SCHEMA.empty_table()
    subject_ids = np.asarray(states.column("subject_id").to_pylist(), dtype=object)
    names, subject = np.unique(subject_ids.astype(str), return_inverse=True)
    t_ns = states.column("t_ns").to_numpy()
    order = np.lexsort((t_ns, subject))
    subject, t_ns = subject[order], t_ns[order]
    minute = ((t_ns - t_ns.min()) // MINUTE_NS).astype(np.int32)
    last = np.append((subject[1:] != subject[:-1]) | (minute[1:] != minute[:-1]), True)
    rows = np.flatnonzero(last)
    columns: dict[str, object] = {
        "season": [labels["season"]] * len(rows),
        "match": [labels["match"]] * len(rows),
        "athlete": [pseudonym(key, str(names[i])) for i in subject[rows]],
        "minute": minute[rows],
        "day": pa.array(np.full(len(rows), t_ns.min() // DAY_NS, np.int32), pa.date32()),
    }
    fresh = np.append(True, subject[rows][1:] != subject[rows][:-1])
    for name in (*CUMULATIVE, *LEVELS):
        values = states.column(name).cast(pa.float64()).to_numpy(zero_copy_only=False)
        at_end = values[order][rows]
        columns[name] = _growth(at_end, fresh) if name in CUMULATIVE else at_end
    return pa.table(columns, schema=COLD_SCHEMA)


def _growth(at_end: NDArray[np.float64], fresh: NDArray[np.bool_]) -> NDArray[np.float64]:
    before = np.where(fresh, 0.0, np.append(0.0, at_end[:-1]))
    grown: NDArray[np.float64] = at_end - before
    return grown
