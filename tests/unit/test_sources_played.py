"""Played sources: pacing, and cuts that do not depend on speed changes or restarts."""

import itertools

import numpy as np
import pytest

from actors.sources.played import SECOND_UNITS, UNIT_NS, PlayedSource
from actors.sources.port import NEVER_NS
from actors.sources.recorded.recording import MAX_SILENCE_NS, MemoryLane, Recording
from actors.sources.recording import RecordedTrack
from actors.sources.simulator import SimulatedTrack
from models.simulator.match import MatchConfig, MatchSimulator
from models.telemetry.block import SampleBlock, concat_blocks
from models.telemetry.decoded import Refusal
from models.telemetry.kinds import Kind
from models.telemetry.raw import RawBatch
from models.telemetry.reasons import Reason
from tests.unit import source_world as world

WALL = 1_000_000_000_000


@pytest.fixture(scope="module")
def match() -> MatchSimulator:
    return MatchSimulator(MatchConfig(seed=3, duration_s=3))


def drain(source: PlayedSource) -> list[RawBatch]:
    """All batches, each taken the moment it is due."""
    batches = []
    first = source.next_batch(WALL)
    if first is not None:
        batches.append(first)
    for _ in range(10_000):
        if source.done:
            return batches
        batch = source.next_batch(max(WALL, source.next_awake_ns()))
        assert batch is not None
        batches.append(batch)
    raise AssertionError("a source that never ends")


def rows(batches: list[RawBatch]) -> dict[Kind, SampleBlock]:
    parts: dict[Kind, list[SampleBlock]] = {}
    for batch in batches:
        for kind, block in batch.blocks.items():
            parts.setdefault(kind, []).append(block)
    return {kind: concat_blocks(blocks) for kind, blocks in parts.items()}


def same(a: dict[Kind, SampleBlock], b: dict[Kind, SampleBlock]) -> bool:
    return a.keys() == b.keys() and all(
        np.array_equal(getattr(a[kind], column), getattr(b[kind], column), equal_nan=True)
        for kind in a
        for column in ("device", "boot", "seq", "t_event_ns", "t_ingest_ns", "values")
    )


@pytest.mark.parametrize("speed", [1.0, 4.0, 20.0])
def test_every_speed_gives_the_same_rows_in_the_same_order(
    match: MatchSimulator, speed: float
) -> None:
    whole = drain(PlayedSource("s", SimulatedTrack(match), 0.0))
    paced = drain(PlayedSource("s", SimulatedTrack(match), speed))
    assert same(rows(whole), rows(paced))
    assert rows(whole)[Kind.IMU].values.shape[1] > 5_000


def test_a_restart_anywhere_continues_with_the_same_cuts(match: MatchSimulator) -> None:
    whole = drain(PlayedSource("s", SimulatedTrack(match), 4.0))
    for stop in (1, 7, 10, 29):
        rest = drain(PlayedSource("s", SimulatedTrack(match), 4.0, whole[stop - 1].cursor))
        assert [b.cursor for b in rest] == [b.cursor for b in whole[stop:]]
        assert all(
            same(dict(a.blocks), dict(b.blocks)) for a, b in zip(rest, whole[stop:], strict=True)
        )


def test_a_restart_at_another_speed_neither_loses_nor_repeats_rows(match: MatchSimulator) -> None:
    slow = drain(PlayedSource("s", SimulatedTrack(match), 1.0))[:13]
    rest = drain(PlayedSource("s", SimulatedTrack(match), 0.0, slow[-1].cursor))
    whole = drain(PlayedSource("s", SimulatedTrack(match), 0.0))
    assert same(rows(slow + rest), rows(whole))


def test_now_never_lies_before_a_row_of_the_batch(match: MatchSimulator) -> None:
    for batch in drain(PlayedSource("s", SimulatedTrack(match), 1.0)):
        assert all(int(block.t_ingest_ns.max()) <= batch.now_ns for block in batch.blocks.values())


def test_nothing_is_given_before_it_is_due(match: MatchSimulator) -> None:
    source = PlayedSource("s", SimulatedTrack(match), 2.0)
    assert source.next_batch(WALL) is None  # the first slice ends 100 ms into the match
    assert source.next_awake_ns() == WALL + 50_000_000
    assert source.next_batch(WALL + 49_999_999) is None
    batch = source.next_batch(WALL + 50_000_000)
    assert batch is not None
    assert batch.cursor == 2
    start = match.config.start_ns
    assert source.wall_ns(start + 60_000_000) == WALL + 30_000_000


def test_a_source_that_was_not_pulled_catches_up_without_a_gap(match: MatchSimulator) -> None:
    source = PlayedSource("s", SimulatedTrack(match), 1.0)
    source.next_batch(WALL)
    cursors = [source.next_batch(WALL + 10**9).cursor for _ in range(20)]
    assert cursors == list(range(1, 21))
    assert source.next_batch(WALL + 10**9) is None


def test_late_slices_can_be_merged_up_to_a_second(match: MatchSimulator) -> None:
    source = PlayedSource("s", SimulatedTrack(match), 1.0, merge_late=True)
    assert source.merges
    late_ms = [0, 50, 330, 330, 400, 400, 2070, 2070, 2070]
    given = [source.next_batch(WALL + ms * 1_000_000) for ms in late_ms]
    assert [batch and batch.cursor for batch in given] == [None, 1, 6, None, 8, None, 20, 40, 41]
    rest = PlayedSource("s", SimulatedTrack(match), 1.0, 41)
    found = rows([batch for batch in given if batch is not None] + drain(rest))
    assert same(found, rows(drain(PlayedSource("s", SimulatedTrack(match), 1.0))))


@pytest.mark.parametrize(("speed", "merge_late"), [(1.0, False), (0.0, True), (20.0, True)])
def test_only_slices_of_a_slow_match_are_merged_and_when_asked_to(
    match: MatchSimulator, speed: float, merge_late: bool
) -> None:
    source = PlayedSource("s", SimulatedTrack(match), speed, merge_late=merge_late)
    assert not source.merges
    alike = PlayedSource("s", SimulatedTrack(match), speed)
    for late_ns in (0, 10**9, 10**9):
        mine, other = source.next_batch(WALL + late_ns), alike.next_batch(WALL + late_ns)
        assert (mine and mine.cursor) == (other and other.cursor)


def test_at_full_speed_a_row_arrives_when_it_is_handed_over(match: MatchSimulator) -> None:
    track = SimulatedTrack(match)
    track.full_units = SECOND_UNITS
    source = PlayedSource("s", track, 0.0)
    for second in range(3):
        source.next_batch(WALL + second)
    start = match.config.start_ns
    walls = [source.wall_ns(start + t * 10**8) for t in (0, 9, 10, 25)]
    assert walls == [WALL, WALL, WALL + 1, WALL + 2]


def test_a_batch_of_several_seconds_holds_the_rows_of_each(match: MatchSimulator) -> None:
    track = SimulatedTrack(match)
    whole = track.read(7, 2 * SECOND_UNITS + 3)
    parts = [
        track.read(7, SECOND_UNITS), track.read(SECOND_UNITS, 2 * SECOND_UNITS),
        track.read(2 * SECOND_UNITS, 2 * SECOND_UNITS + 3),
    ]
    for kind, block in whole.items():
        rows = [part[kind].seq for part in parts if kind in part]
        assert block.seq.tolist() == [seq for part in rows for seq in part]


def recording(blocks: list[SampleBlock], refusals: tuple[Refusal, ...] = ()) -> Recording:
    lanes = (MemoryLane(concat_blocks(blocks)),) if blocks else ()
    return Recording("test", world.roster(), lanes, refusals)


def test_a_sparse_recording_at_full_speed_comes_in_large_batches() -> None:
    track = RecordedTrack(recording([world.block(2_000)]))  # 20 rows a second for 100 s
    batches = drain(PlayedSource("f", track, 0.0))
    assert len(batches) == 4
    assert len(rows(batches)[Kind.LPS]) == 2_000


def test_long_silence_is_jumped_and_short_silence_is_not() -> None:
    def spans(silence_ns: int) -> list[int]:
        later = world.block(20, world.START_NS + silence_ns, seq=20)
        track = RecordedTrack(recording([world.block(20), later]))
        source = PlayedSource("f", track, 20.0)
        batches = drain(source)
        assert len(rows(batches)[Kind.LPS]) == 40
        cursors = [0, *(batch.cursor for batch in batches)]
        return [b - a for a, b in itertools.pairwise(cursors)]

    assert max(spans(5 * 10**9)) == SECOND_UNITS
    assert max(spans(MAX_SILENCE_NS * 3)) > 600 * SECOND_UNITS


def test_pacing_does_not_wait_for_a_silence_that_is_jumped() -> None:
    later = world.block(20, world.START_NS + 3 * MAX_SILENCE_NS, seq=20)
    source = PlayedSource("f", RecordedTrack(recording([world.block(20), later])), 20.0)
    source.next_batch(WALL)
    drain(source)
    now = WALL
    source = PlayedSource("f", RecordedTrack(recording([world.block(20), later])), 20.0)
    while not source.done:
        now = max(now, source.next_awake_ns())
        source.next_batch(now)
    assert now - WALL < 10**9


def test_what_a_file_could_not_give_is_counted_with_its_first_batch_only() -> None:
    refused = (Refusal(Reason.TRUNCATED, "", 3, "short file", b"xyz"),)
    for blocks in ([world.block(40)], []):
        source = PlayedSource("f", RecordedTrack(recording(blocks, refused)), 0.0)
        batches = drain(source)
        assert batches[0].refused == {"truncated": 3}
        assert not any(batch.refused for batch in batches[1:])
        assert source.take_refusals() == list(refused)
        assert source.take_refusals() == []
        assert source.next_awake_ns() == NEVER_NS


def test_a_unit_is_fifty_milliseconds() -> None:
    assert UNIT_NS * SECOND_UNITS == 10**9
