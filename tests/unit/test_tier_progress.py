"""What a roll remembers tells repeated rows from new ones, wherever the log is cut."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import SchemaError
from models.tiers import progress as module
from models.tiers.progress import Progress

Row = tuple[str, int, str]


def states(rows: list[Row]) -> pa.Table:
    names = ("subject_id", "t_ns", "status")
    types = (pa.string(), pa.int64(), pa.string())
    columns = [pa.array([row[k] for row in rows], types[k]) for k in range(3)]
    return pa.table(columns, names=list(names))


def rows_of(table: pa.Table) -> list[Row]:
    return [tuple(row.values()) for row in table.to_pylist()]


@st.composite
def told(draw: st.DrawFn) -> tuple[list[Row], list[list[Row]]]:
    """A true sequence of states, and batches in which workers that died repeat stretches of it."""
    subjects = draw(st.lists(st.sampled_from("abc"), min_size=1, unique=True))
    length = draw(st.integers(1, 8))
    truth = [(who, t, "provisional") for t in range(length) for who in subjects]
    truth += [(who, length - 1, "final") for who in subjects]
    batches, at = [], 0
    while at < len(truth):
        back = draw(st.integers(0, at))
        at = draw(st.integers(at + 1, len(truth)))
        batches.append(truth[back:at])
    return truth, batches


@given(told())
def test_each_state_is_taken_once_in_order_however_it_is_repeated(
    case: tuple[list[Row], list[list[Row]]],
) -> None:
    truth, batches = case
    progress, taken = Progress(), []
    for batch in batches:
        taken += rows_of(progress.new_states(states(batch)))
        progress = Progress.decode(progress.encode())
    assert taken == truth


@given(st.lists(st.text(max_size=6), max_size=40), st.integers(0, 40))
def test_an_identity_is_new_once_also_after_a_restart(names: list[str], cut: int) -> None:
    progress, fresh = Progress(), []
    for place, name in enumerate(names):
        if place == cut:
            progress = Progress.decode(progress.encode())
        if progress.is_new(name):
            fresh.append(name)
    assert fresh == list(dict.fromkeys(names))


def test_the_memory_of_identities_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_KEYS", 3)
    progress = Progress()
    assert all(progress.is_new(name) for name in "abcd")
    assert not progress.is_new("d")
    assert progress.is_new("a")


def test_a_match_is_complete_when_it_has_ended_and_every_flow_is_final() -> None:
    progress = Progress(expected={"a", "b"})
    progress.new_states(states([("a", 1, "final"), ("b", 1, "provisional")]))
    progress.ended = True
    assert not progress.complete
    progress.new_states(states([("b", 1, "final")]))
    assert progress.complete
    progress.ended = False
    assert not progress.complete


@given(st.binary(max_size=64))
def test_bytes_that_are_no_progress_are_told(data: bytes) -> None:
    for payload in (data, b"TLRP" + data):
        with pytest.raises(SchemaError):
            Progress.decode(payload)


def test_the_kernel_state_comes_back_whole() -> None:
    progress = Progress({"a": (5, 1)}, {"a"}, True, 9, 8, b"\0kernel\xff")
    progress.is_new("x")
    back = Progress.decode(progress.encode())
    assert back == progress
