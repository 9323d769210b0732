"""Bodies: what the motion on the 10 Hz grid means for steps, effort and heart.

Owns the grids that the sensors interpolate. Metabolic power after Osgnach 2010 (DOMAIN B3, ES
clamped to +-0.45); heart rate is a 30 s first-order lag towards rest + reserve * (P/20)^0.5, which
gives the 150-170 bpm of match play at the usual 10 W/kg.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.simulator.ballgame import STEP_S
from models.simulator.play import Course
from models.simulator.traits import AGENTS, Traits

GRID_HZ: Final = 10
SPEED, ALONG, TURN, TILT, BOUNCE, CADENCE_NOISE = range(6)
_HR_TAU_S: Final = 30.0
_FELL_RAD: Final = 1.45


@dataclass(frozen=True, slots=True)
class Grids:
    """`motion` (n, 25, 6) float32: speed m/s, acceleration along m/s^2, turn rate rad/s, trunk tilt
    rad, bounce factor, spare; `steps` (n, 25) float64 step count; `power` (n, 25) W/kg;
    `heart` (s, 25) bpm each second; `distance_m` (n, 25) run so far."""

    motion: NDArray[np.float32]
    steps: NDArray[np.float64]
    power: NDArray[np.float32]
    heart: NDArray[np.float32]
    distance_m: NDArray[np.float64]


def metabolic_power_wkg(
    speed: NDArray[np.float64], along: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Osgnach 2010 on grass (KT 1.29), W/kg, between 0 and 100."""
    slope = np.clip(along / 9.81, -0.45, 0.45)
    cost = ((((155.4 * slope - 30.4) * slope - 43.3) * slope + 46.3) * slope + 19.5) * slope + 3.6
    power: NDArray[np.float64] = np.clip(
        cost * np.sqrt(slope**2 + 1) * 1.29 * speed, 0.0, 100.0
    )
    return power


def build_grids(course: Course, traits: Traits, rng: np.random.Generator) -> Grids:
    """The grids of one match, from its course."""
    vel = course.vel.astype(np.float64)
    speed = np.hypot(vel[..., 0], vel[..., 1])
    along = np.gradient(speed, STEP_S, axis=0)
    heading = np.unwrap(np.arctan2(vel[..., 1], vel[..., 0] + 1e-6), axis=0)
    turn = np.gradient(heading, STEP_S, axis=0) * np.minimum(speed / 1.5, 1.0)
    tilt = _rolling_mean(course.tilt, 5) * _FELL_RAD
    bounce = traits.bounce * (1.0 + 0.25 * course.fatigue)
    wobble = 1.0 + 0.03 * rng.standard_normal(speed.shape)
    cadence = cadence_hz(speed) * traits.cadence * wobble
    power = metabolic_power_wkg(speed, along)
    motion = np.zeros((len(speed), AGENTS, 6), np.float32)
    motion[..., SPEED], motion[..., ALONG] = speed, np.clip(along, -9.0, 7.0)
    motion[..., TURN], motion[..., TILT] = np.clip(turn, -6.0, 6.0), tilt
    motion[..., BOUNCE] = bounce
    return Grids(
        motion, np.cumsum(cadence * STEP_S, axis=0), power.astype(np.float32),
        _heart(power, course, traits, rng), np.cumsum(speed * STEP_S, axis=0),
    )


def cadence_hz(speed: NDArray[np.float64]) -> NDArray[np.float64]:
    """Steps per second: 0 standing, 1.6-2.2 walking, 2.5-3.2 running, up to 4.6 sprinting."""
    return np.interp(speed, [0.0, 0.3, 0.8, 2.0, 2.6, 5.0, 9.5], [0, 0, 1.6, 2.1, 2.6, 3.1, 4.6])


def _rolling_mean(values: NDArray[np.float32], width: int) -> NDArray[np.float64]:
    total = np.cumsum(np.pad(values.astype(np.float64), ((width, 0), (0, 0))), axis=0)
    return (total[width:] - total[:-width]) / width


def _heart(
    power: NDArray[np.float64], course: Course, traits: Traits, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Heart rate each second: lagged demand, upward drift with fatigue, slow wander."""
    seconds = len(power) // GRID_HZ
    mean = power[: seconds * GRID_HZ].reshape(seconds, GRID_HZ, AGENTS).mean(1)
    tired = course.fatigue[: seconds * GRID_HZ : GRID_HZ]
    reserve = traits.hr_max_bpm - traits.hr_rest_bpm
    wander, lagged = np.zeros(AGENTS), np.full(AGENTS, 4.0)
    noise = rng.standard_normal((seconds, AGENTS))
    heart = np.empty((seconds, AGENTS), np.float32)
    for s in range(seconds):
        lagged = lagged + (mean[s] - lagged) / _HR_TAU_S
        wander = wander * 0.97 + noise[s] * 0.35
        share = np.sqrt(lagged / 20.0) * (1.0 + 0.10 * tired[s])
        heart[s] = traits.hr_rest_bpm + reserve * np.minimum(share, 0.99) + wander
    return heart
