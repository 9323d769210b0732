"""Device events: notes of the timeline as events of the stream "edge".

`subject_id` is the device id (operators need no athlete), `sub_type` the fault, `context` the kind.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.edge import timeline
from models.events.envelope import Event
from models.telemetry.roster import Roster

EDGE_STREAM: Final = "edge"
ALGO_VERSION: Final = "edge-1"
POLICY_CLASS: Final = "device"


def build_events(notes: NDArray[np.int64], roster: Roster, first_seq: int) -> list[Event]:
    """One event per row of `notes` (n, NOTE_WIDTH), numbered from `first_seq`."""
    return [_event(note.tolist(), roster, first_seq + n) for n, note in enumerate(notes)]


def _event(note: list[int], roster: Roster, seq: int) -> Event:
    kind, device = note[timeline.NOTE_TYPE], note[timeline.NOTE_DEVICE]
    named = roster.devices[device] if device >= 0 else None
    urgent = kind in (timeline.N_FAILED, timeline.N_GAP)
    return Event(
        type=timeline.NOTE_TYPES[kind], venue_id=roster.venue_id, match_id=roster.match_id,
        stream=EDGE_STREAM, seq=seq, t_event_ns=note[timeline.NOTE_T],
        t_detected_ns=note[timeline.NOTE_DETECTED],
        subject_id=named.device_id if named else "",
        sub_type=timeline.FAULTS[note[timeline.NOTE_FAULT]] if named else "system_wide",
        priority="high" if urgent else "normal",
        context=(str(named.kind),) if named else (),
        algo_version=ALGO_VERSION, policy_class=POLICY_CLASS,
        metrics=_metrics(kind, note[timeline.NOTE_SIZE]),
    )


def _metrics(kind: int, size: int) -> dict[str, float]:
    if kind in (timeline.N_GAP, timeline.N_RESTORED):
        return {"devices": float(size)}
    if kind == timeline.N_CLOCK:
        return {"step_ms": size / 1e6}
    if size:
        return {"silent_s": size / 1e9}
    return {}
