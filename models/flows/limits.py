"""The thresholds that hold for each subject: the kernel's, then the group's, then the athlete's.

`table` is what compiled kernels read: one record per subject with the fields of `FlowConfig`. A
record is read by name like the tuple, so that rules do not know whose limits they use, and passed
as a pointer, where a tuple of so many floats would be copied with every call.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.columns import frozen
from models.errors import ConfigError
from models.flows.config import FlowConfig
from models.telemetry.roster import Roster, Subject
from models.telemetry.thresholds import resolved, thresholds_of

FIELDS: Final = np.dtype([(name, np.float64) for name in FlowConfig._fields])


class Limits:
    """Per subject of a roster, in its order: `subjects` with resolved fields, `configs`, `table`
    (S,) of `FIELDS`, and `own`: subject_id -> what the roster sets for it."""

    def __init__(self, roster: Roster, config: FlowConfig) -> None:
        """Raises ConfigError when a threshold of the roster cannot be used."""
        config.check()
        self.subjects = [resolved(roster, subject) for subject in roster.subjects]
        self.configs = [_config(roster, subject, config) for subject in roster.subjects]
        rows = [tuple(own) for own in self.configs]
        self.table: NDArray[Any] = frozen(np.array(rows, FIELDS))
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
