"""Cold rows are minutes of growth under pseudonyms."""

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from models.tiers.cold import COLD_SCHEMA, CUMULATIVE, LEVELS, MINUTE_NS, minute_rows, pseudonym

KEY = b"k" * 32
LABELS = {"season": "2026", "match": "m1"}


def states(rows: list[tuple[str, float, float]]) -> pa.Table:
    """Rows of (subject, minute, distance); every other column is a multiple of the distance."""
    distance = np.array([r[2] for r in rows], float)
    columns: dict[str, object] = dict.fromkeys((*CUMULATIVE, *LEVELS), distance)
    columns["subject_id"] = [r[0] for r in rows]
    columns["t_ns"] = np.array([int(r[1] * MINUTE_NS) for r in rows], np.int64)
    return pa.table(columns)


def test_a_minute_holds_what_was_covered_in_it() -> None:
    table = minute_rows(states([("a", 0.0, 0), ("a", 0.9, 100), ("a", 1.5, 250)]), KEY, LABELS)
    assert table.column("distance_m").to_pylist() == [100.0, 150.0]
    assert table.column("minute").to_pylist() == [0, 1]


def test_no_name_of_an_athlete_is_left() -> None:
    table = minute_rows(states([("ath_secret", 0.5, 10)]), KEY, LABELS)
    assert "ath_secret" not in str(table.to_pylist())
    assert table.column("athlete").to_pylist() == [pseudonym(KEY, "ath_secret")]
    assert pseudonym(KEY, "ath_secret") != pseudonym(b"other" * 8, "ath_secret")


def test_there_is_no_health_column() -> None:
    assert not [n for n in COLD_SCHEMA.names if n.startswith(("hr", "trimp", "fatigue", "dbal"))]


def test_no_states_give_no_rows() -> None:
    assert minute_rows(states([]), KEY, LABELS).num_rows == 0


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.integers(0, 40)), min_size=1, max_size=60, unique=True
    ),
    st.randoms(use_true_random=False),
)
def test_minutes_add_up_to_the_last_total_whatever_the_order(rows, random) -> None:
    made = [(who, quarter / 4, 10.0 * quarter) for who, quarter in rows]
    expected = {who: max(d for w, _, d in made if w == who) for who, _, _ in made}
    random.shuffle(made)
    table = minute_rows(states(made), KEY, LABELS)
    sums: dict[str, float] = {}
    for row in table.to_pylist():
        sums[row["athlete"]] = sums.get(row["athlete"], 0.0) + row["distance_m"]
    assert sums == {pseudonym(KEY, who): total for who, total in expected.items()}
