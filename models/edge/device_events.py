"""Device events: notes of the timeline as events of the stream "edge".

`subject_id` is the device id (operators need no athlete), `sub_type` the fault, `context` the kind.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.edge import timeline as T
from models.events.envelope import Event
from models.telemetry.roster import Roster

EDGE_STREAM: Final = "edge"
ALGO_VERSION: Final = "edge-1"
POLICY_CLASS: Final = "device"


def build_events(notes: NDArray[np.int64], roster: Roster, first_seq: int) -> list[Event]:
    """One event per row of `notes` (n, NOTE_WIDTH), numbered from `first_seq`."""
    return [_event(note.tolist(), roster, first_seq + n) for n, note in enumerate(notes)]


def _event(note: list[int], roster: Roster, seq: int) -> Event:
    kind, device, size = note[T.NOTE_TYPE], note[T.NOTE_DEVICE], note[T.NOTE_SIZE]
    named = roster.devices[device] if device >= 0 else None
    urgent = kind in (T.N_FAILED, T.N_GAP)
    return Event(
        type=T.NOTE_TYPES[kind], venue_id=roster.venue_id, match_id=roster.match_id,
        stream=EDGE_STREAM, seq=seq, t_event_ns=note[T.NOTE_T], t_detected_ns=note[T.NOTE_DETECTED],
        subject_id=named.device_id if named else "",
        sub_type=T.FAULTS[note[T.NOTE_FAULT]] if named else "system_wide",
        priority="high" if urgent else "normal",
        context=(str(named.kind),) if named else (),
        algo_version=ALGO_VERSION, policy_class=POLICY_CLASS, metrics=_metrics(kind, note, size),
    )


def _metrics(kind: int, note: list[int], size: int) -> dict[str, float]:
    if kind in (T.N_GAP, T.N_RESTORED):
        return {"devices": float(size)}
    if kind == T.N_CLOCK:
        return {"step_ms": size / 1e6}
    if size:
        return {"silent_s": size / 1e9}
    return {}
