"""Streams written straight from columns: what pyarrow writes, to the byte."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.telemetry.arrow import first_block, to_arrow
from models.telemetry.block import SampleBlock
from models.telemetry.ipc import StreamReader
from models.telemetry.ipc_mould import stream_of
from models.telemetry.ipc_write import (
    MOST_MOULDS,
    MOST_PLANS,
    StreamWriter,
    every_channel,
    spoken,
    with_channels,
)
from models.telemetry.kinds import KINDS, Kind

KINDS_OF = [kind for kind in Kind for _ in range(3)]
IDS = [f"device-{row}" for row in range(len(KINDS_OF))]
COLUMNS = ("device", "boot", "seq", "t_event_ns", "t_ingest_ns", "flags", "values")


def rows_of(kind: Kind) -> list[int]:
    return [row for row, one in enumerate(KINDS_OF) if one == kind]


def block_of(kind: Kind, count: int, seed: int = 1) -> SampleBlock:
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(len(KINDS[kind].channels), count)).astype(np.float32)
    values[rng.random(values.shape) < 0.2] = np.nan
    times = rng.integers(0, 1 << 62, (2, count))
    small = rng.integers(0, 1 << 32, (3, count)).astype(np.uint32)
    device = rng.choice(rows_of(kind), count).astype(np.int32)
    return SampleBlock(kind, device, small[0], small[1], times[0], times[1], small[2], values)


def by_pyarrow(block: SampleBlock) -> bytes:
    rows = rows_of(block.kind)
    local = np.searchsorted(rows, block.device).astype(np.int32)
    return stream_of(to_arrow(replace(block, device=local), [IDS[row] for row in rows]))


@settings(max_examples=120, deadline=None)
@given(st.sampled_from(list(Kind)), st.integers(1, 300), st.integers(0, 1000))
def test_it_writes_what_pyarrow_writes(kind: Kind, count: int, seed: int) -> None:
    block, writer = block_of(kind, count, seed), StreamWriter(IDS, KINDS_OF)
    for _ in range(2):
        assert writer.write(block) == by_pyarrow(block)


@pytest.mark.parametrize("kind", list(Kind))
def test_both_readers_find_the_rows_of_the_roster_again(kind: Kind) -> None:
    block = block_of(kind, 33)
    stream = StreamWriter(IDS, KINDS_OF).write(block)
    names = {IDS[row]: row for row in rows_of(kind)}
    for found in (first_block(stream, names), StreamReader({kind: names}).read(stream, kind)):
        assert all(
            np.array_equal(getattr(found, c), getattr(block, c), equal_nan=c == "values")
            for c in COLUMNS
        )


def test_columns_may_be_cut_from_larger_ones() -> None:
    block = block_of(Kind.IMU, 40)
    wide = np.asfortranarray(np.repeat(block.values, 2, axis=1))
    cut = replace(block, values=wide[:, ::2], seq=np.repeat(block.seq, 2)[::2])
    assert StreamWriter(IDS, KINDS_OF).write(cut) == by_pyarrow(block)


def test_rows_of_a_device_of_another_kind_keep_their_device() -> None:
    block = block_of(Kind.LPS, 5)
    foreign = replace(block, device=np.full(5, rows_of(Kind.IMU)[1], np.int32))
    stream = StreamWriter(IDS, KINDS_OF).write(foreign)
    assert first_block(stream, {name: row for row, name in enumerate(IDS)}).device.tolist() == (
        foreign.device.tolist()
    )


@pytest.mark.parametrize("row", [-1, len(IDS), len(IDS) + 1])
def test_a_device_that_is_not_in_the_roster_is_no_stream(row: int) -> None:
    stray = replace(block_of(Kind.LPS, 3), device=np.array([rows_of(Kind.LPS)[0], row, row], "i4"))
    with pytest.raises((IndexError, pa.ArrowInvalid)):
        StreamWriter(IDS, KINDS_OF).write(stray)


@pytest.mark.parametrize("count", [1, 2, 33])
def test_pieces_are_the_stream_and_their_bytes_are_told(count: int) -> None:
    block, writer = block_of(Kind.BALL_IMU, count), StreamWriter(IDS, KINDS_OF)
    pieces, size = writer.pieces(block)
    assert b"".join(pieces) == by_pyarrow(block) == writer.write(block)
    assert size == len(by_pyarrow(block))


def test_it_remembers_a_bounded_number_of_sizes() -> None:
    writer = StreamWriter(IDS, KINDS_OF)
    for count in range(1, MOST_PLANS + 50):
        writer.write(block_of(Kind.HEART, count))
    assert len(writer._plans) <= MOST_PLANS


@settings(max_examples=120, deadline=None)
@given(
    st.sampled_from(list(Kind)), st.integers(1, 300), st.integers(0, 1000),
    st.sets(st.integers(0, 13)),
)
def test_a_lean_stream_leaves_out_what_no_row_has_and_reads_the_same(
    kind: Kind, count: int, seed: int, silent: set[int]
) -> None:
    block, writer = block_of(kind, count, seed), StreamWriter(IDS, KINDS_OF)
    channels = KINDS[kind].channels
    silent = {c for c in silent if c < len(channels)}
    block.values[sorted(silent)] = np.nan
    all_nan = {c for c in range(len(channels)) if np.isnan(block.values[c]).all()}
    kept = tuple(
        c for c in range(len(channels)) if c not in all_nan or not channels[c].nullable
    )
    assert spoken(block) == kept
    rows = rows_of(kind)
    local = replace(block, device=np.searchsorted(rows, block.device).astype(np.int32))
    whole = to_arrow(local, [IDS[row] for row in rows])
    stream = writer.write(block, lean=True)
    assert stream == stream_of(with_channels(whole, kept))
    assert with_channels(whole, every_channel(kind)) is whole
    # Between lean ones a whole one is what it was.
    assert writer.write(block) == by_pyarrow(block)
    found = first_block(stream, {IDS[row]: row for row in rows})
    assert all(
        np.array_equal(getattr(found, c), getattr(block, c), equal_nan=c == "values")
        for c in COLUMNS
    )


def test_sets_of_channels_are_remembered_within_a_bound() -> None:
    writer = StreamWriter(IDS, KINDS_OF)
    for seed in range(3 * MOST_MOULDS):
        block = block_of(Kind.IMU, 4, seed)
        block.values[np.random.default_rng(seed).random(14) < 0.5] = np.nan
        block.values[:6] = 1.0
        rows = rows_of(Kind.IMU)
        found = first_block(writer.write(block, lean=True), {IDS[row]: row for row in rows})
        assert np.array_equal(found.values, block.values, equal_nan=True)
    assert len(writer._moulds) <= MOST_MOULDS
