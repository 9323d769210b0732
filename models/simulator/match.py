"""MatchSimulator: a whole simulated match as chunks of one second, at random access.

`chunk(k)` holds the rows that arrive in second k, in arrival order; it depends on the config and on
k only, never on which chunks were asked for before. The last chunk also holds what arrives after
the end of play. Counters, clocks, losses, duplicates and faults are as real devices have them.
"""

import math
from typing import Final

import numpy as np

from models.simulator.config import Faults, MatchConfig, PlannedFault
from models.simulator.faults import FaultEffects, loss_chain
from models.simulator.motion import BALL_GRID_HZ
from models.simulator.scene import play_scene
from models.simulator.sensors import Sensors
from models.simulator.traits import build_roster
from models.simulator.transport import Network, Samples, packets_per_s
from models.simulator.truth import Truth
from models.telemetry.block import SampleBlock, concat_blocks
from models.telemetry.kinds import Kind

__all__ = ["Faults", "MatchConfig", "MatchSimulator", "PlannedFault"]

_SECOND_NS: Final = 1_000_000_000
_KEPT_SECONDS: Final = 3
_WEATHER_EVERY_S: Final = 60


class MatchSimulator:
    """A match to be read chunk by chunk. Building it plays the match (about 0.1 s a minute)."""

    def __init__(self, config: MatchConfig) -> None:
        self.config = config
        self._scene = play_scene(config)
        self.roster = build_roster(config, self._scene.traits)
        root = np.random.SeedSequence([config.seed, 1])
        link_rng, sensor_rng = (np.random.default_rng(child) for child in root.spawn(2))
        effects = FaultEffects(config, self._scene.plan, loss_chain(config, link_rng), link_rng)
        self._network = Network(config, effects)
        self._sensors = Sensors(config, self._scene, self.roster, effects, sensor_rng)
        self._seconds: dict[int, dict[Kind, SampleBlock]] = {}

    @property
    def chunks(self) -> int:
        """How many chunks there are: the duration in seconds, rounded up."""
        return math.ceil(self.config.duration_s)

    @property
    def truth(self) -> Truth:
        """What really happened."""
        return self._scene.truth

    def chunk(self, k: int) -> dict[Kind, SampleBlock]:
        """The rows whose `t_ingest` lies in second k, per kind (kinds without rows are left out).

        Raises IndexError outside [0, chunks).
        """
        if not 0 <= k < self.chunks:
            raise IndexError(k, self.chunks)
        start_ns = self.config.start_ns + k * _SECOND_NS
        end_ns = start_ns + _SECOND_NS if k < self.chunks - 1 else 2**63 - 1
        parts: dict[Kind, list[SampleBlock]] = {}
        for second in (k - 1, k):
            for kind, block in (self._sensed(second) if second >= 0 else {}).items():
                first, last = np.searchsorted(block.t_ingest_ns, [start_ns, end_ns])
                if last > first:
                    parts.setdefault(kind, []).append(block.take(slice(int(first), int(last))))
        return {kind: _in_order(parts[kind]) for kind in Kind if kind in parts}

    def _sensed(self, second: int) -> dict[Kind, SampleBlock]:
        """All rows measured in `second`, in arrival order; the last few seconds are kept."""
        if second not in self._seconds:
            if len(self._seconds) >= _KEPT_SECONDS:
                self._seconds.pop(next(iter(self._seconds)))
            self._seconds[second] = self._sense(second)
        return self._seconds[second]

    def _sense(self, second: int) -> dict[Kind, SampleBlock]:
        sensors, config = self._sensors, self.config

        def rng(lane: int) -> np.random.Generator:
            return np.random.Generator(np.random.PCG64([config.seed, second, lane]))

        carry, luck = self._network.carry, rng(99)
        blocks = {}
        for lane, (kind, sense, hz) in enumerate((
            (Kind.LPS, sensors.lps, config.pos_hz), (Kind.IMU, sensors.imu, config.imu_hz),
            (Kind.HEART, sensors.heart, 1), (Kind.HEALTH, sensors.health, 1),
            (Kind.BALL_POS, sensors.ball_pos, BALL_GRID_HZ),
            (Kind.BALL_IMU, sensors.ball_imu, config.ball_hz), (Kind.ANCHOR, sensors.anchor, 1),
        )):
            blocks[kind] = carry(sense(second, rng(lane)), packets_per_s(hz), luck)
        if second % _WEATHER_EVERY_S == 0:
            blocks[Kind.WEATHER] = carry(sensors.weather(second, rng(7)), 1, luck)
        for kind, parts in (
            (Kind.GOAL_LINE, sensors.goal_line(second)), (Kind.REFEREE, sensors.referee(second)),
        ):
            if parts:
                blocks[kind] = self._carry_all(parts, luck)
        return blocks

    def _carry_all(self, parts: list[Samples], luck: np.random.Generator) -> SampleBlock:
        return _in_order([self._network.carry(part, 1, luck) for part in parts])


def _in_order(blocks: list[SampleBlock]) -> SampleBlock:
    """The rows of blocks of one kind in arrival order; ties keep the order given."""
    if len(blocks) == 1:
        return blocks[0]
    joined = concat_blocks(blocks)
    order = np.argsort(joined.t_ingest_ns, kind="stable")
    return joined.take(order)
