"""What the motion sensors of people and ball feel: specific force and rotation at any rate.

Consistent with the moved course: gravity by trunk tilt, bounce and foot strikes at step rate,
accelerations along and across the track, contacts, jumps with free fall. m/s^2 and rad/s, body
frame x forward, y left, z up. Noise is 0.02 g per axis (DOMAIN B14).
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.simulator.ballgame import Log
from models.simulator.body import ALONG, BOUNCE, GRID_HZ, SPEED, TILT, TURN, Grids
from models.simulator.flight import RADIUS_M
from models.simulator.play import Contact
from models.simulator.traits import AGENTS, BALL_FULL_SCALE, GRAVITY, TAG_FULL_SCALE, Traits

ACC_NOISE: Final = 0.02 * GRAVITY
_GYR_NOISE: Final = 0.04
_GYR_LIMIT: Final = 34.9
_PUSH_S: Final = 0.24
_LAND_S: Final = 0.075
_KICK_S: Final = 0.010
BALL_GRID_HZ: Final = 50
_TABLE: Final = 1024


@dataclass(frozen=True, slots=True)
class Felt:
    """(3, D, n) float32 specific force m/s^2 and rotation rad/s of D wearers at n times."""

    acc: NDArray[np.float32]
    gyr: NDArray[np.float32]


class BodyMotion:
    """Motion sensors of the 25 wearers."""

    def __init__(
        self, grids: Grids, traits: Traits, contacts: list[Contact], log: Log,
        rng: np.random.Generator, seconds: int,
    ) -> None:
        self.grids, self.traits = grids, traits
        self.step_size = rng.lognormal(0.0, 0.12, _TABLE).astype(np.float32)
        knocks = contacts + [
            Contact(t, agent, "strike", 1.2 + 0.11 * dv, 0.06, angle)
            for t, agent, kind, dv, angle in log.kicks
            if kind in ("pass", "shot")
        ]
        self.knocks: list[list[Contact]] = [[] for _ in range(seconds + 3)]
        for knock in sorted(knocks, key=lambda c: (c.t_s, c.agent, c.type)):
            last = knock.t_s + (knock.duration_s if knock.type == "jump" else 0.0) + 0.6
            for second in range(max(int(knock.t_s - 0.4), 0), min(int(last), seconds + 2) + 1):
                self.knocks[second].append(knock)

    def felt(self, second: int, t_s: NDArray[np.float64], rng: np.random.Generator) -> Felt:
        """What all wearers feel at times t_s (25, n), seconds, all within `second`."""
        cell = (t_s * GRID_HZ).astype(np.int64)
        part = (t_s * GRID_HZ - cell).astype(np.float32)
        who = np.arange(AGENTS)[:, None]
        low, high = self.grids.motion[cell, who], self.grids.motion[cell + 1, who]
        here = low + (high - low) * part[..., None]
        steps = self.grids.steps[cell, who]
        steps = steps + (self.grids.steps[cell + 1, who] - steps) * part
        acc, gyr = self._gait(here, steps)
        for knock in self.knocks[second]:
            since = (t_s[knock.agent] - knock.t_s).astype(np.float32)
            _PULSES[knock.type](acc[:, knock.agent], gyr[:, knock.agent], since, knock)
        noise = rng.standard_normal((6, *t_s.shape), dtype=np.float32)
        acc += noise[:3] * np.float32(ACC_NOISE)
        gyr += noise[3:] * np.float32(_GYR_NOISE)
        np.clip(acc, -TAG_FULL_SCALE, TAG_FULL_SCALE, out=acc)
        np.clip(gyr, -_GYR_LIMIT, _GYR_LIMIT, out=gyr)
        return Felt(acc, gyr)

    def _gait(
        self, here: NDArray[np.float32], steps: NDArray[np.float64]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Gravity, bounce, strikes and turns: (3, 25, n) each."""
        speed, along, turn = here[..., SPEED], here[..., ALONG], here[..., TURN]
        whole = np.floor(steps)
        phase = (steps - whole).astype(np.float32)
        number = whole.astype(np.int64)
        odd = (number & 1).astype(np.float32) * 2 - 1
        size = self.step_size[(number + 37 * np.arange(AGENTS)[:, None]) % _TABLE]
        size *= here[..., BOUNCE] * (1 + odd * self.traits.asymmetry[:, None].astype(np.float32))
        g = np.float32(GRAVITY)
        swing = g * size * np.minimum(0.03 * speed + 0.05 * speed * speed, 1.0)
        strike = (0.27 * g) * size * speed * np.exp(-(((phase - 0.12) / 0.06) ** 2))
        turn_phase = np.float32(2 * math.pi) * phase
        wave, cross = np.sin(turn_phase), np.cos(turn_phase)
        half = odd * np.sin(turn_phase * 0.5)
        pitch = here[..., TILT] + 0.05 + 0.025 * along
        across = speed * turn
        acc = np.empty((3, *speed.shape), np.float32)
        sin_p, cos_p = np.sin(pitch), np.cos(pitch)
        acc[0] = -g * sin_p + along + 0.35 * swing * cross - 0.4 * strike
        acc[1] = across * 0.8 + 0.32 * swing * half + 0.15 * odd * strike
        acc[2] = g * cos_p - swing * cross + 0.3 * swing * wave * cross + strike
        sway = np.minimum(speed, 7.0) * np.float32(0.28)
        gyr = np.empty_like(acc)
        gyr[0], gyr[1], gyr[2] = sway * half * 0.7, sway * wave * 0.5, turn + sway * half
        return acc, gyr


def _bump(since: NDArray[np.float32], seconds: float) -> NDArray[np.float32]:
    """Half a sine from 0 to `seconds`, else 0."""
    inside = (since >= 0) & (since < seconds)
    wave: NDArray[np.float32] = np.where(inside, np.sin(since * np.float32(math.pi / seconds)), 0)
    return wave


def _hit(
    acc: NDArray[np.float32], gyr: NDArray[np.float32], since: NDArray[np.float32],
    knock: Contact, seconds: float, upward: float, spin: float,
) -> None:
    """A pulse of `knock.peak_g` along one direction, ringing, and a decaying twist."""
    flat = math.sqrt(max(1 - upward * upward, 0.0))
    way = (flat * math.cos(knock.angle_rad), flat * math.sin(knock.angle_rad), upward)
    pulse = _bump(since, seconds) * np.float32(knock.peak_g * GRAVITY)
    pulse += 0.15 * pulse * np.sin(since * np.float32(2 * math.pi * 30))
    after = (since >= 0) & (since < 0.5)
    fade = np.where(after, np.exp(-np.maximum(since, 0) / 0.13), 0).astype(np.float32)
    for axis in range(3):
        acc[axis] += pulse * np.float32(way[axis])
        twist = np.sin(since * np.float32(34) + np.float32(axis * 2.1 + knock.angle_rad))
        gyr[axis] += np.float32(spin) * fade * twist


def _collision(
    acc: NDArray[np.float32], gyr: NDArray[np.float32], since: NDArray[np.float32], knock: Contact
) -> None:
    spin = knock.peak_g * (0.25 + 0.8 * abs(math.sin(3 * knock.angle_rad)))
    _hit(acc, gyr, since, knock, knock.duration_s, 0.5 * math.cos(2 * knock.angle_rad), spin)


def _impact(
    acc: NDArray[np.float32], gyr: NDArray[np.float32], since: NDArray[np.float32], knock: Contact
) -> None:
    spin = knock.peak_g * (0.1 + 0.3 * abs(math.cos(3 * knock.angle_rad)))
    upward = 0.95 - 0.5 * abs(math.sin(2 * knock.angle_rad))
    _hit(acc, gyr, since, knock, knock.duration_s, upward, spin)


def _fall(
    acc: NDArray[np.float32], gyr: NDArray[np.float32], since: NDArray[np.float32], knock: Contact
) -> None:
    """The ground is hit while the trunk tips over (the tilt itself is in the grids)."""
    gyr[1] += 3.2 * _bump(since + np.float32(0.5), 0.55)
    _hit(acc, gyr, since, knock, 0.11, 0.3, 0.4 * knock.peak_g)


def _strike(
    acc: NDArray[np.float32], gyr: NDArray[np.float32], since: NDArray[np.float32], knock: Contact
) -> None:
    """The jolt of kicking a ball."""
    gyr[2] += 2.5 * _bump(since + np.float32(0.15), 0.3)
    _hit(acc, gyr, since, knock, knock.duration_s, 0.2, 0.3 * knock.peak_g)


def _jump(
    acc: NDArray[np.float32], gyr: NDArray[np.float32], since: NDArray[np.float32], knock: Contact
) -> None:
    """Push-off, free fall for `duration_s`, landing."""
    air = knock.duration_s
    flying = (since >= 0) & (since < air)
    near = (since >= -_PUSH_S) & (since < air + _LAND_S)
    acc *= np.where(flying, np.float32(0.06), np.where(near, np.float32(0.75), np.float32(1.0)))
    acc[2] += _bump(since + np.float32(_PUSH_S), _PUSH_S) * np.float32(1.2 * GRAVITY)
    landing = _bump(since - np.float32(air), _LAND_S) * np.float32((knock.peak_g - 0.8) * GRAVITY)
    acc[2] += landing
    acc[0] -= 0.25 * landing
    gyr[1] += 1.8 * _bump(since - np.float32(air), 0.2)


_PULSES: Final = {
    "collision": _collision, "impact": _impact, "fall": _fall, "strike": _strike, "jump": _jump,
}


class BallMotion:
    """The sensor inside the ball: rolls with it, floats in flight, clips when it is kicked."""

    def __init__(self, ball: NDArray[np.float32], log: Log, seconds: int) -> None:
        """`ball` (m, 3) metres on the 50 Hz grid."""
        velocity = np.gradient(ball.astype(np.float64), 1 / BALL_GRID_HZ, axis=0)
        self.speed = np.minimum(np.sqrt((velocity**2).sum(1)), 45.0)
        self.flying = (ball[:, 2] > RADIUS_M + 0.06).astype(np.float64)
        self.rolled = np.cumsum(self.speed / BALL_GRID_HZ) / RADIUS_M
        drag = 0.5 - 0.3 * np.clip((self.speed - 12.0) / 8.0, 0.0, 1.0)
        self.drag = 0.5 * 1.2 * 0.038 / 0.43 * drag * self.speed**2
        self.pulses: list[list[tuple[float, float, float]]] = [[] for _ in range(seconds + 3)]
        hits = [(t, dv, angle) for t, _, _, dv, angle in log.kicks]
        hits += [(t, dv, 1.2) for t, dv in log.bounces]
        for hit in sorted(hits):
            for second in {int(hit[0]), int(hit[0] + _KICK_S)}:
                if second < len(self.pulses):
                    self.pulses[second].append(hit)

    def felt(
        self, second: int, t_s: NDArray[np.float64], rng: np.random.Generator
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """(7, n): acc xyz, gyr xyz, clip flag at times t_s (n,); and speed (n,) m/s."""
        cell = np.minimum((t_s * BALL_GRID_HZ).astype(np.int64), len(self.speed) - 2)
        part = t_s * BALL_GRID_HZ - cell
        angle = self.rolled[cell] * (1 - part) + self.rolled[cell + 1] * part
        held, pull = 1.0 - self.flying[cell], self.drag[cell] * self.flying[cell]
        out = np.zeros((7, len(t_s)), np.float32)
        noise = rng.standard_normal((6, len(t_s)), dtype=np.float32)
        sin_a, cos_a = np.sin(angle), np.cos(angle)
        out[0] = GRAVITY * held * sin_a - pull * cos_a
        out[1] = 0.05 * GRAVITY * held
        out[2] = GRAVITY * held * cos_a + pull * sin_a
        out[4] = self.speed[cell] / RADIUS_M * (0.25 + 0.75 * held)
        for t, dv, way in self.pulses[second]:
            peak = dv * math.pi / (2 * _KICK_S)
            pulse = _bump((t_s - t).astype(np.float32), _KICK_S) * np.float32(peak)
            out[0] += pulse * np.float32(math.cos(way))
            out[1] += pulse * np.float32(math.sin(way))
            out[2] += pulse * np.float32(0.3 * math.sin(2 * way))
        out[:3] += noise[:3] * np.float32(0.05 * GRAVITY)
        out[3:6] += noise[3:] * np.float32(0.05)
        out[6] = (np.abs(out[:3]) >= BALL_FULL_SCALE).any(0)
        np.clip(out[:3], -BALL_FULL_SCALE, BALL_FULL_SCALE, out=out[:3])
        np.clip(out[3:6], -_GYR_LIMIT, _GYR_LIMIT, out=out[3:6])
        return out, self.speed[cell].astype(np.float32)
