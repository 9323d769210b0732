"""What comes against what workers could do: known after a second, bursts halved, jumps at once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.policies.load_meter import LOOKS, LoadMeter

STEP_NS = 200_000_000


class Played:
    """A pool that is looked at five times a second."""

    def __init__(self) -> None:
        self.meter = LoadMeter()
        self.now_ns = self.work_n = self.busy_ns = 0
        self.arrived: dict[str, int] = {}

    def look(self, came: dict[str, int], done: int, busy: float) -> None:
        self.now_ns += STEP_NS
        self.arrived = {v: self.arrived.get(v, 0) + n for v, n in came.items()}
        self.work_n += done
        self.busy_ns += int(busy * STEP_NS)
        self.meter.note(self.now_ns, self.arrived, self.work_n, self.busy_ns)


def steady(looks: int = LOOKS + 1) -> Played:
    played = Played()
    for _ in range(looks):
        played.look({"a": 10}, 10, 0.25)
    return played


def test_nothing_is_said_before_the_cost_of_a_record_is_known() -> None:
    assert steady(LOOKS).meter.load(["a"], 1) == 0.0
    assert steady().meter.load(["a"], 1) == pytest.approx(0.25)
    idle = Played()
    for _ in range(9):
        idle.look({"a": 1}, 1, 0.01)
    assert idle.meter.load(["a"], 1) == 0.0, "too little to go by"


def test_a_jump_shows_in_two_looks_and_half_of_it_in_one() -> None:
    played = steady()
    played.look({"a": 80}, 40, 1.0)
    costs = (4 * 0.25 + 1.0) / (4 * 10 + 40)
    assert played.meter.load(["a"], 1) == pytest.approx(45 * costs)
    played.look({"a": 80}, 40, 1.0)
    assert played.meter.load(["a"], 1) == pytest.approx(80 * (3 * 0.25 + 2.0) / 110)
    assert played.meter.load(["a"], 4) == pytest.approx(20 * (3 * 0.25 + 2.0) / 110)


def test_only_venues_that_are_asked_for_count_and_new_ones_from_their_second_look_on() -> None:
    played = steady()
    played.look({"a": 10, "b": 500}, 10, 0.25)
    assert played.meter.load(["b"], 1) == 0.0
    for _ in range(3):
        played.look({"a": 10, "b": 20}, 10, 0.25)
    assert played.meter.load(["b"], 1) == pytest.approx(0.5)
    assert played.meter.load(["a", "b"], 1) == pytest.approx(0.75)


def test_a_worker_that_is_gone_takes_its_counters_along_and_nothing_is_said() -> None:
    played = steady()
    played.work_n = played.busy_ns = 0
    played.look({"a": 10}, 10, 0.25)
    assert played.meter.load(["a"], 1) == 0.0


@given(st.lists(st.tuples(st.integers(0, 500), st.integers(-50, 500), st.floats(0, 1))))
def test_it_is_a_number_from_nought_on_whatever_is_noted(
    looks: list[tuple[int, int, float]],
) -> None:
    played = Played()
    for came, done, busy in looks:
        played.look({"a": came}, done, busy)
        assert 0.0 <= played.meter.load(["a", "x"], 1) < float("inf")
        assert played.meter.load(["a"], 0) >= 0.0
