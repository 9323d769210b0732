"""The thresholds that hold for each subject: the kernel's, then the group's, then the athlete's.

`table` is what compiled kernels read, one row per subject in the field order of `FlowConfig`; a
walk makes a `FlowConfig` of its row (`config_of`), so that rules do not know whose limits they use.
"""

from typing import Final

import numpy as np
from numba import njit
from numba.np.unsafe.ndarray import to_fixed_tuple
from numpy.typing import NDArray

from models.columns import frozen
from models.errors import ConfigError
from models.flows.config import FlowConfig
from models.telemetry.roster import Roster, Subject
from models.telemetry.thresholds import resolved, thresholds_of

WIDTH: Final = len(FlowConfig._fields)


@njit(cache=True)
def config_of(row: NDArray[np.float64]) -> FlowConfig:
    """The thresholds in `row` (WIDTH,) by name."""
    return FlowConfig(*to_fixed_tuple(row, WIDTH))  # type: ignore[call-arg]


class Limits:
    """Per subject of a roster, in its order: `subjects` with resolved fields, `configs`, `table`
    (S, WIDTH), and `own`: subject_id -> what differs for it from the kernel's configuration."""

    def __init__(self, roster: Roster, config: FlowConfig) -> None:
        """Raises ConfigError when a threshold of the roster cannot be used."""
        config.check()
        self.subjects = [resolved(roster, subject) for subject in roster.subjects]
        self.configs = [_config(roster, subject, config) for subject in roster.subjects]
        rows = [list(own) for own in self.configs]
        self.table = frozen(np.array(rows, np.float64).reshape(-1, WIDTH))
        self.own = {
            subject.subject_id: given
            for subject in roster.subjects
            if (given := thresholds_of(roster, subject))
        }


def _config(roster: Roster, subject: Subject, config: FlowConfig) -> FlowConfig:
    given = thresholds_of(roster, subject)
    mine = {name: float(given[name]) for name in FlowConfig._fields if name in given}
    own = config._replace(**mine)
    if own.problem():
        raise ConfigError(f"subject {subject.subject_id!r}: {own.problem()}")
    return own
