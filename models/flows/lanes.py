"""What a backlog is made of: records that are held, lanes of them, and the batches cut from lanes.

Pure; who is served when is decided in `models.flows.pending`.
"""

from bisect import bisect_left
from collections.abc import Iterable
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
    """Handle `held`, in order, for `subjects`; then call `Backlog.done`."""

    subjects: tuple[int, ...]
    held: tuple[Held, ...]
    priority: Priority

    @property
    def next_offset(self) -> int:
        return self.held[-1].offset + 1


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

    def let_go(self) -> None:
        """Forget what every flow has done; a lane without flows forgets all."""
        count = self.index(min(self.progress.values())) if self.progress else len(self.held)
        if count:
            self.size_bytes -= sum(held.size_bytes for held in self.held[:count])
            del self.held[:count]


@dataclass(slots=True)
class Group:
    """Flows of a lane that all want `lane.held[index]` next."""

    lane: Lane
    index: int
    subjects: list[int] = field(default_factory=list)

    @property
    def waits_since_ns(self) -> int:
        return self.lane.held[self.index].t_append_ns

    def work(self, subjects: Iterable[int], end: int, priority: Priority) -> Work:
        return Work(tuple(sorted(subjects)), tuple(self.lane.held[self.index : end]), priority)
