"""Who plays: traits of the 22 athletes and 3 officials, and the roster of subjects and devices.

Agents are numbered 0-10 home, 11-21 away (0 and 11 the goalkeepers), 22 referee, 23-24 assistants.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.simulator.config import MatchConfig
from models.telemetry.kinds import Kind
from models.telemetry.roster import Device, Period, Role, Roster, Subject

AGENTS: Final = 25
PLAYERS: Final = 22
GRAVITY: Final = 9.80665
TAG_FULL_SCALE: Final = 16 * GRAVITY
BALL_FULL_SCALE: Final = 200 * GRAVITY
ANCHORS: Final = 8
LENGTH_M: Final = 105.0
WIDTH_M: Final = 68.0
TWO_HALVES_FROM_S: Final = 3000.0


@dataclass(frozen=True, slots=True)
class Traits:
    """Per agent, shape (25,): m/s, bpm, kg, and dimensionless factors around 1."""

    vmax_mps: NDArray[np.float64]
    hr_rest_bpm: NDArray[np.float64]
    hr_max_bpm: NDArray[np.float64]
    mass_kg: NDArray[np.float64]
    fatigability: NDArray[np.float64]
    start_fatigue: NDArray[np.float64]
    bounce: NDArray[np.float64]
    cadence: NDArray[np.float64]
    asymmetry: NDArray[np.float64]


def draw_traits(rng: np.random.Generator) -> Traits:
    """Traits of one match's people."""
    vmax = rng.uniform(8.4, 9.8, AGENTS)
    vmax[[0, 11]] -= 0.9
    vmax[PLAYERS:] -= 1.2
    return Traits(
        vmax_mps=vmax,
        hr_rest_bpm=rng.uniform(46, 62, AGENTS).round(),
        hr_max_bpm=rng.uniform(184, 204, AGENTS).round(),
        mass_kg=rng.normal(76, 6, AGENTS).clip(60, 98).round(1),
        fatigability=rng.lognormal(0.0, 0.35, AGENTS),
        start_fatigue=rng.beta(1.2, 9.0, AGENTS),
        bounce=rng.lognormal(0.0, 0.12, AGENTS),
        cadence=rng.normal(1.0, 0.03, AGENTS),
        asymmetry=rng.normal(0.0, 0.04, AGENTS),
    )


def venue_of(config: MatchConfig) -> str:
    return config.venue_id or f"venue-{config.seed:04d}"


def subject_ids(config: MatchConfig) -> tuple[str, ...]:
    """Ids of the agents, in agent order. Pseudonyms: they say nothing about a person."""
    venue = venue_of(config)
    teams = [f"ath_{venue}_{side}{n:02d}" for side in "ha" for n in range(1, 12)]
    return (*teams, *(f"off_{venue}_{n}" for n in range(1, 4)))


def build_roster(config: MatchConfig, traits: Traits) -> Roster:
    """Subjects: the agents, the ball, the stadium. A tag holds position, motion and health."""
    venue = venue_of(config)
    ids = subject_ids(config)
    subjects = [_subject(agent, ids[agent], traits) for agent in range(AGENTS)]
    ball, stadium = f"ball_{venue}", f"stadium_{venue}"
    subjects += [Subject(ball, Role.BALL), Subject(stadium, Role.INFRASTRUCTURE)]
    return Roster(
        venue, config.match_id or f"{venue}-match", "football", LENGTH_M, WIDTH_M,
        tuple(subjects), tuple(_devices(config, ids, ball, stadium)), _periods(config),
    )


def _subject(agent: int, subject_id: str, traits: Traits) -> Subject:
    if agent >= PLAYERS:
        role, team, number = Role.OFFICIAL, "", agent - PLAYERS + 1
    else:
        role = Role.GOALKEEPER if agent % 11 == 0 else Role.ATHLETE
        team, number = ("home", "away")[agent // 11], agent % 11 + 1
    return Subject(
        subject_id, role, team, number,
        hr_rest_bpm=float(traits.hr_rest_bpm[agent]), hr_max_bpm=float(traits.hr_max_bpm[agent]),
        mass_kg=float(traits.mass_kg[agent]),
        critical_speed_mps=round(float(traits.vmax_mps[agent]) * 0.45, 2),
    )


def _devices(
    config: MatchConfig, ids: tuple[str, ...], ball: str, stadium: str
) -> list[Device]:
    """All devices of one kind are neighbours, in agent order: rows of a kind are a plain range."""
    tags = [f"tag-{subject_id}" for subject_id in ids]
    straps = [f"strap-{subject_id}" for subject_id in ids]
    tag, chip = "sim-tag", "sim-ball"
    tagged = list(zip(tags, ids, strict=True))
    strapped = list(zip(straps, ids, strict=True))
    rows = [Device(t, Kind.LPS, s, config.pos_hz, model=tag) for t, s in tagged]
    rows += [
        Device(t, Kind.IMU, s, config.imu_hz, full_scale=TAG_FULL_SCALE, model=tag)
        for t, s in tagged
    ]
    rows += [Device(t, Kind.HEART, s, 1, model="sim-strap") for t, s in strapped]
    rows += [Device(t, Kind.HEALTH, s, 1, model=tag) for t, s in tagged]
    rows += [
        Device(f"chip-{ball}", Kind.HEALTH, ball, 1, model=chip),
        Device(f"chip-{ball}", Kind.BALL_POS, ball, 50, model=chip),
        Device(
            f"chip-{ball}", Kind.BALL_IMU, ball, config.ball_hz, full_scale=BALL_FULL_SCALE,
            model=chip,
        ),
    ]
    rows += [Device(f"goal-{n}-{stadium}", Kind.GOAL_LINE, stadium, 1) for n in range(2)]
    rows += [Device(f"watch-{ids[PLAYERS]}", Kind.REFEREE, ids[PLAYERS], 0.1)]
    rows += [Device(f"anchor-{n}-{stadium}", Kind.ANCHOR, stadium, 1) for n in range(ANCHORS)]
    rows += [Device(f"weather-{stadium}", Kind.WEATHER, stadium, 1 / 60)]
    return rows


def half_time_s(config: MatchConfig) -> float:
    """When ends are changed: infinity in a match of one period."""
    return config.duration_s / 2 if config.duration_s >= TWO_HALVES_FROM_S else float("inf")


def _periods(config: MatchConfig) -> tuple[Period, ...]:
    start, end = config.start_ns, config.start_ns + int(config.duration_s * 1e9)
    half = half_time_s(config)
    if half == float("inf"):
        return (Period("first_half", start, end, 1),)
    middle = start + int(half * 1e9)
    return (Period("first_half", start, middle, 1), Period("second_half", middle, end, -1))
