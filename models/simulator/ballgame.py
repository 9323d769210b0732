"""The ball's game: who has it, kicks, flights, passes, shots, out of play, restarts.

A state machine stepped at 10 Hz. It logs what happened (times in seconds from the start) and never
moves a player; `models.simulator.play` asks it where players should run.
"""

import math
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.simulator import flight
from models.simulator.traits import LENGTH_M, PLAYERS, WIDTH_M

STEP_S: Final = 0.1
_CONTROL_M: Final = 0.9
_REACH_Z_M: Final = 2.1
_TEAM: Final = np.arange(PLAYERS) // 11


class Phase(IntEnum):
    """What the ball is doing."""

    HELD = 0
    FLIGHT = 1
    LOOSE = 2
    DEAD = 3


@dataclass(slots=True)
class Log:
    """What happened, as rows; times in seconds.

    kicks   (t, agent, kind, dv_mps, angle_rad)      bounces (t, dv_mps)
    flights (t0, path (m, 3))                        passes  (t0, t1, giver, taker, length_m)
    shots   (t, agent, speed_mps, outcome)           outs    (t, x, y, sub_type)
    goals   (t, team, sign of x, y, z)               gains   (t, agent, changed)
    """

    kicks: list[tuple[float, int, str, float, float]] = field(default_factory=list)
    bounces: list[tuple[float, float]] = field(default_factory=list)
    flights: list[tuple[float, NDArray[np.float64]]] = field(default_factory=list)
    passes: list[tuple[float, float, int, int, float]] = field(default_factory=list)
    shots: list[tuple[float, int, float, str]] = field(default_factory=list)
    outs: list[tuple[float, float, float, str]] = field(default_factory=list)
    goals: list[tuple[float, int, int, float, float]] = field(default_factory=list)
    gains: list[tuple[float, int, bool]] = field(default_factory=list)
    headers: list[tuple[float, int]] = field(default_factory=list)


class BallGame:
    """State of the ball between steps. `attack` is +1 or -1: the direction of the home team."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng, self.log = rng, Log()
        self.phase, self.holder, self.team, self.until = Phase.DEAD, 9, 0, 5
        self.ball = np.array([0.0, 0.0, flight.RADIUS_M])
        self.roll, self.spot = np.zeros(2), np.zeros(2)
        self.path = np.empty((0, 3))
        self.path_speed = np.empty((0, 3))
        self.started, self.receiver, self.aim = 0.0, -1, np.zeros(2)
        self.outcome, self.kicker, self.kick_kind = "", 9, "restart"
        self.next_touch, self.turned_over, self.air = 0, False, False

    def step(
        self, k: int, pos: NDArray[np.float64], vel: NDArray[np.float64], attack: int
    ) -> None:
        """Advance to time k * 0.1 s with the players at `pos`, `vel` ((25, 2), m and m/s)."""
        self.turned_over = False
        if self.phase == Phase.HELD:
            self._held(k, pos, vel, attack)
        elif self.phase == Phase.FLIGHT:
            self._flying(k, pos, vel)
        elif self.phase == Phase.LOOSE:
            self._loose(k, pos, vel)
        else:
            self._carried(k, pos)

    def _carried(self, k: int, pos: NDArray[np.float64]) -> None:
        """Out of play: the ball is brought to the spot at 9 m/s at most; then it is restarted."""
        gap = self.spot - self.ball[:2]
        self.ball[:2] += gap * min(0.9 / (math.hypot(gap[0], gap[1]) + 1e-9), 1.0)
        self.ball[2] = flight.RADIUS_M
        if k >= self.until and math.hypot(gap[0], gap[1]) < 0.1:
            near = math.dist(pos[self.holder], self.ball[:2]) < 1.3
            if near or k > self.until + 120:
                self._gain(k, self.holder, np.zeros(2), hold=6)

    def _held(
        self, k: int, pos: NDArray[np.float64], vel: NDArray[np.float64], attack: int
    ) -> None:
        me = self.holder
        speed = math.hypot(vel[me, 0], vel[me, 1])
        ahead = 0.35 + 0.06 * speed
        way = vel[me] / speed if speed > 0.3 else np.array([self._forward(me, attack), 0.0])
        self.ball[:2] = pos[me] + way * ahead
        self.ball[2] = flight.RADIUS_M
        if abs(self.ball[0]) > LENGTH_M / 2 or abs(self.ball[1]) > WIDTH_M / 2:
            self.ball[0] = min(max(self.ball[0], -LENGTH_M / 2 + 0.3), LENGTH_M / 2 - 0.3)
            self.ball[1] = min(max(self.ball[1], -WIDTH_M / 2 + 0.3), WIDTH_M / 2 - 0.3)
        if k >= self.next_touch and speed > 1.0:
            self.next_touch = k + int(self.rng.integers(5, 9))
            dv = float(self.rng.uniform(1.3, 2.2) + 0.25 * speed)
            self.log.kicks.append((k * STEP_S, me, "touch", dv, math.atan2(way[1], way[0])))
        if k >= self.until:
            self._decide(k, pos, vel, attack)

    def _forward(self, agent: int, attack: int) -> int:
        return attack if agent < 11 else -attack

    def _decide(
        self, k: int, pos: NDArray[np.float64], vel: NDArray[np.float64], attack: int
    ) -> None:
        me, way = self.holder, self._forward(self.holder, attack)
        goal = np.array([way * LENGTH_M / 2, 0.0])
        to_goal = math.dist(self.ball[:2], goal)
        t0 = k * STEP_S + float(self.rng.uniform(0, STEP_S))
        self.ball[:2] += vel[me] * (t0 - k * STEP_S)
        if to_goal < 27 and self.rng.random() < 0.8 * (1.25 - to_goal / 27):
            self._shoot(t0, goal, way)
        else:
            self._pass(t0, pos, vel, way)

    def _shoot(self, t0: float, goal: NDArray[np.float64], way: int) -> None:
        rng = self.rng
        target_y, target_z = rng.normal(0, 2.9), abs(rng.normal(0.9, 0.9))
        dx, dy = goal[0] - self.ball[0], target_y - self.ball[1]
        reach, speed = math.hypot(dx, dy), float(rng.uniform(19, 31))
        time = reach / (speed * 0.9)
        rise = (target_z - self.ball[2]) / time + 0.5 * 9.8 * time
        velocity = (speed * dx / reach, speed * dy / reach, rise)
        path, speeds, bounces = self._launch(t0, velocity, time + 1.2)
        beyond = np.flatnonzero(path[:, 0] * way >= LENGTH_M / 2 + flight.RADIUS_M)
        outcome = "blocked"
        if len(beyond):
            i = int(beyond[0])
            y, z = abs(path[i, 1]), path[i, 2]
            inside = y < 3.55 and z < 2.33
            saved = inside and rng.random() < 0.62
            outcome = "saved" if saved else "goal" if inside else "off_target"
            if saved:
                i = max(1, i - int(0.5 / (speed * flight.PATH_S)) - 3)
                self._cut(i, path, speeds)
            else:
                self._cut(i + (8 if inside else 30), path, speeds)
            if outcome == "goal":
                self.log.goals.append(
                    (t0 + i * flight.PATH_S, self.team, way, float(path[i, 1]), float(z))
                )
        self.log.shots.append((t0, self.holder, speed, outcome))
        self._off(t0, "shot", outcome, velocity, bounces, 11 if self.holder < 11 else 0)

    def _pass(
        self, t0: float, pos: NDArray[np.float64], vel: NDArray[np.float64], way: int
    ) -> None:
        rng, me = self.rng, self.holder
        mates = np.flatnonzero((self.team == _TEAM) & (np.arange(PLAYERS) != me))
        gap = pos[mates] - self.ball[:2]
        reach = np.hypot(gap[:, 0], gap[:, 1])
        rivals = pos[np.flatnonzero(self.team != _TEAM)]
        free = np.min(np.hypot(*(pos[mates][:, None] - rivals[None]).transpose(2, 0, 1)), axis=1)
        score = 0.03 * gap[:, 0] * way + 0.25 * np.minimum(free, 6) - 0.002 * (reach - 15) ** 2
        score += rng.gumbel(0, 0.6, len(mates))
        score[reach < 4] -= 5
        taker = int(mates[int(np.argmax(score))])
        loft = bool(reach[mates == taker][0] > 22 and rng.random() < 0.7)
        seconds = reach[mates == taker][0] / (15.0 if not loft else 13.0)
        aim = pos[taker] + vel[taker] * min(seconds, 1.5)
        hurried = rng.random() < 0.13
        sigma = 0.035 * math.dist(aim, self.ball[:2]) + 0.2
        aim = aim + rng.normal(0, 9.0 if hurried else sigma, 2)
        if hurried and rng.random() < 0.6:
            aim[1] = math.copysign(float(rng.uniform(33, 46)), aim[1])
        dx, dy = aim - self.ball[:2]
        length = max(math.hypot(dx, dy), 1.0)
        if loft:
            angle = float(rng.uniform(0.42, 0.62))
            speed = flight.loft_for(length, angle)
        else:
            angle, speed = 0.0, min(flight.ground_speed_for(length, 4.5), 24.0)
        flat = speed * math.cos(angle)
        velocity = (flat * dx / length, flat * dy / length, speed * math.sin(angle))
        path, speeds, bounces = self._launch(t0, velocity, 4.5)
        self.air = loft
        self._until_out(path, speeds)
        if loft:
            self._duel_in_the_air(t0, taker, pos, bounces)
        self._off(t0, "pass", "", velocity, bounces, taker)

    def _duel_in_the_air(
        self, t0: float, taker: int, pos: NDArray[np.float64], bounces: list[tuple[int, float]]
    ) -> None:
        if not bounces or self.rng.random() > 0.5:
            return
        t = t0 + bounces[0][0] * flight.PATH_S - float(self.rng.uniform(0.35, 0.6))
        if t > t0 + 0.3:
            self.log.headers.append((t, taker))

    def _launch(
        self, t0: float, velocity: tuple[float, float, float], seconds: float
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], list[tuple[int, float]]]:
        start = (float(self.ball[0]), float(self.ball[1]), flight.RADIUS_M)
        path, speeds, bounces = flight.fly(start, velocity, seconds)
        self.path, self.path_speed, self.started = path, speeds, t0
        return path, speeds, bounces

    def _cut(self, i: int, path: NDArray[np.float64], speeds: NDArray[np.float64]) -> None:
        end = max(2, min(i + 1, len(path)))
        self.path, self.path_speed = path[:end], speeds[:end]

    def _until_out(self, path: NDArray[np.float64], speeds: NDArray[np.float64]) -> None:
        outside = (np.abs(path[:, 0]) > LENGTH_M / 2 + 0.11) | (
            np.abs(path[:, 1]) > WIDTH_M / 2 + 0.11
        )
        if outside.any():
            self._cut(int(np.argmax(outside)) + 15, path, speeds)

    def _off(
        self, t0: float, kind: str, outcome: str, velocity: tuple[float, float, float],
        bounces: list[tuple[int, float]], receiver: int,
    ) -> None:
        speed = math.sqrt(sum(v * v for v in velocity))
        self.log.kicks.append(
            (t0, self.holder, kind, speed, math.atan2(velocity[1], velocity[0]))
        )
        self._bounces = bounces
        self.phase, self.outcome, self.receiver = Phase.FLIGHT, outcome, receiver
        self.kicker, self.kick_kind = self.holder, kind
        last = self.path[-1]
        if kind == "pass" and self.air and bounces and bounces[0][0] < len(self.path):
            last = self.path[bounces[0][0]]
        self.aim = last[:2].copy()
        self.kick_from = self.path[0].copy()

    def _end_flight(self, i: int) -> None:
        self.log.flights.append((self.started, self.path[: i + 1]))
        self.log.bounces += [
            (self.started + j * flight.PATH_S, dv) for j, dv in self._bounces if j <= i
        ]

    def _flying(self, k: int, pos: NDArray[np.float64], vel: NDArray[np.float64]) -> None:
        i = int((k * STEP_S - self.started) / flight.PATH_S)
        end = len(self.path) - 1
        i = max(0, min(i, end))
        self.ball[:] = self.path[i]
        elapsed = k * STEP_S - self.started
        if self.ball[2] < _REACH_Z_M and elapsed > 0.25 and self.kick_kind == "pass":
            gap = np.hypot(pos[:PLAYERS, 0] - self.ball[0], pos[:PLAYERS, 1] - self.ball[1])
            gap[self.kicker] += 9.0 if elapsed < 1.0 else 0.0
            who = int(np.argmin(gap))
            near = gap[who] < _CONTROL_M
            if near and (who == self.receiver or self.rng.random() < 0.16):
                self._end_flight(i)
                self._gain(k, who, self.path_speed[i, :2])
                return
        if i >= end:
            self._end_flight(i)
            self._landed(k, pos, i)

    def _landed(self, k: int, pos: NDArray[np.float64], i: int) -> None:
        t = k * STEP_S
        x, y = float(self.ball[0]), float(self.ball[1])
        if self.outcome == "goal":
            self._dead(k, np.zeros(2), 1 - self.team, 9, 200)
        elif self.outcome == "saved":
            self._gain(k, self.receiver, self.path_speed[i, :2], hold=20)
        elif abs(x) > LENGTH_M / 2 or abs(y) > WIDTH_M / 2:
            throw = abs(y) > WIDTH_M / 2 and abs(x) <= LENGTH_M / 2 + 1
            self.log.outs.append((t, x, y, "touchline" if throw else "goal_line"))
            spot = np.array([
                min(max(x, -LENGTH_M / 2 + 0.5), LENGTH_M / 2 - 0.5),
                min(max(y, -WIDTH_M / 2 + 0.2), WIDTH_M / 2 - 0.2),
            ])
            team = 1 - self.team
            if not throw:
                spot = np.array([math.copysign(LENGTH_M / 2 - 5.5, x), 5.0])
            wait = int(self.rng.integers(50, 130))
            own = np.flatnonzero(team == _TEAM)
            taker = int(own[np.argmin(np.hypot(*(pos[own] - spot).T))])
            self._dead(k, spot, team, taker if throw else team * 11, wait)
        else:
            self.phase, self.roll = Phase.LOOSE, self.path_speed[i, :2].copy() * 0.7

    def _dead(self, k: int, spot: NDArray[np.float64], team: int, taker: int, wait: int) -> None:
        self.phase, self.until, self.team = Phase.DEAD, k + wait, team
        self.holder = taker if taker // 11 == team else team * 11 + 9
        self.spot = spot
        self.kick_kind = "restart"

    def half_time(self, k: int) -> None:
        """Stop, and restart from the centre after a short break for the other team."""
        if self.phase == Phase.FLIGHT:
            i = int((k * STEP_S - self.started) / flight.PATH_S)
            self._end_flight(max(0, min(i, len(self.path) - 1)))
        self._dead(k, np.zeros(2), 1, 20, 300)

    def _loose(self, k: int, pos: NDArray[np.float64], vel: NDArray[np.float64]) -> None:
        self.ball[:2] += self.roll * STEP_S
        self.ball[2] = flight.RADIUS_M
        self.roll *= 0.93
        if abs(self.ball[0]) > LENGTH_M / 2 + 0.2 or abs(self.ball[1]) > WIDTH_M / 2 + 0.2:
            self.path_speed = np.array([[self.roll[0], self.roll[1], 0.0]])
            self.outcome = ""
            self._landed(k, pos, 0)
            return
        gap = np.hypot(pos[:PLAYERS, 0] - self.ball[0], pos[:PLAYERS, 1] - self.ball[1])
        who = int(np.argmin(gap))
        if gap[who] < _CONTROL_M:
            self._gain(k, who, self.roll)

    def take_away(self, k: int, winner: int) -> None:
        """`winner` has won the ball in a tackle."""
        self._gain(k, winner, np.zeros(2))

    def _gain(
        self, k: int, who: int, ball_velocity: NDArray[np.float64], hold: int = 0
    ) -> None:
        t, team = k * STEP_S, who // 11
        restart = self.phase == Phase.DEAD
        changed = team != self.team
        if self.phase in (Phase.FLIGHT, Phase.LOOSE) and self.kick_kind == "pass":
            length = math.dist(self.kick_from[:2], self.ball[:2])
            self.log.passes.append((self.started, t, self.kicker, who, length))
        dv = float(math.hypot(ball_velocity[0], ball_velocity[1]))
        if dv > 1.0:
            angle = math.atan2(-ball_velocity[1], -ball_velocity[0])
            self.log.kicks.append((t, who, "control", dv, angle))
        self.log.gains.append((t, who, changed))
        self.turned_over = changed and not restart
        self.phase, self.holder, self.team = Phase.HELD, who, team
        self.until = k + (hold or 5 + int(self.rng.gamma(2.0, 8.0)))
        self.next_touch = k + 4
        self.kick_kind = "held"
