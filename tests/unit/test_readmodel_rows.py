"""Rows kept as tables: the same values whenever they are asked for, and bad texts found at once."""

import numpy as np
import pyarrow as pa
import pytest

from models.readmodel_rows import MOST_SHAPES, Readable, TableRow, read_table
from models.readmodel_states import StateBoard

KEYS = ("subject_id", "t_ns", "status")


def table_of(**columns: pa.Array) -> pa.Table:
    """Two rows, of a-1 and a-2, with a column of numbers and what else is given."""
    return pa.table({
        "t_ns": pa.array([5, 5]), "subject_id": pa.array(["a-1", "a-2"]),
        "status": pa.array(["provisional", "provisional"]),
        "speed_mps": pa.array(np.array([1.23456, np.nan])), **columns,
    })


def bad_text() -> pa.Array:
    """One text that is not UTF-8, and one that is."""
    buffers = [None, pa.py_buffer(np.array([0, 2, 3], np.int32)), pa.py_buffer(b"\xff\xfeb")]
    return pa.Array.from_buffers(pa.string(), 2, buffers)


def taken(table: pa.Table) -> StateBoard:
    board = StateBoard()
    board.take(table, "ball", "m1", 7, 1)
    return board


def test_a_row_of_numbers_is_kept_and_read_when_it_is_asked_for() -> None:
    board = taken(table_of(hot=pa.array([True, False])))
    entry = board.entries["a-1"]
    assert isinstance(entry.row, TableRow)
    assert entry.values == {"speed_mps": 1.2346, "hot": True}
    assert entry.values is entry.values
    assert board.entries["a-2"].values == {"hot": False}
    assert (entry.hot, board.entries["a-2"].hot) == (True, False)


def test_a_row_with_a_text_is_read_when_it_comes() -> None:
    board = taken(table_of(poss_subject_id=pa.array(["a-2", None])))
    assert board.entries["a-1"].row == {"speed_mps": 1.2346, "poss_subject_id": "a-2"}
    with pytest.raises(UnicodeDecodeError):
        taken(table_of(poss_subject_id=bad_text()))


def test_a_refused_table_changes_nothing() -> None:
    for column in ({"poss_subject_id": bad_text()}, {"intensity": pa.array(["much", "more"])}):
        board = StateBoard()
        with pytest.raises(ValueError, match=r"utf-8|much"):
            board.take(table_of(**column), "ball", "m1", 7, 1)
        assert not board.entries


def test_it_remembers_a_bounded_number_of_schemas() -> None:
    readable = Readable(KEYS)
    for number in range(3 * MOST_SHAPES):
        assert readable.later(table_of(**{f"extra_{number}": pa.array([1.0, 2.0])}))
        assert not readable.later(table_of(**{f"text_{number}": pa.array(["x", "y"])}))
    assert len(readable._known) == MOST_SHAPES


def test_bytes_that_are_no_stream_are_a_value_error_or_arrow_error() -> None:
    for payload in (b"", b"\x00" * 40, b"no stream"):
        with pytest.raises((ValueError, pa.ArrowException)):
            read_table(payload)


def coded(places: list[int]) -> pa.Array:
    indices = pa.array(places, pa.int32())
    return pa.DictionaryArray.from_arrays(indices, pa.array(["a-2", "a-1"]), safe=False)


def test_ids_by_a_dictionary_are_those_that_are_written_out() -> None:
    board, plain = taken(table_of(subject_id=coded([1, 0]))), taken(table_of())
    assert board.entries.keys() == plain.entries.keys()
    assert board.entries["a-1"].values == plain.entries["a-1"].values == {"speed_mps": 1.2346}


@pytest.mark.parametrize("places", [[0, 2], [-1, 0]])
def test_an_id_beyond_the_dictionary_is_a_value_error(places: list[int]) -> None:
    with pytest.raises(ValueError, match="beyond"):
        taken(table_of(subject_id=coded(places)))


def test_history_has_a_point_per_ten_seconds_with_what_was_known() -> None:
    board = StateBoard()
    for second, distance_m in ((5, 10.0), (9, 11.0), (15, 12.34567), (26, np.nan)):
        board.take(
            table_of(
                t_ns=pa.array([second * 10**9] * 2), distance_m=pa.array([distance_m] * 2),
                hr_bpm=pa.array([None, 150.0]),
            ), "ball", "m1", 7, 1,
        )
    assert board.history("a-2") == [
        {"t_ns": 5 * 10**9, "distance_m": 10.0, "hr_bpm": 150.0},
        {"t_ns": 15 * 10**9, "distance_m": 12.3457, "hr_bpm": 150.0},
        {"t_ns": 26 * 10**9, "hr_bpm": 150.0},
    ]
    assert board.history("a-1")[0].keys() == {"t_ns", "distance_m"}
    assert board.history("nobody") == []
    served = board.served("a-1", 7)
    assert served is not None
    assert served["trend_mpmin"] == [14]
