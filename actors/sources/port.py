"""The source port: what a stadium asks of everything that brings samples.

A source is pulled by one thread (the stadium's loop) and gives batches in arrival order. It never
loses what it has not handed over: as long as nobody pulls, a paced source waits, a live one fills
its bounded queue and then refuses. Times: `now_ns` is wall clock, everything else arrival clock.
"""

from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from models.telemetry.decoded import Refusal
from models.telemetry.kinds import Kind
from models.telemetry.raw import RawBatch

NEVER_NS: Final = 2**63 - 1

Verdicts = dict[Kind, NDArray[np.uint8]]


class Source(Protocol):
    """One feed of one venue.

    source_id   stable over restarts; raw records carry it together with the cursor
    endless     True for live feeds: they end with the venue and do not hold a match open
    virtual     True when arrival times come from a recording, False when they are the wall clock
    merges      all that waits comes as one batch, so that asking less often makes a row cheaper
    done        nothing will ever come again
    position_ns arrival-clock time up to which a virtual source has delivered
    """

    source_id: str
    endless: bool
    virtual: bool
    merges: bool

    @property
    def done(self) -> bool: ...

    @property
    def position_ns(self) -> int: ...

    def start(self) -> None:
        """Open sockets and threads; LogError/ConfigError when that is not possible."""
        ...

    def next_batch(self, now_ns: int) -> RawBatch | None:
        """The next batch that is due, or None. `batch.cursor` is where to resume after it."""
        ...

    def next_awake_ns(self) -> int:
        """Wall-clock ns at which the next batch may be due; `NEVER_NS`: only a push wakes it."""
        ...

    def take_refusals(self) -> list[Refusal]:
        """What was refused before it could become rows, since the last call (bounded)."""
        ...

    def settled(self, batch: RawBatch, verdicts: Verdicts) -> None:
        """`batch` is durable and was handled; `verdicts` are aligned with its rows."""
        ...

    def wall_ns(self, t_ingest_ns: int) -> int:
        """Wall-clock time at which the arrival `t_ingest_ns` took place."""
        ...

    def progress(self) -> dict[str, Any]:
        """For people: type, cursor, total (0 = unknown), done, and what the source counts."""
        ...

    def close(self) -> None:
        """Let go of sockets, files and threads; nothing waits on this source afterwards."""
        ...
