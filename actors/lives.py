"""The lives of actors: each start of one has a number above those of all lives before."""

from cluster.eventlog.port import EventLog
from cluster.names import ACTIONS_TOPIC


def next_incarnation(log: EventLog, actor: str) -> int:
    """The number of a new life of `actor`. Raises LogError.

    The log counts lives: a wall clock may have been set back since the last one began.
    """
    return log.fence(ACTIONS_TOPIC, f"lives/{actor}")
