"""Succession: when a venue's next match may take the place of the present one in the pool. Pure.

A match that was played to its end is over when all of its flows are final. One that was broken off
has no end: it is over when its flows have owners, nothing waits for them, and nothing has moved for
so long that all that there is must have been done. Until then the next match waits in the log.
Times are ns of the coordinator's clock.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from models.policies.ownership import FlowEntry, VenueEntry, WorkerReport


class Ending(StrEnum):
    """Why a match is over, or that it is not."""

    FINAL = "all_flows_final"
    BROKEN_OFF = "broken_off"
    PLAYED = "still_worked_on"


@dataclass(slots=True)
class _Wait:
    mark: tuple[int | None, ...]
    since_ns: int


class Succession:
    """Ask `judge` in each round in which a venue's next match waits."""

    def __init__(self, patience_ns: int = 10_000_000_000) -> None:
        self._patience_ns = patience_ns
        self._waits: dict[str, _Wait] = {}

    def judge(
        self, venue: str, place: VenueEntry, reports: Mapping[int, WorkerReport], now_ns: int
    ) -> Ending:
        """Whether the match of `place` is over; `reports` are the newest of the live workers."""
        rows = [(row, entry) for row, entry in sorted(place.flows.items()) if not entry.final]
        if not rows:
            self._waits.pop(venue, None)
            return Ending.FINAL
        offsets = tuple(_offset(venue, row, entry, reports) for row, entry in rows)
        wait = self._waits.get(venue)
        if wait is None or offsets != wait.mark or not _idle(rows, offsets, reports):
            self._waits[venue] = wait = _Wait(offsets, now_ns)
        if now_ns - wait.since_ns <= self._patience_ns:
            return Ending.PLAYED
        del self._waits[venue]
        return Ending.BROKEN_OFF


def _offset(
    venue: str, row: int, entry: FlowEntry, reports: Mapping[int, WorkerReport]
) -> int | None:
    """What the flow wants next by its owner's word; None while nobody speaks for it."""
    report = reports.get(entry.owner) if entry.owner is not None else None
    if report is None or report.held.get(venue, {}).get(row) != entry.epoch:
        return None
    return report.offsets.get(venue, {}).get(row)


def _idle(
    rows: list[tuple[int, FlowEntry]], offsets: tuple[int | None, ...],
    reports: Mapping[int, WorkerReport],
) -> bool:
    owners = {entry.owner for _, entry in rows}
    waiting = any(
        age_s > 0 for worker, report in reports.items() if worker in owners
        for age_s in report.backlog_s.values()
    )
    return None not in offsets and not waiting
