"""Hard bounds of values, as a reason per row. A bound is physics of the channel, not of the game.

Infinite is never allowed; NaN only where the channel is nullable ("applies but unknown").
"""

from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.telemetry.block import SampleBlock
from models.telemetry.kinds import KINDS, Kind
from models.telemetry.reasons import Reason

MAX_PACKET_SAMPLES: Final = 200
MIN_RATE_HZ: Final = 1e-3
RATE_TOLERANCE: Final = 1.5
"""A sender's estimated rate may exceed the kind's nominal limit by this factor."""
MIN_TIME_NS: Final = 0
MAX_TIME_NS: Final = 2**62
"""Event times outside [1970, 2116) are refused: sums with them could leave int64."""


@cache
def limits_of(kind: Kind) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]:
    """(low, high, required), each (C, 1), of the channels of `kind`."""
    channels = KINDS[kind].channels
    low = np.array([[c.low] for c in channels], np.float32)
    high = np.array([[c.high] for c in channels], np.float32)
    required = np.array([[not c.nullable] for c in channels], np.bool_)
    for array in (low, high, required):
        array.flags.writeable = False
    return low, high, required


def not_finite(kind: Kind, values: NDArray[np.float32]) -> NDArray[np.bool_]:
    """(n,) rows that hold an infinity, or a NaN in a channel that must be known."""
    _, _, required = limits_of(kind)
    bad = np.logical_or(np.isinf(values), np.isnan(values) & required)
    rows: NDArray[np.bool_] = np.any(bad, axis=0)
    return rows


def value_reasons(block: SampleBlock) -> NDArray[np.uint8]:
    """(n,) `Reason` codes: NONE, NOT_FINITE or OUT_OF_RANGE per row."""
    low, high, _ = limits_of(block.kind)
    outside = ((block.values < low) | (block.values > high)).any(axis=0)
    reasons = np.where(outside, np.uint8(Reason.OUT_OF_RANGE), np.uint8(Reason.NONE))
    reasons[not_finite(block.kind, block.values)] = np.uint8(Reason.NOT_FINITE)
    return reasons.astype(np.uint8)


def time_ok(t_event_ns: int) -> bool:
    return MIN_TIME_NS <= t_event_ns < MAX_TIME_NS
