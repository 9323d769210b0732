"""Keeps freed memory in a process that needs it again at once, gives it back where it does not, and
keeps the garbage collector from what will stay.

glibc gives memory at the end of the heap back to the kernel as soon as some hundred kilobytes of it
are free. A stadium frees and takes a megabyte or two of arrays in every round: each of their pages
was given back, taken and zeroed again, 5 % of its CPU at 1000 Hz.
"""

import ctypes
import gc
from typing import Final

import pyarrow as pa

from cluster.lean_arrow import in_actor

KEPT_BYTES: Final = 32 << 20
TRIMMED_BYTES: Final = 1 << 20
"""For work in the background: larger arrays come and go by themselves, and no more than this stays
free at the end of a heap. Untold, glibc raises both by itself, to twice the largest array freed."""
YOUNG_OBJECTS: Final = 10_000
_TRIM_THRESHOLD: Final = -1
_MMAP_THRESHOLD: Final = -3
"""As malloc.h numbers them; see mallopt(3)."""


def keep_heap() -> None:
    """In a process that Ray started for an actor: up to `KEPT_BYTES` of freed memory stay."""
    if in_actor():
        keep_freed(KEPT_BYTES)


def settle_heap() -> None:
    """In a process that Ray started for an actor: all objects so far will stay.

    A full collection looks through every object there is: those of the libraries alone, 110,000 to
    170,000, take 75 to 95 ms, and all work of the process stands still for as long. From now on
    (`gc.freeze`) it looks through what is made after this only."""
    if in_actor():
        gc.freeze()
        look_seldom()


def look_seldom() -> None:
    """Reference counts free nearly everything here, so young objects are looked through once
    `YOUNG_OBJECTS` more have been made than freed, not 700."""
    gc.set_threshold(YOUNG_OBJECTS, *gc.get_threshold()[1:])


def keep_freed(most_bytes: int) -> bool:
    """In this process; False where the C library cannot be told."""
    tell = getattr(ctypes.CDLL(None), "mallopt", None)
    if tell is None:
        return False
    # Both: the library sets one by the other until it is told either.
    return bool(tell(_MMAP_THRESHOLD, most_bytes)) and bool(tell(_TRIM_THRESHOLD, most_bytes))


def give_back() -> bool:
    """Freed memory of all threads goes back to the kernel (malloc_trim(3)), and what Arrow's pool
    keeps; False if there is none of the former, or where the C library cannot be told. glibc has a
    heap for each of up to eight threads a core, and leaves what is free at the end of each but the
    first: a process whose work is done by one thread after the other may hold it as many times
    over, `TRIMMED_BYTES` each at most where `keep_freed` was told so.
    """
    pa.default_memory_pool().release_unused()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    return trim is not None and bool(trim(0))
