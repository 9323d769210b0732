"""Goal truth cases on the whole path, at every rate of a ball; spin of a shot."""

import math

import numpy as np
import pytest

from models.flows.config import FlowConfig
from models.metrics.flight import spun_crossing
from tests.unit.flow_world import ball, knocks, lps, of_type, play, roster_of

ROSTER = roster_of(4)
SURE = FlowConfig()._replace(goal_sigma_m=0.005)
"""Positions good to half a centimetre, as goal-line systems give: 2 cm decide."""


def shot_to(hz, x_end, y=1.0, z=0.5, config=SURE):
    """A ball that comes to lie at `x_end` m after 8 m in half a second, on one height."""
    t = np.arange(0, 3.0, 1 / hz)
    x = np.interp(t, [0, 1.0, 1.5, 3.0], [44.0, 44.0, x_end, x_end])
    return play(
        ROSTER, lps(0, np.arange(0, 3, 0.05), 43.5, y),
        ball(ROSTER, t, x, np.full(len(t), y), np.full(len(t), z)), config=config,
    )


@pytest.mark.parametrize("hz", [25, 50, 500])
@pytest.mark.parametrize(
    ("case", "goals"),
    [
        ({"x_end": 52.60}, 0), ({"x_end": 52.62}, 1), ({"x_end": 53.2, "y": 3.60}, 0),
        ({"x_end": 53.2, "y": -3.60}, 0), ({"x_end": 53.2, "y": 3.50}, 1),
        ({"x_end": 53.2, "z": 2.40}, 0), ({"x_end": 53.2, "z": 2.28}, 1),
    ],
    ids=["not wholly over", "over", "post", "other post", "inside", "bar", "under the bar"],
)
def test_whole_ball_over_line_between_posts_under_bar(hz, case, goals):
    assert len(of_type(shot_to(hz, **case), "goal_candidate")) == goals


@pytest.mark.parametrize("hz", [25, 50, 500])
def test_the_crossing_of_a_goal_is_interpolated_at_every_rate(hz):
    (goal,) = of_type(shot_to(hz, 53.6), "goal_candidate")
    assert goal.metrics["cross_y_m"] == pytest.approx(1.0, abs=1e-3)
    (out,) = of_type(shot_to(hz, 53.6), "ball_out")
    assert out.x_m == pytest.approx(52.61, abs=1e-3)


@pytest.mark.parametrize("hz", [25, 50, 500])
def test_with_positions_good_to_15_cm_two_centimetres_decide_nothing(hz):
    (barely,) = of_type(shot_to(hz, 52.63, config=None), "goal_candidate")
    assert 0.5 <= barely.confidence < 0.6


def kicked(spin):
    """(effects, path) of a free kick from 25 m that passes 1.1 m beside the post if straight."""
    t, fast = np.arange(0, 3.0, 0.02), np.arange(0, 3.0, 0.002)
    path = np.clip(t - 1.0, 0, None)
    x, y = 27.5 + 24.0 * path, 4.2 + 0.55 * path
    z = 0.11 + 2.0 * path - 4.0 * path**2 * (path < 0.5)
    peak = np.where(np.abs(fast - 1.0) < 0.003, 3000.0, 10.0)
    more = {} if spin is None else {"spin_radps": np.full(len(t), spin)}
    keep = t < 1.9
    return play(
        ROSTER, lps(0, np.arange(0, 3, 0.05), 27.2, 4.2),
        ball(ROSTER, t[keep], x[keep], y[keep], np.maximum(z[keep], 0.11),
             **{k: v[keep] for k, v in more.items()}),
        knocks(ROSTER, fast, peak),
    )


@pytest.mark.parametrize(("spin", "shots"), [(None, 0), (0.0, 0), (60.0, 1)])
def test_a_measured_spin_can_bend_a_wide_ball_into_the_goal(spin, shots):
    found = of_type(kicked(spin), "shot")
    assert len(found) == shots
    if shots:
        assert found[0].sub_type == "off_target"
        assert 0.5 < found[0].metrics["bend_m"] < 4.0


def test_the_golden_vector_of_side_spin_is_met_by_the_path_to_a_plane():
    """30 m/s at 15 degrees, 50 rad/s about z: y is 7.05 m where x is 34.11 m (drag 0.2 above
    20 m/s, so the same path until it lands)."""
    angle = math.radians(15)
    seconds, y, z = spun_crossing(
        0.0, 0.0, 0.11, 30 * math.cos(angle), 0.0, 30 * math.sin(angle), 34.0, 2.0, 50.0
    )
    assert seconds == pytest.approx(1.467, abs=5e-3)
    assert y == pytest.approx(7.05, abs=0.06)
    assert z == pytest.approx(0.12, abs=0.05)
    mirror = spun_crossing(
        0.0, 0.0, 0.11, 30 * math.cos(angle), 0.0, 30 * math.sin(angle), 34.0, 2.0, -50.0
    )
    assert mirror[1] == pytest.approx(-y)
