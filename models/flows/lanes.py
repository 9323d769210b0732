"""What a backlog is made of: records that are held, lanes of them, and the batches cut from lanes.

Pure; who is served when is decided in `models.flows.pending`.
"""

from bisect import bisect_left
from collections.abc import Sequence, Set
from dataclasses import dataclass, field
from enum import StrEnum

from models.telemetry.record import TelemetryRecord


class Priority(StrEnum):
    """Class of a flow. Hot: high intensity now, or pinned (man down)."""

    HOT = "hot"
    CALM = "calm"


@dataclass(frozen=True, slots=True)
class Held:
    """A decoded record: its offset and size in the log, when it was appended and read (wall ns)."""

    offset: int
    record: TelemetryRecord
    size_bytes: int
    t_append_ns: int
    t_read_ns: int


@dataclass(frozen=True, slots=True)
class Work:
    """Handle `held`, in order, for `subjects`, for each from `held[first]` on; then call
    `Backlog.done`."""

    subjects: tuple[int, ...]
    first: tuple[int, ...]
    held: tuple[Held, ...]
    priority: Priority

    @property
    def next_offset(self) -> int:
        return self.held[-1].offset + 1

    @property
    def even(self) -> bool:
        """Whether all subjects want the same records."""
        return not any(self.first)

    def oldest(self, hot: Set[int]) -> dict[Priority, Held]:
        """The oldest record for a flow of each class that is concerned."""
        first: dict[Priority, int] = {}
        if self.even:
            if not hot.isdisjoint(self.subjects):
                first[Priority.HOT] = 0
            if not hot >= set(self.subjects):
                first[Priority.CALM] = 0
        else:
            for subject, index in zip(self.subjects, self.first, strict=True):
                priority = Priority.HOT if subject in hot else Priority.CALM
                first[priority] = min(first.get(priority, index), index)
        return {priority: self.held[index] for priority, index in first.items()}

    @property
    def times(self) -> int:
        """How many times a record is handled for a flow."""
        return len(self.held) * len(self.subjects) - sum(self.first)


@dataclass(slots=True)
class Lane:
    """A read position, the records behind it, and what each flow that lives off them wants next."""

    number: int
    next_offset: int
    held: list[Held] = field(default_factory=list)
    progress: dict[int, int] = field(default_factory=dict)
    size_bytes: int = 0
    unread_since_ns: int | None = None
    """When the newest record that was read had been appended, if there is more behind it."""

    @property
    def low(self) -> int:
        """The lowest offset that a flow may want here without reading again."""
        return self.held[0].offset if self.held else self.next_offset

    def index(self, offset: int) -> int:
        return bisect_left(self.held, offset, key=lambda held: held.offset)

    def behind(self, subject: int) -> int:
        return len(self.held) - self.index(self.progress[subject])

    def passed(self, subjects: Sequence[int], next_offset: int) -> None:
        """Those of `subjects` that live here have done what comes before `next_offset`."""
        progress = self.progress
        ahead = max(progress.values(), default=next_offset) >= next_offset
        if not ahead and progress.keys() == set(subjects):
            self.progress = dict.fromkeys(progress, next_offset)
            return
        for subject in subjects:
            if progress.get(subject, next_offset) < next_offset:
                progress[subject] = next_offset

    def let_go(self) -> None:
        """Forget what every flow has done; a lane without flows forgets all."""
        count = self.index(min(self.progress.values())) if self.progress else len(self.held)
        if count:
            self.size_bytes -= sum(held.size_bytes for held in self.held[:count])
            del self.held[:count]


@dataclass(frozen=True, slots=True)
class Waiting:
    """Flows of a lane and the index in `lane.held` of the first record that waits for each."""

    lane: Lane
    first: dict[int, int]

    @property
    def low(self) -> int:
        """The index of the oldest record that waits for any."""
        return min(self.first.values())

    @property
    def since_ns(self) -> int:
        """When the oldest record that waits for any was appended."""
        return self.lane.held[self.low].t_append_ns

    def work(self, end: int, priority: Priority) -> Work:
        """Everything below index `end` that waits for any of these flows."""
        low = self.low
        subjects = tuple(sorted(subject for subject, index in self.first.items() if index < end))
        first = tuple(self.first[subject] - low for subject in subjects)
        return Work(subjects, first, tuple(self.lane.held[low:end]), priority)
