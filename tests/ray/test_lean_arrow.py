"""In a process of Ray's the actor's first array does not bring pandas with it."""

import sys

import pyarrow as pa
import pytest
import ray

from cluster.lean_arrow import spare_pandas


class Maker:
    """Makes an array, after it has spared pandas or has not."""

    def __init__(self, spares: bool) -> None:
        if spares:
            spare_pandas()
        pa.array([1.5, 2.5])

    def has_pandas(self) -> bool:
        return "pandas" in sys.modules


@pytest.mark.parametrize("spares", [True, False])
def test_an_actor_that_spares_pandas_does_not_import_it(ray_local: None, spares: bool) -> None:
    actor = ray.remote(Maker).options(num_cpus=0).remote(spares)
    assert ray.get(actor.has_pandas.remote(), timeout=60) is not spares
    ray.kill(actor)
