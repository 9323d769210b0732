"""Work in the background: done by the scheduler's idle class, and no one else is held to it."""

import os
import threading

import pyarrow as pa
import pytest

from cluster.background import in_background
from cluster.settings import Settings
from jobs import roll

linux = pytest.mark.skipif(not hasattr(os, "SCHED_IDLE"), reason="a class of Linux")


def _class_of_this_thread() -> int:
    return os.sched_getscheduler(0)


@linux
def test_the_work_gives_way_and_the_caller_does_not() -> None:
    before = _class_of_this_thread()
    assert in_background(_class_of_this_thread) == os.SCHED_IDLE
    assert _class_of_this_thread() == before != os.SCHED_IDLE


@linux
def test_what_the_work_starts_gives_way_as_well() -> None:
    def started() -> int:
        found: list[int] = []
        thread = threading.Thread(target=lambda: found.append(_class_of_this_thread()))
        thread.start()
        thread.join()
        return found[0]

    assert in_background(started) == os.SCHED_IDLE


def test_what_it_raises_reaches_the_caller() -> None:
    with pytest.raises(ZeroDivisionError):
        in_background(lambda: 1 // 0)


@linux
def test_a_roll_s_items_are_worked_on_in_the_background() -> None:
    classes: list[int] = []

    def work(settings: Settings, venue_id: str, match_id: str) -> None:
        classes.append(_class_of_this_thread())

    items = pa.table({"venue": ["v0", "v1"], "match": ["m", "m"]})
    done = roll._batch(items, Settings().to_dict(), work)
    assert classes == [os.SCHED_IDLE] * 2
    assert done.column("error").to_pylist() == ["", ""]


def test_all_work_of_a_process_is_done_by_one_thread() -> None:
    found = {in_background(threading.get_ident) for _ in range(5)}
    assert len(found) == 1
    assert found != {threading.get_ident()}
