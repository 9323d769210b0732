"""Backlog: what a worker has read of one venue's telemetry and not yet done for each of its flows.

Pure. Decoded records are held in *lanes*: a lane is one read position with the records behind it
and the flows that live off them; each flow has its own progress, the offset that it wants next.
There is one lane as long as all flows keep up. A flow that comes from a snapshot further back, or
calm flows that lag so far that they would hold up reading, get a lane of their own until they have
caught up.

Work is chosen hot flows first, with all that is held for them; calm flows follow in bounded
batches. Flows with equal progress share a batch. Nothing is shed: calm flows wait, and what waits
is in the log; they do not starve, since hot flows have nothing left to do until more is read. A
flow has at most one batch in flight.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from models.flows.lanes import Group, Held, Lane, Priority, Work


@dataclass(frozen=True, slots=True)
class PendingConfig:
    """Bounds of one lane (`max_records`, `max_bytes`), of a calm batch, and of lanes.

    together     a backlog up to so many records is done for hot and calm flows in one batch
    live_ns      lagging calm flows are set aside only while reading is this close to the end
    """

    max_records: int = 256
    max_bytes: int = 32 << 20
    read_records: int = 64
    calm_batch: int = 32
    together: int = 16
    max_lanes: int = 4
    live_ns: int = 2_000_000_000

    def __post_init__(self) -> None:
        assert 1 <= self.calm_batch <= self.max_records, self
        assert self.max_lanes >= 1, self


@dataclass(frozen=True, slots=True)
class Read:
    """A wish: read up to so much from `offset` for lane number `lane`."""

    lane: int
    offset: int
    max_records: int
    max_bytes: int


@dataclass(frozen=True, slots=True)
class _Known:
    """What is asked far more often than it changes: the flows that are hot, what each wants next,
    and since when the oldest record that waits for one of each class has."""

    hot: frozenset[int]
    offsets: dict[int, int]
    since_ns: dict[Priority, int | None]


class Backlog:
    """Flows of one venue. Subjects are rows of the roster, offsets those of the telemetry topic."""

    def __init__(self, config: PendingConfig | None = None) -> None:
        self.config = config or PendingConfig()
        self._lanes: list[Lane] = []
        self._lane_by: dict[int, Lane] = {}
        self._made = 0
        self._hot: frozenset[int] = frozenset()
        self._hot_as_of = -1
        self._hot_until: dict[int, int] = {}
        self._pinned: dict[int, int] = {}
        self._in_flight: set[int] = set()
        self._known: _Known | None = None

    # -- flows -------------------------------------------------------------------------------------

    def add(self, offsets: Mapping[int, int]) -> None:
        """Take in flows: subject -> the offset that it wants next."""
        # Rearmost first, so that one lane serves all whose snapshots lie close together.
        for subject, offset in sorted(offsets.items(), key=lambda item: (item[1], item[0])):
            assert subject not in self._lane_by, subject
            self._join(subject, offset)
        self._known = None

    def remove(self, subject: int) -> None:
        """Forget a flow; unknown ones are no fault."""
        lane = self._lane_by.pop(subject, None)
        self._in_flight.discard(subject)
        self._hot_until.pop(subject, None)
        self._pinned.pop(subject, None)
        if lane is not None:
            del lane.progress[subject]
            self._tidy()
        self._known = None

    def offsets(self) -> dict[int, int]:
        """subject -> the offset that it wants next; not to be written to."""
        return self._know().offsets

    def pin(self, subject: int, until_ns: int) -> None:
        """Hold a flow hot up to event time `until_ns`, whatever its intensity."""
        self._pinned[subject] = max(self._pinned.get(subject, 0), until_ns)
        self._known = None

    def pinned(self) -> dict[int, int]:
        """Pinned flows, and until when."""
        return dict(self._pinned)

    def hot(self) -> frozenset[int]:
        """Flows that are hot by the newest record read or by one that waits for them, or pinned."""
        return self._know().hot

    # -- reading -----------------------------------------------------------------------------------

    def reads(self) -> list[Read]:
        """What to read now, within the bounds; lanes without flows read nothing."""
        wishes = []
        for lane in list(self._lanes):
            self._set_aside(lane)
            room = self.config.max_records - len(lane.held)
            room_bytes = self.config.max_bytes - lane.size_bytes
            if lane.progress and room > 0 and room_bytes > 0:
                records = min(room, self.config.read_records)
                wishes.append(Read(lane.number, lane.next_offset, records, room_bytes))
        return wishes

    def feed(self, read: Read, held: Sequence[Held], next_offset: int) -> None:
        """Take in what came of `read`; `next_offset` follows the last record, decodable or not."""
        lane = next((one for one in self._lanes if one.number == read.lane), None)
        if lane is None or lane.next_offset != read.offset:
            return
        lane.next_offset = max(next_offset, lane.next_offset)
        lane.held.extend(held)
        lane.size_bytes += sum(one.size_bytes for one in held)
        full = next_offset - read.offset >= read.max_records
        lane.unread_since_ns = held[-1].t_append_ns if full and held else None
        for one in held:
            flows = one.record.flows
            self._hot_until.update(dict.fromkeys(flows.subject[flows.hot].tolist(), one.offset))
        if held and held[-1].record.seq > self._hot_as_of:
            newest = held[-1].record
            self._hot_as_of = newest.seq
            self._hot = frozenset(newest.flows.subject[newest.flows.hot].tolist())
            ended = [s for s, until_ns in self._pinned.items() if until_ns <= newest.t_to_ns]
            for subject in ended:
                del self._pinned[subject]
        lane.let_go()
        self._known = None

    # -- work --------------------------------------------------------------------------------------

    def next_work(self, only_hot: bool = False) -> Work | None:
        """The batch to do now, or None; its flows are in flight until `done` or `remove`.
        only_hot: nothing unless it is for hot flows."""
        hot, calm = self._groups()
        work: Work | None = None
        if hot:
            work = self._hot_work(hot, calm)
        elif calm and not only_hot:
            work = self._calm_work(calm)
        if work is not None:
            self._in_flight.update(work.subjects)
        return work

    def done(self, work: Work) -> None:
        """`work` was done: its flows (those that are still here) want what follows."""
        next_offset = work.next_offset
        self._in_flight.difference_update(work.subjects)
        for subject in work.subjects:
            lane = self._lane_by.get(subject)
            if lane is not None:
                lane.progress[subject] = max(lane.progress[subject], next_offset)
            if self._hot_until.get(subject, next_offset) < next_offset:
                del self._hot_until[subject]
        self._tidy()
        self._known = None

    def lingers(self, since_ns: int) -> bool:
        """Whether no record that waits was appended before `since_ns`."""
        return not any(lane.held and lane.held[0].t_append_ns < since_ns for lane in self._lanes)

    def ages_ns(self, now_ns: int) -> dict[Priority, int]:
        """Age of the oldest record that waits for a flow of each class; 0 when none waits. Of
        records that are still to be read it is known only that they are not older than the last."""
        return {
            priority: 0 if since_ns is None else now_ns - since_ns
            for priority, since_ns in self._know().since_ns.items()
        }

    @property
    def held_records(self) -> int:
        return sum(len(lane.held) for lane in self._lanes)

    @property
    def held_bytes(self) -> int:
        return sum(lane.size_bytes for lane in self._lanes)

    @property
    def lanes(self) -> int:
        return len(self._lanes)

    # -- inside ------------------------------------------------------------------------------------

    def _know(self) -> _Known:
        known = self._known
        if known is None:
            hot = self._hot_now()
            offsets = {s: offset for lane in self._lanes for s, offset in lane.progress.items()}
            known = self._known = _Known(hot, offsets, self._waits_since(hot))
        return known

    def _hot_now(self) -> frozenset[int]:
        return self._hot.union(self._pinned, self._hot_until)

    def _waits_since(self, hot: frozenset[int]) -> dict[Priority, int | None]:
        found: dict[Priority, int | None] = {Priority.HOT: None, Priority.CALM: None}
        for lane in self._lanes:
            lowest = {Priority.HOT: -1, Priority.CALM: -1}
            for subject, offset in lane.progress.items():
                priority = Priority.HOT if subject in hot else Priority.CALM
                if lowest[priority] < 0 or offset < lowest[priority]:
                    lowest[priority] = offset
            for priority, offset in lowest.items():
                index = lane.index(offset) if offset >= 0 else -1
                here = 0 <= index < len(lane.held)
                since_ns = lane.held[index].t_append_ns if here else lane.unread_since_ns
                if offset >= 0 and since_ns is not None:
                    found[priority] = min(since_ns, found[priority] or since_ns)
        return found

    def _groups(self) -> tuple[list[Group], list[Group]]:
        """Waiting flows by (lane, progress), hot and calm, those that wait longest first."""
        hot, in_flight = self.hot(), self._in_flight
        found: dict[tuple[bool, int, int], Group] = {}
        for lane in self._lanes:
            end = lane.held[-1].offset if lane.held else -1
            alike: dict[tuple[bool, int], list[int]] = {}
            for subject, offset in lane.progress.items():
                if offset <= end and subject not in in_flight:
                    alike.setdefault((subject in hot, offset), []).append(subject)
            for (is_hot, offset), subjects in alike.items():
                index = lane.index(offset)
                group = found.setdefault((is_hot, lane.number, index), Group(lane, index))
                group.subjects += subjects
        ordered = sorted(found.items(), key=lambda item: (item[1].waits_since_ns, item[0]))
        return [g for key, g in ordered if key[0]], [g for key, g in ordered if not key[0]]

    def _hot_work(self, hot: Sequence[Group], calm: Iterable[Group]) -> Work:
        group = hot[0]
        subjects = group.subjects
        if len(group.lane.held) - group.index <= self.config.together:
            for other in calm:
                if other.lane is group.lane and other.index == group.index:
                    subjects = subjects + other.subjects
        return group.work(subjects, len(group.lane.held), Priority.HOT)

    def _calm_work(self, calm: Sequence[Group]) -> Work:
        group = calm[0]
        # Up to where the next group waits: from there on both go together.
        ends = [g.index for g in calm if g.lane is group.lane and g.index > group.index]
        end = min([group.index + self.config.calm_batch, len(group.lane.held), *ends])
        return group.work(group.subjects, end, Priority.CALM)

    def _put(self, subject: int, lane: Lane, offset: int) -> None:
        lane.progress[subject] = offset
        self._lane_by[subject] = lane

    def _join(self, subject: int, offset: int) -> None:
        ahead = self.config.max_records
        fitting = [x for x in self._lanes if x.low <= offset <= x.next_offset + ahead]
        if fitting:
            self._put(subject, max(fitting, key=lambda lane: lane.next_offset), offset)
        elif len(self._lanes) < self.config.max_lanes:
            self._put(subject, self._new_lane(offset), offset)
        else:
            behind = [lane for lane in self._lanes if lane.next_offset <= offset]
            lane = max(behind, key=lambda x: x.next_offset) if behind else self._rewound(offset)
            self._put(subject, lane, offset)

    def _new_lane(self, offset: int) -> Lane:
        self._made += 1
        self._lanes.append(Lane(self._made, offset))
        return self._lanes[-1]

    def _rewound(self, offset: int) -> Lane:
        """The rearmost lane, reading again from `offset`: its flows skip what they have done."""
        lane = min(self._lanes, key=lambda x: x.next_offset)
        lane.held, lane.size_bytes, lane.next_offset = [], 0, offset
        self._made += 1
        lane.number = self._made
        return lane

    def _set_aside(self, lane: Lane) -> None:
        """Part a full lane whose hot flows have done all: the laggards keep the records."""
        config = self.config
        full = len(lane.held) >= config.max_records or lane.size_bytes >= config.max_bytes
        if not full or len(self._lanes) >= config.max_lanes:
            return
        newest = lane.held[-1]
        ahead = [s for s in lane.progress if lane.behind(s) == 0]
        if newest.t_read_ns - newest.t_append_ns > config.live_ns:
            return
        if len(ahead) == len(lane.progress) or not self.hot().intersection(ahead):
            return
        front = self._new_lane(lane.next_offset)
        self._known = None
        for subject in ahead:
            self._put(subject, front, lane.progress.pop(subject))

    def _tidy(self) -> None:
        """Lead flows that have caught up back to the foremost lane; drop lanes without flows."""
        if len(self._lanes) > 1:
            front = max(self._lanes, key=lambda lane: lane.next_offset)
            for lane in self._lanes:
                for subject, offset in list(lane.progress.items()):
                    if lane is not front and offset >= front.low and subject not in self._in_flight:
                        self._put(subject, front, lane.progress.pop(subject))
            self._lanes = [lane for lane in self._lanes if lane.progress or lane is front]
        self._lanes = [lane for lane in self._lanes if lane.progress]
        for lane in self._lanes:
            lane.let_go()


def worst_ages_ns(backlogs: Iterable[Mapping[Priority, int]]) -> dict[Priority, int]:
    """The oldest age of each class over several venues."""
    worst = {Priority.HOT: 0, Priority.CALM: 0}
    for ages in backlogs:
        for priority, age_ns in ages.items():
            worst[priority] = max(worst[priority], age_ns)
    return worst
