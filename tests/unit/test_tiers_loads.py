"""Loads over days: the published averages, days of rest, and the job over a cold tier."""

import math
from datetime import date

import pyarrow as pa
import pytest

from jobs.loads import loads_of
from models.errors import ConfigError
from models.tiers.loads import LOADS_SCHEMA, MOST_DAYS, load_history
from tests.unit import tier_world as world


def minutes(rows):
    """Rows of (athlete, day, load)."""
    athlete, day, load = zip(*rows, strict=True) if rows else ((), (), ())
    days = pa.array(day, pa.int32()).cast(pa.date32())
    return pa.table({"athlete": pa.array(athlete, pa.string()), "day": days, "load": load})


def test_three_weeks_and_a_harder_one_give_the_published_averages():
    loads = [400.0] * 21 + [600.0] * 7
    halves = [("a", 20_000 + d, x / 2) for d, x in enumerate(loads) for _ in range(2)]
    last = load_history(minutes(halves), "load").to_pylist()[-1]
    assert last["load"] == 600.0
    assert last["acute"] == pytest.approx(573.303, abs=1e-3)
    assert last["chronic"] == pytest.approx(478.720, abs=1e-3)
    assert last["ratio"] == pytest.approx(1.19758, abs=1e-5)


def test_days_without_a_match_are_days_of_rest():
    table = load_history(minutes([("a", 10, 100.0), ("a", 13, 50.0), ("b", 11, 7.0)]), "load")
    assert table.column("athlete").to_pylist() == ["a"] * 4 + ["b"]
    assert table.column("load").to_pylist() == [100.0, 0.0, 0.0, 50.0, 7.0]
    assert table.column("day").to_pylist()[0] == date(1970, 1, 11)
    assert table.column("acute").to_pylist()[1] == 75.0


def test_no_load_has_no_ratio_and_no_rows_give_none():
    (row,) = load_history(minutes([("a", 10, 0.0)]), "load").to_pylist()
    assert math.isnan(row["ratio"])
    assert load_history(minutes([]), "load") == LOADS_SCHEMA.empty_table()


def test_a_clock_that_was_wrong_by_decades_is_bounded():
    table = load_history(minutes([("a", 0, 5.0), ("a", 20_000, 5.0)]), "load")
    assert table.num_rows == MOST_DAYS


def test_a_column_that_is_no_sum_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="hr_bpm"):
        loads_of(world.settings(tmp_path), "hr_bpm")


def test_an_empty_tier_has_no_loads(tmp_path):
    assert loads_of(world.settings(tmp_path), "distance_m").num_rows == 0
