"""Backlog: what a worker has read of one venue's telemetry and not yet done for each of its flows.

Pure. Decoded records are held in *lanes*: a lane is one read position with the records behind it
and the flows that live off them; each flow has its own progress, the offset that it wants next.
There is one lane as long as all flows keep up. A flow that comes from a snapshot further back, or
calm flows that lag so far that they would hold up reading, get a lane of their own until they have
caught up.

Work is chosen hot flows first, with all that is held for them; calm flows follow in bounded
batches. Flows share a batch, each from its own progress on. Nothing is shed: calm flows wait, and
what waits is in the log; they do not starve, since hot flows have nothing left to do until more is
read. A flow has at most one batch in flight.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from models.flows.lanes import Held, Lane, Priority, Waiting, Work


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


@dataclass(slots=True)
class _Known:
    """What is asked more often than it changes, None until it is asked: the flows that are hot,
    what each flow wants next, and since when the oldest record has that waits for each class."""

    hot: frozenset[int] | None = None
    offsets: dict[int, int] | None = None
    since_ns: dict[Priority, int | None] | None = None


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
        self._known = _Known()
        self._all: tuple[int, ...] = ()
        self.changes = 0
        """Rises whenever flows, offsets, hot or pinned flows, waits or what is held may differ."""

    # -- flows -------------------------------------------------------------------------------------

    def add(self, offsets: Mapping[int, int]) -> None:
        """Take in flows: subject -> the offset that it wants next."""
        # Rearmost first, so that one lane serves all whose snapshots lie close together.
        for subject, offset in sorted(offsets.items(), key=lambda item: (item[1], item[0])):
            assert subject not in self._lane_by, subject
            self._join(subject, offset)
        self._all = tuple(sorted(self._lane_by))
        self._changed()

    def remove(self, subject: int) -> None:
        """Forget a flow; unknown ones are no fault."""
        lane = self._lane_by.pop(subject, None)
        self._in_flight.discard(subject)
        self._hot_until.pop(subject, None)
        self._pinned.pop(subject, None)
        if lane is not None:
            del lane.progress[subject]
            self._tidy()
            self._all = tuple(sorted(self._lane_by))
        self._changed()

    def offsets(self) -> dict[int, int]:
        """subject -> the offset that it wants next; not to be written to."""
        known = self._known
        if known.offsets is None:
            known.offsets = {s: at for lane in self._lanes for s, at in lane.progress.items()}
        return known.offsets

    def pin(self, subject: int, until_ns: int) -> None:
        """Hold a flow hot up to event time `until_ns`, whatever its intensity."""
        self._pinned[subject] = max(self._pinned.get(subject, 0), until_ns)
        self._changed()

    def pinned(self) -> dict[int, int]:
        """Pinned flows, and until when."""
        return dict(self._pinned)

    def hot(self) -> frozenset[int]:
        """Flows that are hot by the newest record read or by one that waits for them, or pinned."""
        known = self._known
        if known.hot is None:
            known.hot = self._hot_now()
        return known.hot

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
        if next_offset == read.offset and lane.unread_since_ns is None:
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
        self._changed()

    # -- work --------------------------------------------------------------------------------------

    def next_work(self, calm_since_ns: int | None = None) -> Work | None:
        """The batch to do now, or None; its flows are in flight until `done` or `remove`.
        calm_since_ns: nothing for calm flows alone unless a record that was appended before then
        waits for one of them."""
        choose = self._work_of_all if self._even() else self._work_of_some
        work = choose(calm_since_ns)
        if work is not None:
            self._in_flight.update(work.subjects)
        return work

    def done(self, work: Work) -> None:
        """`work` was done: its flows (those that are still here) want what follows."""
        next_offset = work.next_offset
        self._in_flight.difference_update(work.subjects)
        for lane in self._lanes:
            lane.passed(work.subjects, next_offset)
        until = self._hot_until
        over = [s for s, last in until.items() if last < next_offset and s in work.subjects]
        for subject in over:
            del until[subject]
        self._tidy()
        self._changed(hot=bool(over))

    def waits_since(self) -> dict[Priority, int | None]:
        """When the oldest record that waits for a flow of each class was appended; None when none
        waits. Of records that are still to be read it is known only that they are not older than
        the last. Not to be written to."""
        known = self._known
        if known.since_ns is None:
            known.since_ns = self._waits_since(self.hot())
        return known.since_ns

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

    def _changed(self, hot: bool = True) -> None:
        """Flows have moved; hot: and others may be hot now."""
        self.changes += 1
        self._known = _Known() if hot else _Known(self._known.hot)

    def _hot_now(self) -> frozenset[int]:
        return self._hot.union(self._pinned, self._hot_until)

    def _waits_since(self, hot: frozenset[int]) -> dict[Priority, int | None]:
        found: dict[Priority, int | None] = {Priority.HOT: None, Priority.CALM: None}
        for lane in self._lanes:
            if not lane.held and lane.unread_since_ns is None:
                continue
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

    def _even(self) -> bool:
        """Whether all flows want the same records, few enough to be done at once: the usual case,
        for which there is no need to look at each of them."""
        if len(self._lanes) != 1 or self._in_flight:
            return False
        lane, most = self._lanes[0], min(self.config.together, self.config.calm_batch)
        if not 0 < len(lane.held) <= most:
            return False
        return max(lane.progress.values()) <= lane.held[0].offset

    def _work_of_all(self, calm_since_ns: int | None) -> Work | None:
        """All that is held for all flows, where they are `_even`."""
        held = self._lanes[0].held
        calm = self.hot().isdisjoint(self._all)
        if calm and calm_since_ns is not None and held[0].t_append_ns >= calm_since_ns:
            return None
        priority = Priority.CALM if calm else Priority.HOT
        return Work(self._all, (0,) * len(self._all), tuple(held), priority)

    def _work_of_some(self, calm_since_ns: int | None) -> Work | None:
        hot, calm = self._waiting()
        if hot:
            return self._hot_work(hot, calm)
        if calm:
            oldest = _oldest(calm)
            if calm_since_ns is None or oldest.since_ns < calm_since_ns:
                return self._calm_work(oldest)
        return None

    def _waiting(self) -> tuple[list[Waiting], list[Waiting]]:
        """Flows that something waits for, hot and calm, lane by lane."""
        hot, in_flight = self.hot(), self._in_flight
        found: tuple[list[Waiting], list[Waiting]] = ([], [])
        for lane in self._lanes:
            if not lane.held:
                continue
            end = lane.held[-1].offset
            index = {offset: lane.index(offset) for offset in set(lane.progress.values())}
            first: tuple[dict[int, int], dict[int, int]] = ({}, {})
            for subject, offset in lane.progress.items():
                if offset <= end and subject not in in_flight:
                    first[subject not in hot][subject] = index[offset]
            for waiting, of_class in zip(found, first, strict=True):
                if of_class:
                    waiting.append(Waiting(lane, of_class))
        return found

    def _hot_work(self, hot: Sequence[Waiting], calm: Sequence[Waiting]) -> Work:
        """The hot flows of a lane with all that is held for them; with them the calm ones, where
        that is not much either."""
        chosen = _oldest(hot)
        end = len(chosen.lane.held)
        for other in calm:
            low = min(chosen.low, other.low)
            if other.lane is chosen.lane and end - low <= self.config.together:
                chosen = Waiting(chosen.lane, chosen.first | other.first)
        return chosen.work(end, Priority.HOT)

    def _calm_work(self, calm: Waiting) -> Work:
        return calm.work(
            min(calm.low + self.config.calm_batch, len(calm.lane.held)), Priority.CALM
        )

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
        self._changed()
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


def _oldest(waiting: Sequence[Waiting]) -> Waiting:
    """Those that wait longest."""
    return min(waiting, key=lambda one: (one.since_ns, one.lane.number))
