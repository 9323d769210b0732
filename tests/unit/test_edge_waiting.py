"""The reorder buffer against a plain list: what waits, what comes out, in which order."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from models.edge.ingest import Arrived, Judged, checked_channels
from models.edge.rows import Rows, join_rows, named_rows, no_rows, rows_named
from models.edge.waiting import LEAST_ROOM, MOST_IDLE, NOTHING_NS, Waiting
from models.telemetry.flags import Flag
from models.telemetry.kinds import KINDS, Kind

TICK_NS = 100
DEVICES = 3
FIRST = np.array([0, 1, 0], np.int64)
"""The third device row is a later one of the first's stream."""
KIND = Kind.IMU
CHECKED = checked_channels(KIND)
Row = tuple[int, int, int, int]
"""(device, boot, count, t_ns)"""


def _arrived(rows: list[Row], rng: np.random.Generator) -> tuple[Arrived, Judged]:
    """Rows, of which some are refused and some are late."""
    n = len(rows)
    device, boot, count, t_ns = (np.array(c, np.int64) for c in zip(*rows, strict=True))
    values = rng.normal(size=(len(KINDS[KIND].channels), n)).astype(np.float32)
    reason = np.where(rng.random(n) < 0.1, 9, 0).astype(np.uint8)
    flags = np.where(rng.random(n) < 0.1, np.uint32(Flag.LATE), 0).astype(np.uint32)
    arrived = Arrived(
        device.astype(np.int32), boot.astype(np.uint32), (count & 0xFFFFFFFF).astype(np.uint32),
        t_ns - 7, t_ns + 5, np.full(n, 1 << 20, np.uint32), values,
    )
    for array in arrived:
        array.flags.writeable = False
    return arrived, Judged(reason, device.astype(np.int32), count, t_ns, flags)


ROWS = st.lists(
    st.tuples(
        st.integers(0, DEVICES - 1), st.integers(1, 2), st.integers(0, 2**33), st.integers(0, 900)
    ),
    min_size=1, max_size=60,
)


@settings(deadline=None, max_examples=60)
@given(batches=st.lists(ROWS, min_size=1, max_size=5), upto=st.integers(0, 10), seed=st.integers(0))
def test_what_comes_out_is_what_went_in_in_order_of_work(
    batches: list[list[Row]], upto: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    waiting, plain = Waiting(KIND), []
    for n, rows in enumerate(batches):
        arrived, judged = _arrived(rows, rng)
        waiting.add(arrived, judged)
        for i, row in enumerate(rows):
            if judged.reason[i] == 0 and judged.flags[i] == 0:
                plain.append((*row, arrived.values[:CHECKED, i].tobytes()))
        if n % 2:
            upto_ns = upto * TICK_NS
            plain = _take(waiting, plain, upto_ns)
    _take(waiting, plain, 10 * TICK_NS)
    assert len(waiting) == 0
    assert waiting.oldest_ns == NOTHING_NS


def _take(waiting: Waiting, plain: list[tuple], upto_ns: int) -> list[tuple]:
    assert len(waiting) == len(plain)
    assert waiting.oldest_ns == min((row[3] for row in plain), default=NOTHING_NS)
    wanted = sorted(
        (row for row in plain if row[3] < upto_ns),
        key=lambda row: (FIRST[row[0]], row[3] // TICK_NS, row[1], row[2]),
    )
    ready = waiting.before(FIRST, upto_ns, TICK_NS)
    assert (ready is None) == (not wanted)
    if ready is not None:
        keys = [(int(FIRST[d]), int(t) // TICK_NS, int(b), int(c))
                for d, b, c, t in zip(ready.device, ready.words[1], ready.count, ready.t_ns,
                                      strict=True)]
        assert keys == [(FIRST[r[0]], r[3] // TICK_NS, r[1], r[2]) for r in wanted]
        found = sorted(_full(ready, i) for i in range(len(ready)))
        assert found == sorted(wanted)
        assert np.isnan(ready.values[CHECKED:]).all()
        assert (ready.seq == (ready.count & 0xFFFFFFFF)).all()
    left = [row for row in plain if row[3] >= upto_ns]
    rest = waiting.rows()
    assert [_full(rest, i) for i in range(len(rest))] == left
    return left


def _full(rows: Rows, i: int) -> tuple:
    return (
        int(rows.device[i]), int(rows.words[1, i]), int(rows.count[i]), int(rows.t_ns[i]),
        rows.values[:CHECKED, i].tobytes(),
    )


def _many(count: int, order: np.ndarray) -> tuple[Arrived, Judged]:
    rows = [(0, 1, int(k), int(k)) for k in order[:count]]
    arrived, judged = _arrived(rows, np.random.default_rng(1))
    judged.reason[:] = 0
    judged.flags[:] = 0
    return arrived, judged


def test_rows_in_the_worst_order_come_out_right() -> None:
    # Backwards: more moves than insertion is given.
    waiting = Waiting(KIND)
    waiting.add(*_many(5000, np.arange(5000)[::-1]))
    ready = waiting.before(FIRST, 5000, TICK_NS)
    assert ready is not None
    assert (ready.count == np.arange(5000)).all()


def test_room_is_taken_when_needed_and_given_back() -> None:
    waiting = Waiting(KIND)
    assert len(waiting._table) == LEAST_ROOM
    waiting.add(*_many(2 * MOST_IDLE, np.arange(2 * MOST_IDLE)))
    assert len(waiting._table) >= 2 * MOST_IDLE
    ready = waiting.before(FIRST, 2 * MOST_IDLE - 10, TICK_NS)
    assert ready is not None
    assert len(waiting) == 10
    assert len(waiting._table) == LEAST_ROOM
    assert waiting.rows().count.tolist() == list(range(2 * MOST_IDLE - 10, 2 * MOST_IDLE))


def test_the_newest_arrivals_go_when_too_many_wait() -> None:
    waiting = Waiting(KIND)
    waiting.add(*_many(30, np.arange(30)[::-1]))
    extra = waiting.refuse_beyond(20)
    assert extra is not None
    assert extra.count.tolist() == list(range(9, -1, -1))
    assert len(waiting) == 20
    assert waiting.oldest_ns == 10
    assert waiting.newest_ns() == 29
    assert waiting.refuse_beyond(20) is None


def test_rows_come_back_from_a_snapshot() -> None:
    waiting = Waiting(KIND)
    waiting.add(*_many(30, np.arange(2**32 - 10, 2**32 + 20)))
    rows = waiting.rows()
    named = named_rows("x", rows)
    for array in named.values():
        array.flags.writeable = False
    again = Waiting(KIND, rows_named("x", KIND, named))
    assert again.oldest_ns == waiting.oldest_ns
    assert (again.rows().longs == rows.longs).all()
    assert (again.rows().words == rows.words).all()
    assert named["x/seq"].tolist() == (rows.count & 0xFFFFFFFF).tolist()
    again.add(*_many(3, np.arange(3)))
    assert len(again) == 33
    assert len(join_rows([rows, rows])) == 60
    assert len(no_rows(KIND)) == 0
