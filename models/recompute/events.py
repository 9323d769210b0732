"""What a recomputation says of the events that were told live: confirmed, corrected, retracted, or
found only now.

Live and recomputed events are matched one to one, by type, sub type, person and overlap in time.
Every answer is an event of its own that supersedes the one before it: nothing is overwritten.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.events.envelope import Event
from models.recompute.config import RECOMPUTE_VERSION, RecomputeConfig

STREAM: Final = "recompute/"
"""Events of this maker have streams that begin so; the rest is the number of the recomputation."""
LATE_MARGIN_NS: Final = 1_000_000_000
_LEVELS: Final = frozenset({"fatigue_amber", "fatigue_red", "fatigue_clear"})
_OF_MOTION: Final = frozenset({"impact", "collision", "jump", "fall", "man_down"})


class Status(StrEnum):
    """What an event's word is worth now."""

    CONFIRMED = "confirmed"
    CORRECTED = "corrected"
    RETRACTED = "retracted"


class Reason(StrEnum):
    """Why a recomputed value differs from the one told live."""

    LATE_DATA = "late_data"
    FULL_RATE = "full_rate"
    ZERO_PHASE = "zero_phase_filter"


def is_recomputed(stream: str) -> bool:
    """Whether what is written under `stream` comes from a recomputation, and not from live."""
    return stream.startswith(STREAM)


@dataclass(frozen=True, slots=True)
class EventCorrection:
    """`old` None: found only now; `new` is what goes out, also for one that is retracted."""

    old: Event | None
    new: Event
    reason: Reason


def standing(events: Iterable[Event]) -> list[Event]:
    """Those of `events` that nothing has superseded or taken back, each once, in order of time."""
    each = {event.event_id: event for event in events}
    gone = {event.supersedes for event in each.values() if event.supersedes}
    gone |= {key for key, event in each.items() if event.status == Status.RETRACTED}
    left = [event for key, event in each.items() if key not in gone]
    return sorted(left, key=_order)


def correct_events(
    told: Sequence[Event], found: Sequence[Event], late_ns: Mapping[str, NDArray[np.int64]],
    generation: int, config: RecomputeConfig,
) -> list[EventCorrection]:
    """The corrections by detection time. `told`: what stands so far; `found`: what the
    recomputation finds; `late_ns`: subject -> sorted times of rows that came late. An event that
    was recomputed before and is found the same again is not mentioned."""
    pairs, lost, fresh = match_events(told, found, config)
    made: list[tuple[Event | None, Event, Status]] = []
    for old, new in pairs:
        if is_recomputed(old.stream) and _figures(old) == _figures(new):
            continue
        status = Status.CONFIRMED if _still(old, new, config) else Status.CORRECTED
        made.append((old, new, status))
    made += [(old, old, Status.RETRACTED) for old in lost]
    made += [(None, new, Status.CONFIRMED) for new in fresh]
    made.sort(key=lambda one: (_order(one[1]), one[2]))
    return [
        _correction(old, new, status, late_ns, f"{STREAM}{generation}", seq)
        for seq, (old, new, status) in enumerate(made)
    ]


def match_events(
    told: Sequence[Event], found: Sequence[Event], config: RecomputeConfig
) -> tuple[list[tuple[Event, Event]], list[Event], list[Event]]:
    """(pairs, those of `told` without a counterpart, those of `found` without one)."""
    candidates: list[tuple[int, int, int, int]] = []
    places: dict[tuple[str, str, str], list[int]] = {}
    for n, event in enumerate(found):
        places.setdefault(_key(event), []).append(n)
    for m, old in enumerate(told):
        for n in places.get(_key(old), ()):
            apart = _apart_ns(old, found[n])
            near_s = config.level_near_s if old.type in _LEVELS else config.near_s
            if apart <= int(near_s * 1e9):
                shift = abs(old.t_event_ns - found[n].t_event_ns)
                candidates.append((apart, shift, m, n))
    left, right, pairs = set(range(len(told))), set(range(len(found))), []
    for _, _, m, n in sorted(candidates):
        if m in left and n in right:
            left.remove(m)
            right.remove(n)
            pairs.append((told[m], found[n]))
    return pairs, [told[m] for m in sorted(left)], [found[n] for n in sorted(right)]


def _correction(
    old: Event | None, new: Event, status: Status, late_ns: Mapping[str, NDArray[np.int64]],
    stream: str, seq: int,
) -> EventCorrection:
    reason = _reason(old, new, late_ns)
    kept = tuple(word for word in new.context if not word.startswith("reason:"))
    event = replace(
        new, stream=stream, seq=seq, status=str(status), algo_version=RECOMPUTE_VERSION,
        supersedes=old.event_id if old is not None else "", context=(*kept, f"reason:{reason}"),
    )
    return EventCorrection(old, event, reason)


def _reason(
    old: Event | None, new: Event, late_ns: Mapping[str, NDArray[np.int64]]
) -> Reason:
    late = late_ns.get(new.subject_id, np.empty(0, np.int64))
    for event in (new, old or new):
        begin, end = _span_ns(event)
        inside = np.searchsorted(late, (begin - LATE_MARGIN_NS, end + LATE_MARGIN_NS))
        if inside[1] > inside[0]:
            return Reason.LATE_DATA
    return Reason.FULL_RATE if new.type in _OF_MOTION else Reason.ZERO_PHASE


def _key(event: Event) -> tuple[str, str, str]:
    return event.type, event.sub_type, event.subject_id


def _order(event: Event) -> tuple[int, int, str, str, str, int]:
    return (
        event.t_detected_ns, event.t_event_ns, event.subject_id, event.type, event.stream, event.seq
    )


def _span_ns(event: Event) -> tuple[int, int]:
    lasts_s = event.metrics.get("duration_s", event.metrics.get("flight_s", 0.0))
    return event.t_event_ns, event.t_event_ns + int(lasts_s * 1e9)


def _apart_ns(left: Event, right: Event) -> int:
    """How far the times of two events are apart; 0 when they overlap."""
    (a, b), (c, d) = _span_ns(left), _span_ns(right)
    return max(c - b, a - d, 0)


def _figures(event: Event) -> tuple[object, ...]:
    """All that an event says, but for who says it."""
    context = tuple(word for word in event.context if not word.startswith("reason:"))
    place = (event.x_m, event.y_m, event.x_end_m, event.y_end_m)
    told = tuple(sorted(event.metrics.items()))
    return (_key(event), event.t_event_ns, event.t_detected_ns, place, context, told)


def _still(old: Event, new: Event, config: RecomputeConfig) -> bool:
    """Whether nothing that matters has changed."""
    limit = int(config.still_s * 1e9)
    if any(abs(a - b) > limit for a, b in zip(_span_ns(old), _span_ns(new), strict=True)):
        return False
    if old.metrics.keys() != new.metrics.keys():
        return False
    return all(
        abs(value - new.metrics[name])
        <= config.still_share * max(abs(value), abs(new.metrics[name]))
        for name, value in old.metrics.items()
    )
