"""SteadyClock: never goes back, measures spans, follows a wall clock that was set."""

from hypothesis import given
from hypothesis import strategies as st

from cluster.clock import FOLLOW, SteadyClock

S = 1_000_000_000
T0_NS = 1_700_000_000 * S


class Machine:
    """Both clocks of a machine; the test sets the wall clock."""

    def __init__(self) -> None:
        self.passed_ns = 0
        self.set_by_ns = 0

    def wall_ns(self) -> int:
        return T0_NS + self.passed_ns + self.set_by_ns

    def monotonic_ns(self) -> int:
        return 5 + self.passed_ns


def test_it_is_the_wall_clock_while_nobody_sets_that() -> None:
    machine = Machine()
    clock = SteadyClock(machine.wall_ns, machine.monotonic_ns)
    for _ in range(100):
        machine.passed_ns += S
        assert clock() == machine.wall_ns()


@given(st.lists(st.tuples(st.integers(0, 10 * S), st.integers(-300 * S, 300 * S)), max_size=30))
def test_spans_are_off_by_five_per_cent_at_most_however_the_wall_clock_jumps(
    turns: list[tuple[int, int]],
) -> None:
    machine = Machine()
    clock = SteadyClock(machine.wall_ns, machine.monotonic_ns)
    before = clock()
    for passed_ns, set_by_ns in turns:
        machine.passed_ns += passed_ns
        machine.set_by_ns = set_by_ns
        now = clock()
        assert abs(now - before - passed_ns) <= passed_ns // FOLLOW
        before = now


def test_it_comes_to_a_wall_clock_that_was_set_in_the_end() -> None:
    machine = Machine()
    clock = SteadyClock(machine.wall_ns, machine.monotonic_ns)
    machine.set_by_ns = -10 * S
    for _ in range(10 * FOLLOW + 1):
        machine.passed_ns += S
        clock()
    assert clock() == machine.wall_ns()
