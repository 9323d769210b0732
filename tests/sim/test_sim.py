"""The simulation holds for many seeds, tells the same story twice, and a story that can be read.

`make sim SEEDS=10000` runs far more of them.
"""

import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from models.policies.ownership import Assignment
from tests.sim.faults import KINDS, LEVELS, Plan
from tests.sim.mutations import MUTATIONS, finds, planted
from tests.sim.pool_processes import WorkerProcess
from tests.sim.run import Result, main, play, shrunk, story
from tests.sim.world import World

ROOT = Path(__file__).resolve().parents[2]
SEEDS = range(150)
_PRINT = (
    "from tests.sim.faults import Plan; from tests.sim.run import play;"
    "print([play(Plan.draw(seed)).digest for seed in (1, 2, 3)])"
)


@pytest.fixture(scope="module")
def results() -> list[Result]:
    return [play(Plan.draw(seed)) for seed in SEEDS]


def test_no_seed_breaks_an_invariant(results: list[Result]) -> None:
    failed = [result for result in results if result.rule]
    assert not failed, story(failed[0])


def test_every_kind_of_fault_happens(results: list[Result]) -> None:
    counts: Counter[str] = Counter()
    for result in results:
        counts.update(dict(result.faults))
    assert set(counts) == set(KINDS)
    assert {result.plan.level for result in results} == set(LEVELS)


def test_without_faults_nothing_happens_but_the_match() -> None:
    result = play(replace(Plan.draw(5), kinds=()))
    assert (result.rule, result.faults) == ("", ())


class Deceived(World):
    """Once the faults are over every worker hears of a coordinator that died that it is retired."""

    def _quieten(self) -> None:
        super()._quieten()
        workers = [proc.worker for proc in self.procs if isinstance(proc, WorkerProcess)]
        assert workers
        for worker in workers:
            worker.hear(Assignment(1, drain=True, known=False, retired=True))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_worker_that_was_retired_for_nothing_is_replaced(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = replace(Plan.draw(seed), kinds=(), steps=40)
    result = play(plan, Deceived)
    assert result.rule == "", result.told
    monkeypatch.setattr(WorkerProcess, "_leave", lambda _: "stays, and keeps its name")
    assert play(plan, Deceived).rule == "liveness"


def test_a_seed_tells_the_same_story_in_every_process() -> None:
    told = {
        subprocess.run(
            [sys.executable, "-c", _PRINT], cwd=ROOT, check=True, capture_output=True, text=True,
            env={**os.environ, "PYTHONHASHSEED": salt, "PYTHONPATH": str(ROOT)},
        ).stdout
        for salt in ("1", "2")
    }
    assert len(told) == 1
    assert told.pop() == f"{[play(Plan.draw(seed)).digest for seed in (1, 2, 3)]}\n"


def test_different_seeds_tell_different_stories() -> None:
    assert len({play(Plan.draw(seed)).digest for seed in range(4)}) == 4


@pytest.fixture(scope="module")
def failed() -> Result:
    """A run with a planted bug."""
    found = finds(MUTATIONS[2], range(60))
    assert found is not None
    return found


def test_a_story_names_the_rule_the_faults_the_last_steps_and_the_way_back(failed: Result) -> None:
    told = story(failed)
    assert told.startswith(f"seed {failed.plan.seed}: {failed.rule}")
    assert all(kind in told for kind in failed.plan.kinds)
    assert "VIOLATION" in told
    assert told.splitlines()[-1].startswith(
        f"again: python -m tests.sim.run --seed {failed.plan.seed} --steps"
    )


def test_the_command_of_a_story_makes_it_fail_again(
    failed: Result, capsys: pytest.CaptureFixture[str]
) -> None:
    command = story(failed).splitlines()[-1].partition("tests.sim.run ")[2]
    with planted(MUTATIONS[2]):
        assert main(command.split()) == 1
    assert failed.detail in capsys.readouterr().out


def test_shrinking_keeps_the_failure_and_drops_what_it_does_not_need(failed: Result) -> None:
    with planted(MUTATIONS[2]):
        small = shrunk(failed)
    assert small.rule == failed.rule
    assert len(small.plan.kinds) < len(failed.plan.kinds)
    assert small.plan.steps <= failed.plan.steps
