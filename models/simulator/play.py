"""Play: how 25 people move, on a 10 Hz grid, with the ball's game and their contacts.

Team shape follows the ball; speeds have efforts; transitions make 6-10 players sprint together;
tackles, falls, jumps and knocks happen. The result is arrays and logs, for sensors to look at.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.simulator.ballgame import STEP_S, BallGame, Log, Phase
from models.simulator.config import MatchConfig
from models.simulator.traits import AGENTS, LENGTH_M, PLAYERS, Traits, half_time_s

_SHAPE: Final = np.array([
    (-47, 0), (-30, -22), (-33, -8), (-33, 8), (-30, 22), (-14, -14), (-17, 0), (-14, 14),
    (4, -20), (8, 0), (4, 20),
], dtype=np.float64)
_CAPS: Final = np.array([1.2, 2.2, 3.4, 4.8])
_CAP_SHARE: Final = np.array([0.42, 0.30, 0.20, 0.08]).cumsum()
LEAD_STEPS: Final = 20
"""Steps simulated past the end, so that interpolation never runs out."""


@dataclass(frozen=True, slots=True)
class Contact:
    """A contact or jump: seconds, agent, type (collision, impact, fall, jump), peak g, seconds,
    direction in the body frame (rad), the other agent (-1 = none)."""

    t_s: float
    agent: int
    type: str
    peak_g: float
    duration_s: float
    angle_rad: float
    other: int = -1


@dataclass(frozen=True, slots=True)
class Course:
    """The match as moved. Grid of 10 Hz: pos, vel (n, 25, 2) float32; fatigue (n, 25) float32;
    tilt (n, 25) float32 rad of the trunk; ball (n, 3); in_play (n,) bool; transitions in s."""

    pos: NDArray[np.float32]
    vel: NDArray[np.float32]
    fatigue: NDArray[np.float32]
    tilt: NDArray[np.float32]
    ball: NDArray[np.float32]
    in_play: NDArray[np.bool_]
    log: Log
    contacts: list[Contact]
    transitions: list[tuple[float, int]]


class Play:
    """Plays one match; `run` once."""

    def __init__(self, config: MatchConfig, traits: Traits, rng: np.random.Generator) -> None:
        self.config, self.traits, self.rng = config, traits, rng
        self.steps = math.ceil(config.duration_s / STEP_S) + LEAD_STEPS
        self.game = BallGame(rng)
        self.home = np.concatenate([_SHAPE, -_SHAPE, [(0, 8), (20, -35), (-20, 35)]])
        self.pos = self.home.copy() * 0.9
        self.vel = np.zeros((AGENTS, 2))
        self.cap = np.full(AGENTS, 1.5)
        self.sprint_until = np.zeros(AGENTS, np.int64)
        self.sprint_to = np.zeros((AGENTS, 2))
        self.sprint_mps = np.zeros(AGENTS)
        self.down_until = np.zeros(AGENTS, np.int64)
        self.fatigue = traits.start_fatigue.copy()
        self.power = np.zeros(AGENTS)
        self.quiet = np.zeros(AGENTS, np.int64)
        self.contacts: list[Contact] = []
        self.transitions: list[tuple[float, int]] = []
        self.last_transition, self.headers = -300, 0
        self.attack = 1

    def run(self) -> Course:
        n, half = self.steps, round(half_time_s(self.config) / STEP_S) if (
            half_time_s(self.config) < 1e9
        ) else -1
        pos, vel = np.empty((n, AGENTS, 2), np.float32), np.empty((n, AGENTS, 2), np.float32)
        fatigue, tilt = np.empty((n, AGENTS), np.float32), np.zeros((n, AGENTS), np.float32)
        ball, alive = np.empty((n, 3), np.float32), np.empty(n, np.bool_)
        wander = self.rng.standard_normal((n, AGENTS, 2)).astype(np.float32)
        chance = self.rng.random((n, AGENTS)).astype(np.float32)
        self.drift = np.zeros((AGENTS, 2))
        for k in range(n):
            if k == half:
                self.attack, self.home = -self.attack, -self.home
                self.game.half_time(k)
            pos[k], vel[k], fatigue[k] = self.pos, self.vel, self.fatigue
            tilt[k] = self.down_until > k
            self.game.step(k, self.pos, self.vel, self.attack)
            ball[k], alive[k] = self.game.ball, self.game.phase != Phase.DEAD
            self._bouts(k, chance[k])
            self._meet(k)
            self._move(k, wander[k])
        return Course(
            pos, vel, fatigue, tilt, ball, alive, self.game.log, self.contacts, self.transitions
        )

    def _bouts(self, k: int, chance: NDArray[np.float32]) -> None:
        """Who changes pace, who bursts, who sprints in a transition."""
        change = np.flatnonzero(chance < 0.025)
        if len(change):
            luck = self.rng.random(len(change)) * 0.999
            self.cap[change] = _CAPS[np.searchsorted(_CAP_SHARE, luck)]
        willing = 1.0 - 0.6 * self.fatigue
        alive = self.game.phase != Phase.DEAD
        for agent in np.flatnonzero(chance > 1 - 0.0006 * willing) if alive else ():
            self._sprint(k, int(agent), float(self.rng.uniform(0.93, 1.0)), (32, 46))
        for agent in np.flatnonzero((chance > 0.5) & (chance < 0.5 + 0.0012 * willing)):
            self._sprint(k, int(agent), float(self.rng.uniform(0.55, 0.72)), (10, 18))
        if self.game.turned_over and k - self.last_transition > 400 and self.rng.random() < 0.6:
            self._transition(k)

    def _transition(self, k: int) -> None:
        """Both teams run: the winners towards the other goal, the losers back to theirs."""
        self.last_transition = k
        count = int(self.rng.integers(6, 11))
        self.transitions.append((k * STEP_S, count))
        team, ball = self.game.team, self.game.ball[:2]
        weight = np.hypot(*(self.pos[:PLAYERS] - ball).T) + self.rng.exponential(12, PLAYERS)
        weight[[0, 11, self.game.holder]] += 1e3
        weight += 40 * self.fatigue[:PLAYERS] * self.rng.random(PLAYERS)
        for agent in np.argsort(weight)[:count]:
            delay = int(self.rng.integers(0, 6))
            self._sprint(k + delay, int(agent), float(self.rng.uniform(0.9, 1.0)), (34, 48))
            way = self.attack if team == 0 else -self.attack
            aim = self.pos[agent] + [way * self.rng.uniform(28, 42), self.rng.normal(0, 7)]
            self.sprint_to[agent] = np.clip(aim, [-50, -32], [50, 32])

    def _sprint(self, k: int, agent: int, share: float, steps: tuple[int, int]) -> None:
        self.sprint_until[agent] = k + int(self.rng.integers(*steps))
        tired = 1.0 - 0.16 * self.fatigue[agent]
        self.sprint_mps[agent] = self.traits.vmax_mps[agent] * share * tired
        way = self.attack * (1 if agent < 11 else -1) if agent < PLAYERS else 1
        angle = self.rng.normal(0, 0.9)
        aim = self.pos[agent] + 40 * np.array([way * math.cos(angle), math.sin(angle)])
        if abs(aim[0]) > 51:
            aim[0] = self.pos[agent, 0] - (aim[0] - self.pos[agent, 0])
        self.sprint_to[agent] = np.clip(aim, [-51, -33], [51, 33])

    def _targets(self, k: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Where each wants to be (25, 2) and how fast at most (25,)."""
        game = self.game
        ball = game.ball[:2]
        target = self.home * [0.85, 0.9] + ball * [0.5, 0.35] + self.drift
        target[[0, 11]] = self.home[[0, 11]] + self.drift[[0, 11]] * 0.3 + ball * [0.05, 0.04]
        target[22] = ball * 0.8 + [-6.0 * self.attack, 7.0] + self.drift[22]
        target[23] = [min(max(ball[0] + 8, 0), 50), -35]
        target[24] = [max(min(ball[0] - 8, 0), -50), 35]
        cap = np.maximum(self.cap, np.hypot(*(target - self.pos).T) * 0.16)
        np.minimum(cap, 5.2, out=cap)
        if game.phase == Phase.DEAD:
            target[game.holder] = ball
            cap *= 0.7
            cap[game.holder] = 4.0
            return target, cap
        near = np.hypot(*(self.pos[:PLAYERS] - ball).T)
        if game.phase == Phase.HELD:
            me = game.holder
            way = self.attack * (1 if me < 11 else -1)
            target[me] = self.pos[me] + [way * 12, -0.12 * self.pos[me, 1]]
            cap[me] = 4.2 if abs(self.pos[me, 0] + way * 6) < LENGTH_M / 2 else 1.0
            rivals = np.arange(11) + 11 * (1 - game.team)
            press = rivals[np.argmin(near[rivals])]
            target[press], cap[press] = ball, 5.0
        else:
            aim = game.aim if game.phase == Phase.FLIGHT else ball
            for team in (0, 1):
                own = np.arange(11) + 11 * team
                chase = own[np.argmin(np.hypot(*(self.pos[own] - aim).T))]
                target[chase], cap[chase] = aim, 6.2
            if game.phase == Phase.FLIGHT and game.kick_kind == "pass":
                target[game.receiver], cap[game.receiver] = aim, 6.6
        return target, cap

    def _move(self, k: int, wander: NDArray[np.float32]) -> None:
        """One step of pursuit with limits on speed and acceleration."""
        self.drift += -self.drift * 0.012 + wander * 0.55
        target, cap = self._targets(k)
        sprinting = self.sprint_until > k
        target[sprinting] = self.sprint_to[sprinting]
        gap = target - self.pos
        far = np.hypot(gap[:, 0], gap[:, 1]) + 1e-9
        want = np.where(sprinting, self.sprint_mps, np.minimum(cap, far * 0.7))
        down = self.down_until > k
        want[down] = 0.0
        push = (want / far)[:, None] * gap - self.vel
        push /= np.where(sprinting, 1.15, 0.7)[:, None]
        size = np.hypot(push[:, 0], push[:, 1]) + 1e-9
        limit = np.where(sprinting, 5.6 * (1 - 0.25 * self.fatigue), 2.7)
        limit[down] = 9.0
        push *= np.minimum(limit / size, 1.0)[:, None]
        self.vel += push * STEP_S
        self.pos += self.vel * STEP_S
        np.clip(self.pos, [-58, -37], [58, 37], out=self.pos)
        self._tire(push)

    def _tire(self, push: NDArray[np.float64]) -> None:
        """Latent fatigue grows with the lagged metabolic power, and a little recovers."""
        speed = np.hypot(self.vel[:, 0], self.vel[:, 1])
        along = np.maximum((push * self.vel).sum(1), 0.0)
        self.power += (4.64 * speed + 3.2 * along - self.power) * (STEP_S / 30)
        gain = (self.power * 0.1) ** 1.5 * self.traits.fatigability * 1.25e-4
        self.fatigue += (
            gain * (1 - self.fatigue) - 2e-5 * self.fatigue
        ) * (STEP_S * self.config.fatigue_rate)

    def _meet(self, k: int) -> None:
        """Tackles near the ball, knocks anywhere, jumps: rates match DOMAIN B14."""
        game, rng, rate = self.game, self.rng, self.config.contact_rate
        while self.headers < len(game.log.headers):
            t, who = game.log.headers[self.headers]
            self.headers += 1
            self._jump(t, who)
        if game.phase == Phase.HELD:
            me = game.holder
            rivals = np.arange(11) + 11 * (1 - game.team)
            gap = np.hypot(*(self.pos[rivals] - self.pos[me]).T)
            other = int(rivals[np.argmin(gap)])
            if gap.min() < 1.4 and rng.random() < 0.08 * rate and self._rested(k, me, other):
                self._collide(k, me, other)
        if rng.random() < 0.0045 * rate:
            who = int(rng.integers(PLAYERS))
            gap = np.hypot(*(self.pos - self.pos[who]).T)
            gap[who] = 99.0
            if gap.min() > 3.0 and self._rested(k, who, who):
                self._knock(k, who)
        if rng.random() < 0.003 * rate:
            self._jump(k * STEP_S + 0.3, int(rng.integers(PLAYERS)))

    def _rested(self, k: int, a: int, b: int) -> bool:
        """Contacts of one person are at least 3 s apart, so that each is one event."""
        free = bool(self.quiet[a] <= k and self.quiet[b] <= k)
        if free:
            self.quiet[[a, b]] = k + 30
        return free

    def _collide(self, k: int, a: int, b: int) -> None:
        rng = self.rng
        t = k * STEP_S + float(rng.uniform(0, STEP_S))
        away = self.pos[a] - self.pos[b]
        away = away / (np.hypot(*away) + 1e-6)
        kick = float(rng.uniform(1.6, 3.2))
        for me, other, sign in ((a, b, 1.0), (b, a, -0.8)):
            peak, seconds = float(rng.uniform(5.5, 14)), float(rng.uniform(0.08, 0.15))
            angle = float(rng.uniform(-math.pi, math.pi))
            self.contacts.append(Contact(t, me, "collision", peak, seconds, angle, other))
            self.vel[me] += away * kick * sign
            self.sprint_until[me] = 0
            if rng.random() < 0.28:
                self._fall(t + float(rng.uniform(0.45, 0.75)), me)
        if rng.random() < 0.5:
            self.game.take_away(k, b)

    def _fall(self, t: float, who: int) -> None:
        """On the ground: usually 1.5-4 s, and once in a while long enough for a man-down alert."""
        rng = self.rng
        stay = float(rng.uniform(10, 16)) if rng.random() < 0.06 else float(rng.uniform(1.5, 4))
        self.down_until[who] = int((t + stay) / STEP_S)
        angle = float(rng.uniform(-math.pi, math.pi))
        self.contacts.append(Contact(t, who, "fall", float(rng.uniform(4, 8)), stay, angle))

    def _knock(self, k: int, who: int) -> None:
        """A hard contact without another player (post, ground, ball), or a stumble and fall."""
        rng = self.rng
        t = k * STEP_S + float(rng.uniform(0, STEP_S))
        if rng.random() < 0.25:
            self._fall(t + 0.45, who)
            return
        peak, seconds = float(rng.uniform(5, 9)), float(rng.uniform(0.06, 0.12))
        angle = float(rng.uniform(-math.pi, math.pi))
        self.contacts.append(Contact(t, who, "impact", peak, seconds, angle))

    def _jump(self, t: float, who: int) -> None:
        k = int(t / STEP_S)
        if self.down_until[who] <= k and self._rested(k, who, who):
            air = float(self.rng.uniform(0.3, 0.62))
            peak = float(self.rng.uniform(2.7, 4.8))
            self.contacts.append(Contact(t, who, "jump", peak, air, 0.0))

