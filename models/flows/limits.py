"""The thresholds that hold for each subject: the kernel's, then the group's, then the athlete's.

`table` is what compiled kernels read: one record per subject with the fields of `FlowConfig`. A
record is read by name like the tuple, so that rules do not know whose limits they use, and passed
as a pointer, where a tuple of so many floats would be copied with every call.
"""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.columns import frozen
from models.errors import ConfigError
from models.flows.config import FlowConfig
from models.telemetry.roster import Roster
from models.telemetry.thresholds import resolved, thresholds_of

FIELDS: Final = np.dtype([(name, np.float64) for name in FlowConfig._fields])


class Limits:
    """Per subject of a roster, in its order: `subjects` with resolved fields, `configs`, `table`
    (S,) of `FIELDS`, and `own`: subject_id -> what the roster sets for it."""

    def __init__(self, roster: Roster, config: FlowConfig) -> None:
        """Raises ConfigError when a threshold of the roster cannot be used."""
        config.check()
        self.subjects = [resolved(roster, subject) for subject in roster.subjects]
        given = {who.subject_id: thresholds_of(roster, who) for who in roster.subjects}
        self.configs = [_config(subject_id, own, config) for subject_id, own in given.items()]
        rows = [tuple(own) for own in self.configs]
        self.table: NDArray[Any] = frozen(np.array(rows, FIELDS))
        self.own = {subject_id: own for subject_id, own in given.items() if own}


def _config(subject_id: str, given: Mapping[str, float | str], config: FlowConfig) -> FlowConfig:
    mine = {name: float(given[name]) for name in FlowConfig._fields if name in given}
    own = config._replace(**mine)
    if own.problem():
        raise ConfigError(f"subject {subject_id!r}: {own.problem()}")
    return own
