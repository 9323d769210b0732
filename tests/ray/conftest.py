"""One local Ray cluster for all tests of this folder."""

import os
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session")
def ray_local() -> Iterator[None]:
    import ray

    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    ray.init(
        "local",
        num_cpus=4,
        include_dashboard=False,
        object_store_memory=200_000_000,
        namespace="touchline",
        configure_logging=False,
        log_to_driver=False,
    )
    yield
    ray.shutdown()
