"""Transport: samples become packets, packets are lost, delayed, overtaken and doubled on their way.

Turns the (D, n) samples of one kind and one second into a `SampleBlock` in arrival order.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.simulator.config import MatchConfig
from models.simulator.faults import FaultEffects
from models.telemetry.block import SampleBlock
from models.telemetry.flags import Flag
from models.telemetry.kinds import Kind

_BASE_DELAY_S: Final = 0.010


@dataclass(frozen=True, slots=True)
class Samples:
    """What D devices of one kind measured in one second: rows of the roster's device list (D,),
    radio links (D,), boot, seq, made (D, n), true time (D, n) seconds, values (C, D, n)."""

    kind: Kind
    device: NDArray[np.int32]
    links: NDArray[np.int64]
    boot: NDArray[np.uint32]
    seq: NDArray[np.uint32]
    made: NDArray[np.bool_]
    t_s: NDArray[np.float64]
    values: NDArray[np.float32]


def packets_per_s(hz: int) -> int:
    """Packets each second for a sample rate: 20 where that divides it, else 25, 10, or all."""
    return next((rate for rate in (20, 25, 10) if hz % rate == 0), hz)


class Network:
    """Carries the samples of one match."""

    def __init__(self, config: MatchConfig, effects: FaultEffects) -> None:
        self.config, self.effects = config, effects

    def carry(self, samples: Samples, packets: int, rng: np.random.Generator) -> SampleBlock:
        """The rows that arrive, in arrival order. `packets` per device divide the samples."""
        devices, count = samples.t_s.shape
        size = count // packets
        sent = samples.t_s[:, size - 1 :: size]
        luck = rng.random((3, devices, packets))
        arrival = sent + self._delay_s(luck[1])
        lost = luck[0] < self.effects.loss(samples.links, sent)
        lost |= self._in_hiccup(arrival)
        keep = samples.made & ~np.repeat(lost, size, axis=1)
        twice = (luck[2] < self.config.faults.duplicate_ratio) & ~lost
        rows = np.flatnonzero(keep)
        arrives = np.repeat(arrival, size, axis=1).ravel()
        if twice.any():
            again = np.flatnonzero(keep & np.repeat(twice, size, axis=1))
            late = 0.005 + 0.4 * self.config.faults.max_delay_s * luck[2] / max(
                self.config.faults.duplicate_ratio, 1e-9
            )
            second = arrives[again] + np.repeat(late, size, axis=1).ravel()[again]
            rows, when = np.concatenate([rows, again]), np.concatenate([arrives[rows], second])
        else:
            when = arrives[rows]
        order = np.argsort(when, kind="stable")
        return self._block(samples, rows[order], when[order])

    def _block(
        self, samples: Samples, rows: NDArray[np.intp], when: NDArray[np.float64]
    ) -> SampleBlock:
        devices, count = samples.t_s.shape
        start = self.config.start_ns
        reading = samples.t_s + self.effects.clock_error_s(samples.links, samples.t_s)
        channels = len(samples.values)
        return SampleBlock(
            samples.kind, samples.device[rows // count],
            samples.boot.reshape(-1)[rows], samples.seq.reshape(-1)[rows],
            start + (reading.reshape(-1)[rows] * 1e9).astype(np.int64),
            start + (when * 1e9).astype(np.int64),
            np.full(len(rows), int(Flag.SIMULATED), np.uint32),
            samples.values.reshape(channels, devices * count)[:, rows],
        )

    def _delay_s(self, luck: NDArray[np.float64]) -> NDArray[np.float64]:
        """Mostly 10-40 ms; one packet in fifty anywhere up to the largest delay."""
        most = self.config.faults.max_delay_s
        usual = _BASE_DELAY_S - 0.012 * np.log(1 - np.minimum(luck / 0.98, 0.999))
        slow = _BASE_DELAY_S + (most - _BASE_DELAY_S) * (luck - 0.98) / 0.02
        return np.where(luck < 0.98, np.minimum(usual, most), slow)

    def _in_hiccup(self, arrival: NDArray[np.float64]) -> NDArray[np.bool_]:
        faults = self.config.faults
        if faults.hiccup_at_s <= 0 or faults.hiccup_s <= 0:
            return np.zeros(arrival.shape, np.bool_)
        since = arrival - faults.hiccup_at_s
        return (since >= 0) & (since < faults.hiccup_s)
