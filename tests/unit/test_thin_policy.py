"""When calm flows are thinned further, and when the way back is tried."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.policies.thinning import ThinConfig, ThinPolicy, ThinReason

STEP_NS = 500_000_000


class Played:
    """A policy that is asked every half second."""

    def __init__(self, policy: ThinPolicy) -> None:
        self.policy, self.turns = policy, 0

    def play(self, waits_s: list[float]) -> list[tuple[int, str]]:
        """(level, reason) of each decision."""
        found = []
        for wait_s in waits_s:
            self.turns += 1
            decided = self.policy.decide(self.turns * STEP_NS, wait_s, 0.0)
            found.append((decided.level, str(decided.reason)))
        return found

    def until_a_change(self) -> int:
        """Turns without a wait until the level changes."""
        level, begin = self.policy.level, self.turns
        while self.policy.level == level:
            self.play([0.0])
        return self.turns - begin


def test_calm_flows_wait_before_they_are_thinned() -> None:
    played = Played(ThinPolicy())
    assert played.play([0.1, 0.3, 0.4, 0.5]) == [(0, "steady")] * 4
    assert played.play([0.6]) == [(1, "calm_waits")]


def test_a_wait_that_grows_goes_up_a_level_a_step_and_no_further_than_the_most() -> None:
    levels = [level for level, _ in Played(ThinPolicy()).play([0.6 + 0.05 * n for n in range(7)])]
    assert levels == [1, 2, 3, 3, 3, 3, 3]


def test_a_wait_that_is_twice_too_long_goes_up_two_levels_at_once() -> None:
    assert [level for level, _ in Played(ThinPolicy()).play([1.2, 1.3, 1.4])] == [2, 3, 3]


def looks(waits_s: list[float], pace_s: float = 0.1) -> list[tuple[int, str]]:
    policy, found = ThinPolicy(), []
    for n, wait_s in enumerate(waits_s):
        decided = policy.decide(int(n * pace_s * 1e9), wait_s, 0.0)
        found.append((decided.level, str(decided.reason)))
    return found


def test_a_wait_that_is_too_long_and_grows_steadily_goes_up_all_levels_at_once() -> None:
    found = looks([*[0.1] * 6, *(0.1 + 0.05 * n for n in range(1, 13))])
    assert [level for level, _ in found] == [0] * 14 + [3] * 4
    assert found[14] == (3, "wait_grows")


@pytest.mark.parametrize("waits_s", [
    [*[0.1] * 7, *[0.6] * 9], [0.3 + 0.025 * n for n in range(12)],
    [0.1, 0.6, 0.3, 0.55, 0.35, 0.6, 0.4], [0.0, 0.3, 0.5, *[0.53] * 3],
])
def test_a_stall_a_slow_rise_and_a_start_are_no_steady_growth(waits_s: list[float]) -> None:
    assert 1 <= max(level for level, _ in looks(waits_s)) <= 2
    assert "wait_grows" not in {reason for _, reason in looks(waits_s)}


def test_no_trial_while_a_worker_is_busy() -> None:
    policy = ThinPolicy(level=2)
    levels = [policy.decide(n * STEP_NS, 0.0, 0.0, busy=0.7).level for n in range(100)]
    assert levels == [2] * 100


def test_a_wait_that_gets_shorter_is_left_to_do_so() -> None:
    played = Played(ThinPolicy())
    played.play([0.7, 0.8])
    assert played.policy.level == 2
    assert {level for level, _ in played.play([0.75, 0.7, 0.68, 0.6, 0.55])} == {2}


def test_hot_flows_that_wait_are_a_reason_of_their_own() -> None:
    decided = ThinPolicy().decide(STEP_NS, 0.0, 0.5)
    assert (decided.level, decided.reason) == (1, ThinReason.HOT_WAITS)


def test_a_forecast_thins_by_one_level_ahead_of_any_wait() -> None:
    policy = ThinPolicy()
    found = [policy.decide(n * STEP_NS, 0.0, 0.0, ahead=True) for n in range(1, 6)]
    assert [(one.level, one.reason) for one in found[:2]] == [
        (1, ThinReason.AHEAD), (1, ThinReason.STEADY)
    ]
    assert policy.level == 1


def test_a_load_that_jumped_is_met_as_soon_as_anything_waits() -> None:
    policy = ThinPolicy()
    assert policy.decide(STEP_NS, 0.2, 0.2, load=3.0).level == 0, "nothing waits yet"
    assert policy.decide(2 * STEP_NS, 0.3, 0.3, load=1.9).level == 0, "not a jump"
    decided = policy.decide(3 * STEP_NS, 0.3, 0.3, load=2.0)
    assert (decided.level, decided.reason) == (3, ThinReason.LOAD_JUMPED)
    after = policy.decide(4 * STEP_NS, 0.4, 0.4, load=9.0)
    assert (after.level, after.reason) == (3, ThinReason.STEADY)


def test_the_way_back_is_tried_level_by_level_and_ends_at_none() -> None:
    found = Played(ThinPolicy(level=2)).play([0.0] * 25)
    assert [level for level, _ in found] == [2] * 10 + [1] * 10 + [0] * 5
    assert [reason for _, reason in found if reason != "steady"] == ["wait_is_over"] * 2


def test_a_trial_that_fails_makes_the_next_one_wait_twice_as_long() -> None:
    played = Played(ThinPolicy(level=2))
    assert played.until_a_change() == 11
    played.play([0.6, 0.59, 0.58])
    assert played.policy.level == 2
    assert played.until_a_change() == 21
    played.play([0.6, 0.59, 0.58])
    assert played.until_a_change() == 41


def test_zero_levels_switch_it_off() -> None:
    played = Played(ThinPolicy(ThinConfig(most=0), level=3))
    assert played.play([9.0] * 9) == [(0, "steady")] * 9


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.floats(0, 20), st.floats(0, 3), st.floats(0, 1), st.booleans()), max_size=200
    )
)
def test_levels_stay_in_bounds_fall_by_one_and_never_move_twice_within_a_step(
    signals: list[tuple[float, float, float, bool]],
) -> None:
    policy, config = ThinPolicy(), ThinConfig()
    before, moved_at = 0, -100
    for n, (calm_s, hot_s, busy, ahead) in enumerate(signals):
        decided = policy.decide(n * STEP_NS, calm_s, hot_s, busy, ahead)
        assert 0 <= decided.level <= config.most
        if decided.level != before:
            assert -1 <= decided.level - before <= 3
            assert (n - moved_at) * STEP_NS >= config.step_s * 1e9
            assert decided.reason != ThinReason.STEADY
            before, moved_at = decided.level, n
