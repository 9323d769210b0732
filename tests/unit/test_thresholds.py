"""Thresholds of athletes and groups: what a roster may set, what then holds, what is refused."""

from dataclasses import replace

import numpy as np
import pytest

from models.errors import ConfigError
from models.flows.config import FlowConfig
from models.flows.kernel import FlowKernel
from models.flows.limits import Limits
from models.metrics.zones import zone_edges_mps
from models.telemetry.block import concat_blocks
from models.telemetry.kinds import Kind
from models.telemetry.roster import Device, Roster
from models.telemetry.thresholds import FLOW_BOUNDS, ZONE_SETS, resolved
from tests.unit import edge_lab
from tests.unit.flow_world import last_row, lps, of_type, play, roster_of

BALL_ONLY = {
    "ball_r_m", "touch_m", "touch_dv_mps", "control_s", "control_mps", "ball_reach_z_m",
    "kick_mps2", "kick_refractory_s", "pass_min_m", "pass_max_s", "shot_mps", "shot_within_s",
    "shot_margin_m", "goal_sigma_m", "carry_min_m", "carry_lost_m",
}


def with_own(roster, subject=0, group="", groups=None, **thresholds):
    """`roster` whose subject number `subject` has these thresholds and group."""
    people = list(roster.subjects)
    people[subject] = replace(people[subject], group=group, thresholds=thresholds)
    return replace(roster, subjects=tuple(people), groups=groups or {})


def surge(to_mps):
    """A run at 2 m/s that rises to `to_mps` within a second, and holds it for three."""
    speed = np.concatenate([np.full(60, 2.0), np.linspace(2.0, to_mps, 20), np.full(60, to_mps)])
    return np.arange(len(speed)) / 20, np.cumsum(speed) / 20 - 40.0


def test_every_threshold_of_a_person_can_be_set_and_every_default_is_allowed():
    assert set(FLOW_BOUNDS) == set(FlowConfig._fields) - BALL_ONLY
    for name, (low, high) in FLOW_BOUNDS.items():
        assert low <= getattr(FlowConfig(), name) <= high, name
        allowed = with_own(roster_of(), **{name: getattr(FlowConfig(), name)})
        assert Limits(allowed, FlowConfig()).configs[0] == FlowConfig()


def test_without_thresholds_everybody_has_the_kernels_own():
    config = FlowConfig(effort_enter_mps2=2.5)
    limits = Limits(roster_of(3), config)
    assert limits.configs == [config] * 4
    assert limits.own == {}


def test_the_athletes_own_wins_over_the_group_and_the_group_over_the_kernel():
    groups = {"u15": {"effort_enter_mps2": 2.0, "turn_deg": 45.0, "sprint_mps": 6.0}}
    roster = with_own(roster_of(2), group="u15", groups=groups, effort_enter_mps2=2.4)
    limits = Limits(roster, FlowConfig())
    assert limits.configs[0].effort_enter_mps2 == 2.4
    assert limits.configs[0].turn_deg == 45.0
    assert limits.configs[1] == FlowConfig()
    assert (limits.subjects[0].sprint_mps, limits.subjects[1].sprint_mps) == (6.0, 7.0)
    assert limits.own == {"p0": {"effort_enter_mps2": 2.4, "turn_deg": 45.0, "sprint_mps": 6.0}}


def test_a_group_does_not_change_what_an_athletes_entry_says_itself():
    roster = roster_of(1, sprint_mps=6.8)
    roster = with_own(roster, group="g", groups={"g": {"sprint_mps": 6.0}})
    assert resolved(roster, roster.subjects[0]).sprint_mps == 6.8


def test_an_event_carries_the_limits_of_its_athlete():
    seconds, x = surge(4.3)
    tracks = (lps(0, seconds, x, 0.0), lps(1, seconds, x, 20.0))
    assert not of_type(play(roster_of(), *tracks), "acceleration")
    effects = play(with_own(roster_of(), effort_enter_mps2=1.8), *tracks)
    (effort,) = of_type(effects, "acceleration")
    assert effort.subject_id == "p0"
    assert effort.metrics["limit_effort_enter_mps2"] == 1.8
    assert last_row(effects, 0)["acc_n"] == 1
    assert last_row(effects, 1)["acc_n"] == 0
    assert effects.states[0].metadata["own"] == {"p0": {"effort_enter_mps2": 1.8}}


def test_speeds_may_be_parts_of_the_own_top_speed():
    own = {"vmax_mps": 9.0, "high_speed_share": 0.6, "sprint_share": 0.8}
    subject = resolved(roster := with_own(roster_of(), **own), roster.subjects[0])
    assert subject.high_speed_mps == pytest.approx(5.4)
    assert subject.sprint_mps == pytest.approx(7.2)


@pytest.mark.parametrize("name", sorted(ZONE_SETS))
def test_a_zone_set_gives_all_edges(name):
    roster = with_own(roster_of(), group="g", groups={"g": {"zones": name}})
    subject = resolved(roster, roster.subjects[0])
    assert zone_edges_mps(subject) == ZONE_SETS[name]
    assert (subject.high_speed_mps, subject.sprint_mps) == ZONE_SETS[name][2:]
    assert list(ZONE_SETS[name]) == sorted(ZONE_SETS[name])


def test_a_zone_set_may_stand_in_the_athletes_entry_itself():
    roster = roster_of(1, zones="women")
    assert resolved(roster, roster.subjects[0]).sprint_mps == 6.26
    text = roster_of(1, zones="moon").to_json()
    with pytest.raises(ConfigError, match="moon"):
        Roster.from_json(text)


def test_zone_sets_are_as_published_in_km_per_hour():
    assert [round(3.6 * edge, 6) for edge in ZONE_SETS["fifa"]] == [7, 15, 20, 25]
    assert [round(3.6 * edge, 6) for edge in ZONE_SETS["men"]] == [7.2, 14.4, 19.8, 25.2]
    assert [round(3.6 * edge, 6) for edge in ZONE_SETS["debs"]] == [11, 14, 17, 24]
    assert ZONE_SETS["women"][1:] == (3.46, 5.29, 6.26)


@pytest.mark.parametrize(
    ("own", "said"),
    [
        ({"sprintt": 7.0}, "sprintt"), ({"turn_deg": 400.0}, "turn_deg"),
        ({"turn_deg": "wide"}, "turn_deg"), ({"turn_deg": True}, "turn_deg"),
        ({"zones": "moon"}, "moon"), ({"sprint_share": 0.8}, "vmax_mps"),
        ({"zones": "men", "vmax_mps": 9.0, "sprint_share": 0.8}, "contradict"),
        ({"sprint_mps": 5.0}, "above high speed"), ({"effort_leave_mps2": 4.0}, "effort_leave"),
        ({"kick_mps2": 200.0}, "kick_mps2"),
        ({"turn_deg": float("nan")}, "turn_deg"),
    ],
)
def test_what_cannot_be_used_is_refused_by_name(own, said):
    roster = with_own(roster_of(), **own)
    with pytest.raises(ConfigError, match=said):
        FlowKernel(roster)
    if "effort_leave_mps2" not in own:
        with pytest.raises(ConfigError, match=said):
            Roster.from_json(roster.to_json())


def test_limits_of_the_edge_that_contradict_each_other_are_refused():
    text = with_own(roster_of(), hot_low_mps=8.0).to_json()
    with pytest.raises(ConfigError, match="hot_low"):
        Roster.from_json(text)


def test_an_unknown_group_is_refused():
    with pytest.raises(ConfigError, match="u99"):
        Roster.from_json(with_own(roster_of(), group="u99").to_json())


def test_a_roster_with_thresholds_survives_json_and_an_old_one_is_read():
    roster = with_own(roster_of(), group="g", groups={"g": {"zones": "women"}}, impact_g=6.0)
    assert Roster.from_json(roster.to_json()) == roster
    old = roster_of().to_json().replace('"groups": {}, ', "").replace('"group": "", ', "")
    assert Roster.from_json(old) == roster_of()


def test_the_edge_keeps_full_rate_from_the_athletes_own_limits_on():
    devices = (Device("a", Kind.IMU, "a0", 100), Device("b", Kind.IMU, "a1", 100))
    n = 1000
    t_ns = edge_lab.T0 + np.arange(n) * 10_000_000
    felt = np.where((np.arange(n) % 50) == 0, 6.0, 1.0) * 9.80665
    blocks = [
        edge_lab.block_of(
            Kind.IMU, device, np.arange(n), t_ns,
            {"acc_x_mps2": 0.01 * np.sin(np.arange(n)), "acc_y_mps2": 0.0, "acc_z_mps2": felt},
        )
        for device in (0, 1)
    ]
    roster = with_own(edge_lab.roster_of(*devices), hot_low_g=3.0, hot_high_g=5.0)
    _, result = edge_lab.play(roster, [concat_blocks(blocks)], ())
    rows = result.rows(Kind.IMU)
    count = [int((rows.device == device).sum()) for device in (0, 1)]
    assert count[0] > 0.9 * n
    assert count[1] < 0.6 * n
