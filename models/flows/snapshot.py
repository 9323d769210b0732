"""Snapshots of flows as bytes, one self-contained part per subject; no pickle.

Bytes: b"TLF1", u32 little-endian header length, JSON header (algorithm version, roster check,
subject ids, bytes per subject), then per subject its rows of every state array, little-endian.
"""

import hashlib
import json
import struct

import numpy as np
from numpy.typing import NDArray

from models.errors import SchemaError
from models.flows import layout as L  # noqa: N812
from models.flows.config import ALGO_VERSION
from models.flows.tables import Twins
from models.plain_fields import read_json
from models.signal.kalman import KALMAN_WIDTH
from models.telemetry.roster import Roster

MAGIC = b"TLF1"


def new_twins(subjects: int) -> Twins:
    """State of `subjects` flows that have seen nothing."""
    return Twins(
        np.zeros((subjects, L.FLOATS)), np.zeros((subjects, L.INTS), np.int64),
        np.zeros((subjects, KALMAN_WIDTH)), np.zeros((subjects, L.BINS, L.BIN_WIDTH)),
        np.zeros((subjects, L.RING, 9), np.float32), np.zeros((subjects, subjects, 2)),
        np.full((subjects, subjects), L.NONE_NS, np.int64),
        np.zeros((subjects, L.SECONDS, L.QUANTITIES), np.float32),
        np.zeros((subjects, L.MARKS, 4)),
    )


def reset_rows(
    twins: Twins, rows: NDArray[np.int32], ball: NDArray[np.bool_], params: NDArray[np.float64]
) -> None:
    """Make `rows` flows that have seen nothing. ball (S,) tells balls from persons."""
    for array in twins:
        array[rows] = 0
    twins.near_t[rows] = L.NONE_NS
    for row in rows.tolist():
        _reset_ball(twins, row) if ball[row] else _reset_person(twins, row, params[row])


def _reset_person(twins: Twins, row: int, p: NDArray[np.float64]) -> None:
    f, i = twins.f[row], twins.i[row]
    times = (
        L.T_FIRST, L.T_POS, L.T_IMU, L.T_HR, L.T_HIST, L.T_TURN, L.T_GYRO, L.T_STEP, L.IMPACT_DUE,
        L.T_PEAK, L.T_IMPACT, L.T_FREE, L.T_PUSH, L.T_LANDING, L.T_DOWN_FROM, L.T_DOWN_ARMED,
        L.T_TILTED, L.T_UPRIGHT, L.T_ABOVE, L.T_RED_ABOVE, L.T_BALL, L.T_WINDOW,
        L.T_STEP_TOP, L.T_LAST, L.T_SETTLED, L.T_FOOT, L.T_FOOT + 1, L.T_TRUNK, L.T_TRUNK_BEFORE,
        L.T_HIT, L.T_MOVED, L.T_FAST, L.T_RECOVER, L.T_RECOVERED, L.T_RR, L.T_REST, L.T_RMSSD,
        L.T_JUMP, L.T_LOCK, L.SECOND,
    )
    i[list(times)] = L.NONE_NS
    i[L.HIST_T : L.HIST_T + L.HISTORY] = L.NONE_NS
    for bout in (L.SPRINT_I, L.BOUT_BOUT_I, L.EFFORT_UP_I, L.EFFORT_DOWN_I):
        i[bout + 1 : bout + L.BOUT_I] = L.NONE_NS
    i[[L.NEXT_STATE, L.NEXT_DUE, L.PEND_NEXT]] = L.NEVER
    i[L.NEXT_GRID] = -1
    i[L.PEND_GRID : L.PEND_GRID + L.PENDING] = -1
    i[L.PEND_SEQ : L.PEND_SEQ + L.PENDING] = -1
    i[L.PEND_T : L.PEND_T + L.PENDING] = L.NONE_NS
    f[[L.FI, L.FI_LOW, L.FI_HIGH, L.ASYMMETRY]] = np.nan
    f[[L.RECOVERY, L.RMSSD, L.RR_ARTEFACTS, L.RR_LAST, L.DRIFT]] = np.nan
    f[L.DBAL], f[L.WBAL] = p[L.P_DPRIME], p[L.P_WPRIME]


def _reset_ball(twins: Twins, row: int) -> None:
    f, i = twins.f[row], twins.i[row]
    times = (
        L.KT_FIRST, L.KT_POS, L.KT_IMU, L.KT_KICK, L.KT_TOUCH, L.KT_NEAR, L.KT_SHOT_DUE, L.KT_SHOT,
        L.KT_BOUND, L.KT_PASS, L.KT_LAST, L.KT_DEAD, L.KT_REST, L.KT_SPOT, L.KT_LINE, L.KT_PENDING,
        L.KT_CARRY, L.KT_CARRY_NEAR, L.KT_SHOT_TOUCH,
    )
    i[list(times)] = L.NONE_NS
    i[[L.KT_NEXT_STATE, L.KT_NEXT_DUE]] = L.NEVER
    i[[L.K_TEAM, L.K_OWNER, L.K_TOUCHER, L.K_NEAREST, L.K_SHOOTER]] = -1
    i[[L.K_HOME_TOUCHER, L.K_AWAY_TOUCHER]] = -1
    i[[L.K_LEFT_TEAM, L.K_SPOT_WHO, L.K_LINE_WHO, L.K_PENDING, L.K_STRAY, L.K_CARRIER]] = -1
    i[L.K_DEAD] = L.NOT_BEGUN
    f[L.K_IN_PLAY] = 1.0
    f[L.K_NEAR] = np.nan


def roster_check(roster: Roster) -> str:
    """What must agree between two kernels that exchange snapshots: the subjects, in order."""
    names = "\0".join(subject.subject_id for subject in roster.subjects)
    return hashlib.sha256(names.encode()).hexdigest()[:16]


def dump(twins: Twins, roster: Roster, rows: list[int]) -> bytes:
    """The flows `rows` as bytes."""
    parts = [b"".join(array[row].tobytes() for array in twins) for row in rows]
    header = {
        "algo": ALGO_VERSION, "roster": roster_check(roster),
        "subjects": [roster.subjects[row].subject_id for row in rows],
        "bytes": len(parts[0]) if parts else 0,
    }
    head = json.dumps(header, separators=(",", ":")).encode()
    return b"".join((MAGIC, struct.pack("<I", len(head)), head, *parts))


def load(twins: Twins, roster: Roster, payload: bytes) -> list[int]:
    """Put the flows in `payload` into `twins`; returns their rows. Raises SchemaError when they do
    not belong to this roster or this version of the algorithm."""
    if payload[:4] != MAGIC or len(payload) < 8:
        raise SchemaError("wrong_format", "not a snapshot of flows")
    (length,) = struct.unpack_from("<I", payload, 4)
    try:
        header = read_json(payload[8 : 8 + length])
        names, size = list(header["subjects"]), int(header["bytes"])
        made = (header["algo"], header["roster"])
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise SchemaError("wrong_format", "header of the snapshot") from error
    if made != (ALGO_VERSION, roster_check(roster)):
        raise SchemaError("unknown_version", f"snapshot of {made}")
    wanted = sum(array[0].nbytes for array in twins) if len(roster.subjects) else 0
    if (names and size != wanted) or len(payload) != 8 + length + size * len(names):
        raise SchemaError("truncated", f"{len(payload)} bytes of snapshot")
    row_of = roster.subject_row()
    rows = [row_of[name] for name in names]
    at = 8 + length
    for row in rows:
        for array in twins:
            part = array[row]
            flat = np.frombuffer(payload, array.dtype, part.size, at)
            array[row] = flat.reshape(part.shape)
            at += part.nbytes
    return rows
