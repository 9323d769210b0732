"""The simulation can fail: every planted bug is found within a bounded number of seeds."""

import pytest

from tests.sim.mutations import MUTATIONS, Mutation, finds

SEEDS = range(120)


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda one: one.what)
def test_a_planted_bug_is_found(mutation: Mutation) -> None:
    assert finds(mutation, SEEDS) is not None
