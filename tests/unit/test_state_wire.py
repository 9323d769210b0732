"""The remembered head of state batches: what comes of it is what pyarrow would have written."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from models.flows import layout as L  # noqa: N812
from models.flows import state_wire
from models.flows.state_columns import StateColumns, StateTable, is_whole, turned
from models.flows.state_wire import MouldCache
from models.flows.states import StateRows, decode_states, encode_states

IDS = [f"athlete-{row}" for row in range(7)]


def table_of(
    names: tuple[str, ...], body: NDArray[np.float64], rows: NDArray[np.int64]
) -> StateTable:
    columns = StateColumns(names)
    return StateTable(columns, turned(body, rows, columns.mask), len(rows))


def rows_of(
    names: tuple[str, ...], count: int, seed: int, final: bool, metadata: dict[str, object]
) -> StateRows:
    """`count` rows of noise as the kernel gives them, NaN here and there."""
    draw = np.random.default_rng(seed)
    body = draw.normal(size=(count + 2, len(names)))
    body[draw.random(body.shape) < 0.2] = np.nan
    for at, name in enumerate(names):
        if is_whole(name):
            body[:, at] = draw.integers(-1, 7, count + 2)
    columns = table_of(names, body, draw.permutation(count + 2)[:count])
    subject = draw.integers(0, len(IDS), count).astype(np.int32)
    t_ns = draw.integers(0, 1 << 60, count)
    return StateRows(t_ns, subject, columns, final, metadata)


@settings(deadline=None)
@given(
    batches=st.lists(
        st.tuples(st.booleans(), st.integers(0, 40), st.integers(0, 9), st.booleans(),
                  st.booleans()),
        min_size=1, max_size=12,
    )
)
def test_the_bytes_are_those_of_pyarrow_whatever_was_written_before(
    batches: list[tuple[bool, int, int, bool, bool]],
) -> None:
    moulds, abouts = MouldCache(), ({"algo_version": "a-1"}, {"algo_version": "b-2", "own": 1})
    for ball, count, seed, final, other in batches:
        names = L.BALL_COLUMNS if ball else L.PERSON_COLUMNS
        rows = rows_of(names, count, seed, final, abouts[other])
        found = encode_states(rows, IDS, "m", moulds)
        assert found == encode_states(rows, IDS, "m")
        assert decode_states(found).num_rows == count


def test_columns_read_by_name_are_those_of_the_buffer() -> None:
    names = L.PERSON_COLUMNS
    body = np.random.default_rng(4).normal(size=(9, len(names))) * 100.0
    for picked in ([], [3], [8, 0, 5], [1, 2]):
        table = table_of(names, body, np.array(picked, np.int64))
        assert tuple(table) == names
        for at, name in enumerate(names):
            wanted = body[picked, at].astype(np.int32 if is_whole(name) else np.float64)
            assert np.array_equal(table[name], wanted), name
            assert table[name].dtype == wanted.dtype


def test_the_second_batch_of_a_sort_is_not_built_by_pyarrow(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    moulds, about = MouldCache(), {"algo_version": "a-1"}
    for names in (L.PERSON_COLUMNS, L.BALL_COLUMNS):
        encode_states(rows_of(names, 5, 1, False, about), IDS, "m", moulds)
        rows = rows_of(names, 11, 2, False, about)
        wanted = encode_states(rows, IDS, "m")
        with monkeypatch.context() as patch:
            patch.setattr(state_wire, "stream_of", lambda _: pytest.fail("built again"))
            assert encode_states(rows, IDS, "m", moulds) == wanted


def test_what_is_remembered_is_bounded() -> None:
    moulds, about = MouldCache(), {"algo_version": "a-1"}
    for count in range(1, state_wire.MOST_MESSAGES + 20):
        rows = rows_of(("distance_m", "sprint_n"), count, count, False, about)
        assert encode_states(rows, IDS, "m", moulds) == encode_states(rows, IDS, "m")
        assert len(moulds._messages) <= state_wire.MOST_MESSAGES
    for number in range(state_wire.MOST_MOULDS + 5):
        rows = rows_of((f"x{number}_m",), 3, number, False, about)
        assert encode_states(rows, IDS, "m", moulds) == encode_states(rows, IDS, "m")
        assert len(moulds._moulds) <= state_wire.MOST_MOULDS


def test_messages_are_shared_between_subjects_and_not_between_sorts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    casts: list[int] = []
    real = state_wire.cast

    def counted(*args: Any) -> Any:
        casts.append(1)
        return real(*args)

    messages: state_wire.Messages = {}
    first, second = MouldCache(messages), MouldCache(messages)
    about, others = {"algo_version": "a-1"}, [f"other-{n}" for n in range(len(IDS))]
    sorts = (("distance_m", "sprint_n"), ("sprint_n", "distance_m"))
    for names in sorts:
        for begin in (3, 5):
            encode_states(rows_of(names, begin, 1, False, about), IDS, "m", first)
            encode_states(rows_of(names, begin, 1, False, about), others, "n", second)
    monkeypatch.setattr(state_wire, "cast", counted)
    for names in sorts:
        rows = rows_of(names, 5, 2, False, about)
        assert encode_states(rows, others, "n", second) == encode_states(rows, others, "n")
        rows = rows_of(names, 7, 3, False, about)
        assert encode_states(rows, IDS, "m", first) == encode_states(rows, IDS, "m")
        assert encode_states(rows, others, "n", second) == encode_states(rows, others, "n")
    assert len(casts) == len(sorts), "of seven rows, once for each sort"
