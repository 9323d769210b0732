"""In a process of Ray's the objects that an actor begins with are not looked through again, and
what it has freed goes back now and then."""

import gc
import threading
import time
from pathlib import Path

import numpy as np
import ray

from cluster import heap
from cluster.heap import YOUNG_OBJECTS, settle_heap


class Settled:
    """Settles in a thread of its own, as actors do."""

    def __init__(self, every_s: float = 60.0) -> None:
        heap.GIVEN_BACK_S = every_s
        thread = threading.Thread(target=settle_heap)
        thread.start()
        thread.join()

    def tell(self) -> tuple[int, int]:
        return gc.get_freeze_count(), gc.get_threshold()[0]


    def again(self) -> int:
        """How many threads give back memory after it has settled a second time."""
        settle_heap()
        return sum(thread.name == "heap" for thread in threading.enumerate())

    def scattered_mb(self) -> int:
        """Fill 60 MB in small pieces, and free all but every hundredth, so that the C library can
        give nothing back by itself; how much was held."""
        arrays = [np.ones(6_000, np.uint8) for _ in range(10_000)]
        held_mb, self.kept = anonymous_mb(), arrays[::100]
        return held_mb

    def holds_mb(self) -> int:
        return anonymous_mb()


def anonymous_mb() -> int:
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss_Anon")) // 1024


def test_an_actor_gives_back_what_it_has_freed_and_one_thread_sees_to_it(ray_local: None) -> None:
    actor = ray.remote(Settled).options(num_cpus=0).remote(0.1)
    assert ray.get(actor.again.remote(), timeout=60) == 1
    held_mb = ray.get(actor.scattered_mb.remote(), timeout=60)
    end_s = time.monotonic() + 30.0
    while ray.get(actor.holds_mb.remote(), timeout=60) > held_mb - 40:
        assert time.monotonic() < end_s, f"{held_mb} MB are kept"
        time.sleep(0.05)
    ray.kill(actor)


def test_an_actor_settles(ray_local: None) -> None:
    actor = ray.remote(Settled).options(num_cpus=0).remote()
    frozen, young = ray.get(actor.tell.remote(), timeout=60)
    ray.kill(actor)
    assert frozen > 10_000
    assert young == YOUNG_OBJECTS


def test_a_process_that_is_no_actor_is_left_as_it_is(ray_local: None) -> None:
    before = gc.get_freeze_count(), gc.get_threshold()
    settle_heap()
    assert (gc.get_freeze_count(), gc.get_threshold()) == before
