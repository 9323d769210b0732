"""Fatigue features of simulated matches with the latent truth, for training and evaluation.

The features are those that the flow kernel gives every 30 s (ten-second bins, the last five minutes
against the own match so far), computed here from the moved course instead of from samples, because
a season of matches must be cheap. PlayerLoad per second is fitted per match on sampled seconds of
the simulated motion sensors: it keeps their dependence on speed, style and fatigue. No torch.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.metrics.balance import balance_step
from models.metrics.fatigue import (
    BALANCE_MIDDLE,
    BALANCE_SD,
    DECLINE_SD,
    DRIFT_SD,
    LOAD_SD,
    fatigue_index,
)
from models.nets.contract import FATIGUE_FEATURES
from models.simulator.body import BOUNCE, GRID_HZ, SPEED, Grids
from models.simulator.match import MatchConfig
from models.simulator.motion import BodyMotion
from models.simulator.scene import Scene, play_scene
from models.simulator.traits import AGENTS, GRAVITY, PLAYERS, subject_ids

Array = NDArray[np.float64]
BIN_S: Final = 10
WINDOW_BINS: Final = 30
EVERY_BINS: Final = 3
LEARNED_S: Final = 120.0
_COVERAGE: Final = FATIGUE_FEATURES.index("coverage")
_TIME, _DIST, _HSR, _LOAD, _EFFORTS, _WORK, _HR, _DBAL = range(8)


@dataclass(frozen=True, slots=True)
class FatigueExamples:
    """features (n, 8) float32, target (n,) float32 latent fatigue, subject (n,) number of a person
    (unique over the matches of one call)."""

    features: NDArray[np.float32]
    target: NDArray[np.float32]
    subject: NDArray[np.int64]


def fatigue_examples(configs: list[MatchConfig], rng: np.random.Generator) -> FatigueExamples:
    """Examples of all players of the matches."""
    parts = [_of_match(config, rng) for config in configs]
    return FatigueExamples(
        np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts]),
        np.concatenate([p[2] + i * PLAYERS for i, p in enumerate(parts)]),
    )


def _of_match(
    config: MatchConfig, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]:
    scene = play_scene(config)
    bins = _bins(config, scene, rng)[:, :PLAYERS]
    count = len(bins)
    features, target = [], []
    for end in range(int(LEARNED_S) // BIN_S + EVERY_BINS, count + 1, EVERY_BINS):
        recent = bins[max(0, end - WINDOW_BINS + 1) : end].sum(0)
        rows = _features(recent, bins[:end].sum(0), end * BIN_S / 60)
        rows[:, _COVERAGE] = np.maximum(1 - rng.exponential(0.04, len(rows)), 0.3)
        features.append(rows)
        at = min(end * BIN_S, len(scene.truth.fatigue) - 1)
        target.append(scene.truth.fatigue[at, :PLAYERS])
    subject = np.tile(np.arange(PLAYERS), len(features))
    return np.concatenate(features), np.concatenate(target), subject


def _bins(config: MatchConfig, scene: Scene, rng: np.random.Generator) -> Array:
    """Ten-second sums per person: (bins, 25, 8)."""
    grids = scene.grids
    width = BIN_S * GRID_HZ
    count = int(config.duration_s) // BIN_S
    speed = grids.motion[: count * width, :, SPEED].astype(np.float64)
    dt = 1 / GRID_HZ
    moving = np.where(speed >= 0.3, speed * dt, 0.0)
    columns = [
        np.full(speed.shape, dt), moving, np.where(speed >= 5.5, moving, 0.0),
        _load_au_per_s(config, scene, rng)[: len(speed)] * dt, _efforts(speed),
        grids.power[: len(speed)] * dt,
        np.repeat(grids.heart, GRID_HZ, axis=0)[: len(speed)] * dt,
        _balance(speed, scene) * dt,
    ]
    return np.stack(
        [c.reshape(count, width, AGENTS).sum(1) for c in columns], axis=2
    )


def _load_au_per_s(config: MatchConfig, scene: Scene, rng: np.random.Generator) -> Array:
    """PlayerLoad rate of everybody, (n, 25): bounce times a curve of speed, fitted on a sample of
    seconds of the motion sensors."""
    grids: Grids = scene.grids
    seconds = int(config.duration_s)
    body = BodyMotion(
        grids, scene.traits, scene.course.contacts, scene.course.log, rng, seconds + 1
    )
    sampled = rng.choice(seconds, min(60, seconds), replace=False)
    speeds, loads = [], []
    for second in sampled.tolist():
        t_s = np.broadcast_to(second + np.arange(100) / 100, (AGENTS, 100))
        acc = body.felt(second, t_s, rng).acc / GRAVITY
        load = np.sqrt((np.diff(acc, axis=2) ** 2).sum(0)).sum(1) / 99
        here = grids.motion[second * GRID_HZ : (second + 1) * GRID_HZ].mean(0)
        speeds.append(here[:, SPEED])
        loads.append(load / here[:, BOUNCE])
    v = np.concatenate(speeds)
    basis = np.stack([np.ones_like(v), v, v**2, v**3], axis=1).astype(np.float64)
    fit, *_ = np.linalg.lstsq(basis, np.concatenate(loads), rcond=None)
    speed = grids.motion[..., SPEED].astype(np.float64)
    curve = fit[0] + fit[1] * speed + fit[2] * speed**2 + fit[3] * speed**3
    spread = np.exp(0.10 * rng.standard_normal(speed.shape))
    rate: Array = np.maximum(curve, 0.005) * grids.motion[..., BOUNCE] * spread
    return rate


def _efforts(speed: Array) -> Array:
    """1 where an acceleration or deceleration of 3 m/s^2 has lasted half a second, (n, 25)."""
    change = np.gradient(speed, 1 / GRID_HZ, axis=0)
    # The live filter (two poles of 0.1 s) flattens peaks: three steps of mean stand for it.
    smooth = change.copy()
    smooth[1:-1] = (change[:-2] + change[1:-1] + change[2:]) / 3
    total = np.zeros(speed.shape)
    for sign in (1, -1):
        strong = sign * smooth >= 3.0
        held = strong.copy()
        for back in range(1, 5):
            held[back:] &= strong[:-back]
        held[:5] = False
        started = held.copy()
        started[1:] &= ~held[:-1]
        total += started
    return total


def _balance(speed: Array, scene: Scene) -> Array:
    """Share of D' left, (n, 25)."""
    critical = np.round(scene.traits.vmax_mps * 0.45, 2)
    share = np.empty(speed.shape)
    for agent in range(AGENTS):
        left, limit = 180.0, float(critical[agent])
        for step, v in enumerate(speed[:, agent].tolist()):
            left = balance_step(left, 180.0, v, limit, 0.1)
            share[step, agent] = left / 180.0
    return share


def _features(recent: Array, whole: Array, minutes: float) -> NDArray[np.float32]:
    """(22, 8) features as the flow kernel makes them."""
    rows = np.empty((len(recent), len(FATIGUE_FEATURES)), np.float32)
    for person in range(len(recent)):
        z, left = scores(recent[person], whole[person])
        index, _, _ = fatigue_index(z, minutes, 1.0)
        rows[person] = (z[0], z[1], left, z[3], z[4], minutes, 1.0, index)
    return rows


def scores(now: Array, whole: Array) -> tuple[Array, float]:
    """z scores (5,) and the D' share, from the sums of the last five minutes and of the match."""
    z = np.full(5, np.nan)
    span, total = now[_TIME], whole[_TIME]
    if whole[_HSR] >= 20.0:
        z[0] = (1 - (now[_HSR] / span) / (whole[_HSR] / total)) / DECLINE_SD
    if whole[_DIST] > 100.0 and now[_DIST] > 50.0:
        own = whole[_LOAD] / whole[_DIST]
        z[1] = ((now[_LOAD] / now[_DIST]) / own - 1) / LOAD_SD
    left = float(now[_DBAL] / span)
    z[2] = (BALANCE_MIDDLE - left) / BALANCE_SD
    z[3] = (1 - (now[_WORK] / now[_HR]) / (whole[_WORK] / whole[_HR])) / DRIFT_SD
    if whole[_EFFORTS] >= 3.0:
        z[4] = (1 - (now[_EFFORTS] / span) / (whole[_EFFORTS] / total)) / DECLINE_SD
    return z, left


def people(configs: list[MatchConfig]) -> list[str]:
    """Ids of all players of the matches, in the order of `FatigueExamples.subject`."""
    return [subject for config in configs for subject in subject_ids(config)[:PLAYERS]]
