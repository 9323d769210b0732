"""What the load bench makes of its numbers."""

import pytest

from models.latency import LatencyHistogram
from tests.bench.load import highest
from tests.bench.load_model import fit, model_text
from tests.bench.load_numbers import percentiles, since, verdict
from tests.bench.load_table import table_text

MS = 1_000_000


def histogram(*ms: float) -> LatencyHistogram:
    made = LatencyHistogram()
    made.record([int(one * MS) for one in ms])
    return made


def step(venues: int = 2, **changes: object) -> dict:
    stage = {"p50": 100.0, "p95": 150.0, "p99": 200.0, "count": 500}
    stages = dict.fromkeys(("edge", "log", "worker", "delivery", "total"), stage)
    return {
        "venues": venues, "samples_per_s": 3600 * venues, "latency_ms": stages,
        "halves_ms": [stages, stages], "behind_s": 0.0, "states": ["running"], "sustained": True,
        "cpu_cores": {"stadium": 0.1 * venues, "worker": 0.05 + 0.04 * venues},
        "cpu_s_per_million": {"stadium": 28.0, "worker": 18.0}, "processes": {"stadium": venues},
        "memory_mb": {"stadium": 200 * venues, "worker": 150}, "log_mb_per_s": 0.9 * venues,
        **changes,
    }


@pytest.mark.parametrize("most", [1, 2, 7, 16, 64])
@pytest.mark.parametrize("true", [0, 1, 2, 3, 5, 11, 16, 63, 64, 100])
def test_the_search_finds_the_highest_count_that_is_sustained(true: int, most: int) -> None:
    asked: list[int] = []

    def sustained(count: int) -> bool:
        asked.append(count)
        return count <= true

    assert highest(sustained, most) == min(true, most)
    assert len(asked) == len(set(asked)) <= 13


def test_a_window_holds_what_came_between_two_looks() -> None:
    before, now = histogram(10, 10, 5000), histogram(10, 10, 5000, 40, 40, 40)
    window = since({"edge": now, "log": histogram(3)}, {"edge": before})
    assert window["edge"].count == 3
    assert percentiles(window)["edge"]["p99"] == pytest.approx(40, rel=0.03)
    assert window["log"].count == 1


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({}, ""), ({"behind_s": 3.0}, "behind"), ({"states": ["failed", "running"]}, "failed"),
        ({"halves_ms": [step()["latency_ms"], {
            **step()["latency_ms"], "edge": {"p50": 900.0, "p99": 950.0}}]}, "grows"),
        ({"latency_ms": {**step()["latency_ms"], "total": {
            "p50": 1.0, "p95": 2.0, "p99": 1500.0, "count": 40}}}, "p99 1500"),
        ({"latency_ms": {"edge": {"p99": 10.0, "p50": 5.0}}}, "sum of the stages"),
    ],
)
def test_every_reason_against_a_load_is_told(changes: dict, word: str) -> None:
    found = verdict(step(**changes))
    assert found["sustained"] == (not word)
    assert word in " ".join(found["why_not"])


def test_the_model_tells_rest_from_what_a_venue_adds() -> None:
    line = fit([(1, 0.09), (2, 0.13), (4, 0.21)])
    assert (line.base, line.slope) == (pytest.approx(0.05), pytest.approx(0.04))
    result = {
        "machine": {"cores": 2, "memory_mb": 24_000, "load_before": 0.0},
        "families": {"hz100": {"what": "venues", "sustained": 4, "steps": [step(1), step(4)]}},
    }
    text = model_text(result)
    assert "| cores a venue | 0.140 |" in text
    assert "| cores at rest | 0.050 |" in text
    assert "stadium: 0.100 cores at 3,600 samples/s" in text
    assert "| 1,000,000 | 12,987 | 46,753,247 | 2,597 |" in text
    assert "4 venues sustained" in table_text(result)
