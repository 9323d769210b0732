"""The rolls of `touchline live`: on schedule, one at a time, and never in the way."""

import threading

from jobs.live import Rolls

LONG_S = 30.0


class Clock:
    """Seconds that only the test moves."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


class Roll:
    """A roll that lasts until it is let go; tells when it begins."""

    def __init__(self) -> None:
        self.begun, self.done = threading.Semaphore(0), threading.Semaphore(0)
        self.count = 0

    def __call__(self) -> bool:
        self.count += 1
        self.begun.release()
        return self.done.acquire(timeout=LONG_S)


def test_a_long_roll_holds_up_nothing_and_the_next_one_waits_for_it() -> None:
    clock, roll = Clock(), Roll()
    with Rolls(roll, 60.0, clock) as rolls:
        rolls.step()
        clock.now_s += 59.0
        rolls.step()
        assert roll.count == 0
        clock.now_s += 1.0
        rolls.step()
        assert roll.begun.acquire(timeout=LONG_S)
        clock.now_s += 300.0
        rolls.step()
        assert roll.count == 1
        rolling = rolls._rolling
        roll.done.release()
        assert rolling is not None
        assert rolling.result(LONG_S)
        rolls.step()
        clock.now_s += 59.0
        rolls.step()
        assert roll.count == 1, "the next one is due a minute after this one's end"
        clock.now_s += 1.0
        rolls.step()
        assert roll.begun.acquire(timeout=LONG_S)
        roll.done.release()
    assert roll.count == 2


def test_the_end_waits_for_the_roll_that_is_under_way() -> None:
    clock, roll = Clock(), Roll()
    ended: list[bool] = []

    def live() -> None:
        with Rolls(roll, 0.0, clock) as rolls:
            rolls.step()
        ended.append(True)

    thread = threading.Thread(target=live)
    thread.start()
    assert roll.begun.acquire(timeout=LONG_S)
    assert not ended
    roll.done.release()
    thread.join(LONG_S)
    assert ended
