"""In a process of Ray's the objects that an actor begins with are not looked through again."""

import gc
import threading

import ray

from cluster.heap import YOUNG_OBJECTS, settle_heap


class Settled:
    """Settles in a thread of its own, as actors do."""

    def __init__(self) -> None:
        thread = threading.Thread(target=settle_heap)
        thread.start()
        thread.join()

    def tell(self) -> tuple[int, int]:
        return gc.get_freeze_count(), gc.get_threshold()[0]


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
