"""Work that gets a core only while nothing else wants one."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from typing import TypeVar

Result = TypeVar("Result")


def in_background(work: Callable[[], Result]) -> Result:
    """What `work` gives or raises, done by a thread of the scheduler's idle class (sched(7)).

    A thread of its own, since without a privilege no thread leaves that class again, and the caller
    has to go on as before. Threads that `work` starts are of its class. It is the same one for all
    work of the process, which must not call this itself: to each new thread glibc hands the next
    of up to eight heaps a core, and `malloc_trim` leaves what is free at the end of those, tens of
    MB in each.
    """
    return _thread().submit(work).result()


@cache
def _thread() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, "background", initializer=_give_way)


def _give_way() -> None:
    if hasattr(os, "SCHED_IDLE"):  # Linux only; elsewhere the work is done like any other
        with suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
