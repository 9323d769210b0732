"""When flows are to be stored: the most overdue first, without looking at all of them."""

import random

from actors.worker_due import DueFlows


def now_or_never(key: tuple[str, int], late_ns: int) -> bool:
    return False


def test_the_most_overdue_flow_comes_first_and_stays_until_it_is_set_anew() -> None:
    due = DueFlows()
    for row, due_ns in enumerate((300, 100, 200)):
        due.set(("a", row), due_ns)
    assert due.take(99, now_or_never) is None
    assert due.take(250, now_or_never) == ("a", 1)
    assert due.take(250, now_or_never) == ("a", 1)
    due.set(("a", 1), 1000)
    assert due.take(250, now_or_never) == ("a", 2)
    due.drop(("a", 2))
    assert due.take(250, now_or_never) is None
    assert len(due) == 2


def test_who_may_wait_is_passed_over_and_told_how_late_it_is() -> None:
    due = DueFlows()
    due.set(("a", 0), 100)
    due.set(("a", 1), 150)
    asked = []

    def may_wait(key: tuple[str, int], late_ns: int) -> bool:
        asked.append((key, late_ns))
        return late_ns > 60

    assert due.take(200, may_wait) == ("a", 1)
    assert asked == [(("a", 0), 100), (("a", 1), 50)]
    assert due.take(110, may_wait) == ("a", 0)


def test_it_is_what_a_look_at_all_flows_finds_and_keeps_no_more_than_that_takes() -> None:
    dice = random.Random(5)
    due, plain = DueFlows(), {}
    for now_ns in range(20_000):
        key = ("v", dice.randrange(40))
        if dice.random() < 0.1:
            due.drop(key)
            plain.pop(key, None)
        else:
            plain[key] = now_ns + dice.randrange(500)
            due.set(key, plain[key])
        late = sorted((at_ns, one) for one, at_ns in plain.items() if at_ns <= now_ns)
        assert due.take(now_ns, now_or_never) == (late[0][1] if late else None)
        assert len(due._heap) <= 2 * 40 + 66
