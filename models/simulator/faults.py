"""Faults: what goes wrong with devices and links, and when (DOMAIN B13).

Owns the plan (which device, from when), the burst-loss chain of every link, and the effect of each
fault on sample rows. Seconds from the start. Rows of a kind are (D, n): D devices, n samples.

    battery     voltage sags over the ramp; half rate from 60 %, a brown-out reboot at 85 %, dead
    dropout     loss climbs 2 % -> 40 % over the ramp, then silence for `SILENT_S`, then healthy
    noise       noise of the motion sensor grows to 1.5 g, and it stays
    spikes      single outliers grow from 0.1 % to 6 % of samples, and they stay
    saturation  gain of the accelerometer grows until it clips, and it stays
    clock       the device clock steps by `size` seconds at once
    stuck       the heart strap repeats its value from the onset
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.simulator.config import Faults, MatchConfig, PlannedFault
from models.simulator.traits import AGENTS, PLAYERS, TAG_FULL_SCALE, subject_ids
from models.simulator.truth import TrueFault
from models.telemetry.kinds import Kind

SILENT_S: Final = 45.0
SLOTS_PER_S: Final = 10
LINKS: Final = 2 * AGENTS + 1
"""Radio links: 25 tags, 25 straps, the ball."""
BALL_LINK: Final = 2 * AGENTS
_BAD_LOSS: Final = 0.7
_LEAVE_BAD: Final = 0.2
_HALF_AT, _REBOOT_AT, _REBOOT_S = 0.6, 0.85, 1.5
_NAMES: Final = {"dropout", "stuck", "spikes", "noise", "battery", "clock", "saturation"}


def plan_faults(config: MatchConfig, rng: np.random.Generator) -> tuple[PlannedFault, ...]:
    """The faults of one match: the four standard ones on four different players, and the extra."""
    who = rng.permutation(np.setdiff1d(np.arange(PLAYERS), [0, 11]))[:4].tolist()
    faults: Faults = config.faults
    standard = (
        PlannedFault("stuck", who[0], faults.stuck_heart_s, 0.0),
        PlannedFault("battery", who[1], faults.dying_battery_s, 180.0),
        PlannedFault("clock", who[2], faults.clock_jump_at_s, 0.0, faults.clock_jump_s),
        PlannedFault("dropout", who[3], faults.dropout_at_s, 150.0),
    )
    assert all(fault.fault in _NAMES for fault in faults.extra), faults.extra
    return (*(f for f in standard if 0 < f.onset_s < config.duration_s), *faults.extra)


def true_faults(config: MatchConfig, plan: tuple[PlannedFault, ...]) -> list[TrueFault]:
    """The plan as truth, with the feed-wide hiccup, cut at the end of the match."""
    ids, start = subject_ids(config), config.start_ns
    end_ns = start + int(config.duration_s * 1e9)

    def at(seconds: float) -> int:
        return min(start + int(seconds * 1e9), end_ns)

    truth = []
    for fault in plan:
        device = f"{'strap' if fault.fault == 'stuck' else 'tag'}-{ids[fault.agent]}"
        kind = Kind.HEART if fault.fault == "stuck" else Kind.IMU
        failed = fault.onset_s + fault.ramp_s
        over = at(failed + SILENT_S) if fault.fault == "dropout" else end_ns
        usable = failed >= config.duration_s or fault.fault == "clock"
        failed_ns = 0 if usable else at(failed)
        truth.append(TrueFault(fault.fault, device, str(kind), at(fault.onset_s), failed_ns, over))
    hiccup = config.faults
    if 0 < hiccup.hiccup_at_s < config.duration_s and hiccup.hiccup_s > 0:
        over = at(hiccup.hiccup_at_s + hiccup.hiccup_s)
        truth.append(TrueFault("hiccup", "", "", at(hiccup.hiccup_at_s), 0, over))
    return truth


def loss_chain(config: MatchConfig, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Gilbert-Elliott state of every link per 100 ms slot: (slots, LINKS), True = bad."""
    slots = (int(config.duration_s) + 3) * SLOTS_PER_S
    bad = np.zeros((slots, LINKS), np.bool_)
    share = min(config.faults.loss_ratio / _BAD_LOSS, 0.9)
    if share <= 0:
        return bad
    enter = _LEAVE_BAD * share / (1 - share)
    chance = rng.random((slots, LINKS), dtype=np.float32)
    enters, stays = chance < enter, chance >= _LEAVE_BAD
    state = rng.random(LINKS) < share
    for slot in range(slots):
        state = np.where(state, stays[slot], enters[slot])
        bad[slot] = state
    return bad


def growth(fault: PlannedFault, t_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """0 before the onset, rising to 1 at its end, then 1."""
    return np.clip((t_s - fault.onset_s) / max(fault.ramp_s, 1e-9), 0.0, 1.0)


class FaultEffects:
    """Applies the plan of one match to rows."""

    def __init__(
        self, config: MatchConfig, plan: tuple[PlannedFault, ...], bad: NDArray[np.bool_],
        rng: np.random.Generator,
    ) -> None:
        self.config, self.plan, self.bad = config, plan, bad
        self.drift = rng.normal(0.0, 1.0, LINKS) * config.faults.clock_ppm * 1e-6

    def _of(self, *names: str) -> list[PlannedFault]:
        return [fault for fault in self.plan if fault.fault in names]

    def clock_error_s(
        self, links: NDArray[np.int64], t_s: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """What to add to true time to get the device's reading, (D, n)."""
        error = self.drift[links][:, None] * t_s
        for fault in self._of("clock"):
            error[links == fault.agent] += np.where(
                t_s[links == fault.agent] >= fault.onset_s, fault.size, 0.0
            )
        return error

    def loss(self, links: NDArray[np.int64], t_s: NDArray[np.float64]) -> NDArray[np.float64]:
        """Probability that a packet sent at t_s (D, p) over `links` (D,) is lost."""
        slot = np.minimum((t_s * SLOTS_PER_S).astype(np.int64), len(self.bad) - 1)
        lost: NDArray[np.float64] = self.bad[slot, links[:, None]] * np.float64(_BAD_LOSS)
        for fault in self._of("dropout"):
            mine = links == fault.agent
            t = t_s[mine]
            grown = np.where(t >= fault.onset_s, 0.02 + 0.38 * growth(fault, t), 0.0)
            failed = fault.onset_s + fault.ramp_s
            silent = (t >= failed) & (t < failed + SILENT_S)
            grown = np.where(t >= failed + SILENT_S, 0.0, grown)
            lost[mine] = np.where(silent, 1.0, np.maximum(lost[mine], grown))
        return lost

    def counters(
        self, links: NDArray[np.int64], number: NDArray[np.int64], t_s: NDArray[np.float64],
        hz: float, phase: NDArray[np.float64],
    ) -> tuple[NDArray[np.uint32], NDArray[np.uint32], NDArray[np.bool_]]:
        """(boot, seq, made) of samples `number` (D, n): a dying battery halves the rate, reboots,
        and ends the device."""
        shape = t_s.shape
        boot, made = np.ones(shape, np.uint32), np.ones(shape, np.bool_)
        seq = np.broadcast_to(number, shape).astype(np.int64)
        for fault in self._of("battery"):
            for row in np.flatnonzero(links == fault.agent).tolist():
                self._brown_out(fault, row, seq, boot, made, t_s[row], hz, float(phase[row]))
        return boot, seq.astype(np.uint32), made

    def _brown_out(
        self, fault: PlannedFault, row: int, seq: NDArray[np.int64], boot: NDArray[np.uint32],
        made: NDArray[np.bool_], t: NDArray[np.float64], hz: float, phase: float,
    ) -> None:
        def first(when: float) -> int:
            return int(np.ceil(when * hz - phase))

        half = fault.onset_s + _HALF_AT * fault.ramp_s
        down = fault.onset_s + _REBOOT_AT * fault.ramp_s
        again, dead = down + _REBOOT_S, fault.onset_s + fault.ramp_s
        number = seq[row].copy()
        step = 2 if hz > 1 else 1
        after_half, after_boot = number >= first(half), number >= first(again)
        made[row] = ~(after_half & ((number - first(half)) % step != 0))
        made[row] &= ~((t >= down) & ~after_boot) & (t < dead)
        seq[row] = np.where(after_half, first(half) + (number - first(half)) // step, number)
        since = number - first(again)
        shift = (first(again) - first(half)) % step
        seq[row] = np.where(after_boot, (since - shift) // step, seq[row])
        boot[row] = np.where(after_boot, 2, 1)

    def spoil_motion(
        self, acc: NDArray[np.float32], t_s: NDArray[np.float64], rng: np.random.Generator
    ) -> None:
        """Spikes, noise, saturation on (3, 25, n) accelerations, in place."""
        self._spikes(acc, t_s, rng, 16.0 * 9.8)
        for fault in self._of("noise", "saturation"):
            grown = growth(fault, t_s[fault.agent]).astype(np.float32)
            mine = acc[:, fault.agent]
            if fault.fault == "noise":
                mine += rng.standard_normal(mine.shape, dtype=np.float32) * grown * 14.0
            else:
                mine *= 1.0 + 14.0 * grown
        np.clip(acc, -TAG_FULL_SCALE, TAG_FULL_SCALE, out=acc)

    def spoil_position(
        self, xy: NDArray[np.float32], t_s: NDArray[np.float64], rng: np.random.Generator
    ) -> None:
        """Outliers of 3-15 m on (2, 25, n) positions, in place."""
        self._spikes(xy, t_s, rng, 15.0)

    def _spikes(
        self, values: NDArray[np.float32], t_s: NDArray[np.float64], rng: np.random.Generator,
        size: float,
    ) -> None:
        chance = rng.random(t_s.shape, dtype=np.float32)
        limit = np.full(t_s.shape, self.config.faults.spike_ratio)
        for fault in self._of("spikes"):
            t = t_s[fault.agent]
            limit[fault.agent] += np.where(t >= fault.onset_s, 0.001 + 0.06 * growth(fault, t), 0)
        rows, columns = np.nonzero(chance < limit)
        if len(rows):
            sign = rng.choice([-1.0, 1.0], (len(values), len(rows)))
            values[:, rows, columns] += sign * rng.uniform(0.3, 1.0, sign.shape) * size

    def stuck_since_s(self) -> NDArray[np.float64]:
        """Per agent the time from which the heart strap repeats itself (inf = never)."""
        since = np.full(AGENTS, np.inf)
        for fault in self._of("stuck"):
            since[fault.agent] = min(since[fault.agent], fault.onset_s)
        return since

    def sag_v(self, t_s: float) -> NDArray[np.float64]:
        """Volts that each tag's battery has lost to its fault at t_s, (25,)."""
        sag = np.zeros(AGENTS)
        for fault in self._of("battery"):
            sag[fault.agent] += 0.68 * float(growth(fault, np.array(t_s))) ** 1.4
        return sag

    def fade_db(self, t_s: float) -> NDArray[np.float64]:
        """Decibels of signal that each tag has lost at t_s, (25,): 40 s ahead of the loss."""
        fade = np.zeros(AGENTS)
        for fault in self._of("dropout"):
            over = t_s >= fault.onset_s + fault.ramp_s + SILENT_S
            early = float(growth(fault, np.array(t_s + 40.0)))
            fade[fault.agent] += 0.0 if over else 16.0 * early
        return fade
