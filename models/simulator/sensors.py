"""Sensors: what each kind of device reports of the scene in one second, before transport.

Every method gives `Samples` of one kind for one second; its randomness comes only from the
generator passed in. Channel order is that of `models.telemetry.kinds.KINDS`.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.simulator.body import GRID_HZ
from models.simulator.config import MatchConfig
from models.simulator.faults import BALL_LINK, LINKS, FaultEffects
from models.simulator.motion import BALL_GRID_HZ, BallMotion, BodyMotion
from models.simulator.scene import Scene
from models.simulator.traits import AGENTS, ANCHORS, LENGTH_M, PLAYERS, WIDTH_M
from models.simulator.transport import Samples
from models.telemetry.kinds import KINDS, Kind
from models.telemetry.roster import Roster

_POS_SLOW_M, _POS_WHITE_M = 0.08, 0.04
_BALL_NOISE_M: Final = 0.10
_TABLE: Final = 4096
_WALL: Final = np.zeros(1, np.int64) + BALL_LINK


class Sensors:
    """All devices of one match."""

    def __init__(
        self, config: MatchConfig, scene: Scene, roster: Roster, effects: FaultEffects,
        rng: np.random.Generator,
    ) -> None:
        self.config, self.scene, self.effects = config, scene, effects
        seconds = int(config.duration_s) + 1
        log = scene.course.log
        self.body = BodyMotion(
            scene.grids, scene.traits, scene.course.contacts, log, rng, seconds
        )
        self.ball = BallMotion(scene.ball, log, seconds)
        self.rows = {
            kind: np.array([i for i, d in enumerate(roster.devices) if d.kind == kind], np.int32)
            for kind in KINDS
        }
        self.phase = rng.uniform(0.05, 0.95, (len(KINDS), LINKS))
        self.volts = rng.uniform(3.95, 4.15, LINKS)
        self.rssi = rng.normal(-58.0, 2.5, LINKS)
        self.warmth = rng.normal(31.0, 1.5, LINKS)
        self.wander = _smooth_noise(rng, _POS_SLOW_M)
        self.stuck_since = effects.stuck_since_s()

    def _make(
        self, kind: Kind, second: int, hz: int, links: NDArray[np.int64],
        values: NDArray[np.float32], t_s: NDArray[np.float64],
    ) -> Samples:
        number = second * hz + np.arange(hz, dtype=np.int64)[None]
        phase = self.phase[list(KINDS).index(kind), links]
        boot, seq, made = self.effects.counters(links, number, t_s, hz, phase)
        made &= t_s < self.config.duration_s
        return Samples(kind, self.rows[kind], links, boot, seq, made, t_s, values)

    def _times(
        self, kind: Kind, second: int, hz: int, links: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        phase = self.phase[list(KINDS).index(kind), links]
        times: NDArray[np.float64] = second + (np.arange(hz)[None] + phase[:, None]) / hz
        return times

    def imu(self, second: int, rng: np.random.Generator) -> Samples:
        hz, links = self.config.imu_hz, np.arange(AGENTS)
        t_s = self._times(Kind.IMU, second, hz, links)
        felt = self.body.felt(second, t_s, rng)
        self.effects.spoil_motion(felt.acc, t_s, rng)
        values = np.full((len(KINDS[Kind.IMU].channels), AGENTS, hz), np.nan, np.float32)
        values[:3], values[3:6] = felt.acc, felt.gyr
        values[9] = self.warmth[:AGENTS, None] + 2.0
        return self._make(Kind.IMU, second, hz, links, values, t_s)

    def lps(self, second: int, rng: np.random.Generator) -> Samples:
        hz, links = self.config.pos_hz, np.arange(AGENTS)
        t_s = self._times(Kind.LPS, second, hz, links)
        cell = (t_s * GRID_HZ).astype(np.int64)
        part = (t_s * GRID_HZ - cell).astype(np.float32)[..., None]
        who = links[:, None]
        pos = self.scene.course.pos
        xy: NDArray[np.float32] = pos[cell, who] * (1 - part) + pos[cell + 1, who] * part
        slow = (cell + 389 * who) % _TABLE
        xy = xy + self.wander[slow] * (1 - part) + self.wander[(slow + 1) % _TABLE] * part
        noise = rng.standard_normal((5, AGENTS, hz), dtype=np.float32)
        values = np.empty((len(KINDS[Kind.LPS].channels), AGENTS, hz), np.float32)
        values[0], values[1] = xy[..., 0], xy[..., 1]
        values[:2] += noise[:2] * np.float32(_POS_WHITE_M)
        self.effects.spoil_position(values[:2], t_s, rng)
        values[2] = 1.15 + 0.06 * noise[2]
        values[3] = 0.06 + 0.04 * np.abs(noise[3])
        values[4] = np.clip(np.round(7 + 0.7 * noise[4]), 4, ANCHORS)
        values[5] = np.clip(0.03 + 0.03 * noise[2] * noise[3], 0, 1)
        return self._make(Kind.LPS, second, hz, links, values, t_s)

    def heart(self, second: int, rng: np.random.Generator) -> Samples:
        links = np.arange(AGENTS) + AGENTS
        t_s = self._times(Kind.HEART, second, 1, links)
        grid = self.scene.grids.heart
        at = np.minimum(second, len(grid) - 1)
        held = np.minimum(self.stuck_since, at).astype(np.int64)
        value = grid[held, np.arange(AGENTS)]
        beat = value + rng.normal(0, 0.5, AGENTS) * (self.stuck_since > second)
        values = np.empty((3, AGENTS, 1), np.float32)
        values[0, :, 0] = np.clip(np.round(beat), 30, 225)
        values[1, :, 0] = np.round(60000 / values[0, :, 0] * 1.024) / 1.024
        values[2] = 1.0
        return self._make(Kind.HEART, second, 1, links, values, t_s)

    def health(self, second: int, rng: np.random.Generator) -> Samples:
        links = np.append(np.arange(AGENTS), BALL_LINK)
        t_s = self._times(Kind.HEALTH, second, 1, links)
        noise = rng.standard_normal((4, len(links)))
        volts = self.volts[links] - 1.4e-5 * second + 0.004 * noise[0]
        volts[:AGENTS] -= self.effects.sag_v(second)
        at = min(second * GRID_HZ, len(self.scene.course.pos) - 1)
        xy = np.vstack([self.scene.course.pos[at], self.scene.ball[second * BALL_GRID_HZ, :2]])
        reach = np.hypot(LENGTH_M / 2 - np.abs(xy[:, 0]), WIDTH_M / 2 - np.abs(xy[:, 1]))
        rssi = self.rssi[links] - 0.12 * reach + 1.2 * noise[1]
        rssi[:AGENTS] -= self.effects.fade_db(second)
        loss = self.effects.loss(links, np.repeat(t_s, 10, 1) + np.arange(10) / 10).mean(1)
        reboots = np.array([int(b > 1) for b in self._boots(links, second, t_s)])
        values = np.stack([
            np.round(volts, 3), np.clip((volts - 3.3) / 0.88 * 100, 0, 100).round(),
            np.clip(rssi, -120, 0).round(), np.clip(loss + 0.004 * np.abs(noise[2]), 0, 1),
            reboots, np.clip(41 + 3 * noise[3], 5, 95), self.warmth[links] + 0.1 * noise[3],
        ]).astype(np.float32)[..., None]
        return self._make(Kind.HEALTH, second, 1, links, values, t_s)

    def _boots(
        self, links: NDArray[np.int64], second: int, t_s: NDArray[np.float64]
    ) -> NDArray[np.uint32]:
        number = np.array([[second]], np.int64)
        phase = self.phase[list(KINDS).index(Kind.HEALTH), links]
        return self.effects.counters(links, number, t_s, 1, phase)[0][:, 0]

    def ball_imu(self, second: int, rng: np.random.Generator) -> Samples:
        hz = self.config.ball_hz
        t_s = self._times(Kind.BALL_IMU, second, hz, _WALL)
        felt, _ = self.ball.felt(second, t_s[0], rng)
        values = np.full((len(KINDS[Kind.BALL_IMU].channels), 1, hz), np.nan, np.float32)
        values[:7, 0] = felt
        values[7, 0] = 80.0
        return self._make(Kind.BALL_IMU, second, hz, _WALL, values, t_s)

    def ball_pos(self, second: int, rng: np.random.Generator) -> Samples:
        hz = BALL_GRID_HZ
        t_s = self._times(Kind.BALL_POS, second, hz, _WALL)
        cell = np.minimum((t_s[0] * hz).astype(np.int64), len(self.scene.ball) - 2)
        part = (t_s[0] * hz - cell)[:, None]
        ball = self.scene.ball
        place = ball[cell] * (1 - part) + ball[cell + 1] * part
        values = np.empty((5, 1, hz), np.float32)
        values[:3, 0] = place.T + rng.standard_normal((3, hz)) * _BALL_NOISE_M
        values[2] = np.maximum(values[2], 0.0)
        values[3, 0] = self.ball.speed[cell] / 0.11 * 0.3
        steps = np.minimum((t_s[0] * GRID_HZ).astype(np.int64), len(self.scene.course.in_play) - 1)
        values[4, 0] = self.scene.course.in_play[steps]
        return self._make(Kind.BALL_POS, second, hz, _WALL, values, t_s)

    def anchor(self, second: int, rng: np.random.Generator) -> Samples:
        links = np.full(ANCHORS, BALL_LINK)
        t_s = second + (0.1 + 0.1 * np.arange(ANCHORS, dtype=np.float64))[:, None]
        noise = rng.standard_normal((4, ANCHORS, 1))
        values = np.stack([
            40 * noise[0], -48 + 1.5 * noise[1], np.full((ANCHORS, 1), 20.0), 29 + 0.2 * noise[2],
            np.clip(0.97 + 0.01 * noise[3], 0, 1), 0.05 + 0.01 * np.abs(noise[2]),
        ]).astype(np.float32)
        return self._wired(Kind.ANCHOR, links, second, t_s, values)

    def weather(self, second: int, rng: np.random.Generator) -> Samples:
        noise = rng.standard_normal(3)
        warmth, wind = 0.1 * noise[0], 2 + 0.5 * abs(noise[2])
        values = np.array([18 + warmth, 61 + noise[1], 16.5 + warmth, wind], np.float32)
        values = values.reshape(4, 1, 1)
        return self._wired(Kind.WEATHER, _WALL, second // 60, np.array([[second + 0.5]]), values)

    def goal_line(self, second: int) -> list[Samples]:
        """The heartbeats of both goals, and a crossing where there is one in this second."""
        goals = [(t, int(side > 0)) for t, _, side, _, _ in self.scene.course.log.goals]
        links = np.full(2, BALL_LINK)
        before = np.array([sum(t < second and n == g for t, n in goals) for g in (0, 1)])
        number = (second + before)[:, None]
        values = np.array([[0, 0], [np.nan, np.nan], [0.99, 0.99], [0, 1]], np.float32)
        rows, t_s = self.rows[Kind.GOAL_LINE], np.full((2, 1), second + 0.02)
        ones = np.ones((2, 1), np.uint32)
        made = t_s < self.config.duration_s
        parts = [Samples(
            Kind.GOAL_LINE, rows, links, ones, number.astype(np.uint32), made, t_s,
            values[..., None],
        )]
        for t, goal in goals:
            if int(t) == second and t < self.config.duration_s:
                when = max(t, second + 0.021)
                one = np.array([[[1.0]], [[0.12]], [[0.98]], [[float(goal)]]], np.float32)
                parts.append(Samples(
                    Kind.GOAL_LINE, rows[[goal]], links[:1], ones[:1],
                    (number[[goal]] + 1).astype(np.uint32), ones[:1] > 0, np.array([[when]]), one,
                ))
        return parts

    def referee(self, second: int) -> list[Samples]:
        """Whistles: 1 start, 2 ball out, 3 goal; 0.8 s after what they are for."""
        log = self.scene.course.log
        signals = [(0.5, 1.0), *((t + 0.8, 2.0) for t, *_ in log.outs)]
        signals = sorted([*signals, *((t + 0.8, 3.0) for t, *_ in log.goals)])
        parts = []
        for number, (t, code) in enumerate(signals):
            if int(t) == second and t < self.config.duration_s:
                values = np.array([[[code]], [[1.0]]], np.float32)
                parts.append(Samples(
                    Kind.REFEREE, self.rows[Kind.REFEREE], np.array([PLAYERS]),
                    np.ones((1, 1), np.uint32), np.full((1, 1), number, np.uint32),
                    np.ones((1, 1), np.bool_), np.array([[t]]), values,
                ))
        return parts

    def _wired(
        self, kind: Kind, links: NDArray[np.int64], number: int, t_s: NDArray[np.float64],
        values: NDArray[np.float32],
    ) -> Samples:
        seq = np.full(t_s.shape, number, np.uint32)
        made = t_s < self.config.duration_s
        ones = np.ones(t_s.shape, np.uint32)
        return Samples(kind, self.rows[kind], links, ones, seq, made, t_s, values)


def _smooth_noise(rng: np.random.Generator, sigma: float) -> NDArray[np.float32]:
    """A ring of (4096, 2) correlated position errors, 10 Hz, correlation time about 1 s."""
    decay = 0.9 ** np.arange(80)
    white = rng.standard_normal((_TABLE, 2))
    kernel = np.zeros(_TABLE)
    kernel[: len(decay)] = decay / np.sqrt((decay**2).sum())
    spectrum = np.fft.rfft(white, axis=0) * np.fft.rfft(kernel)[:, None]
    ring: NDArray[np.float32] = (np.fft.irfft(spectrum, _TABLE, axis=0) * sigma).astype(np.float32)
    return ring
