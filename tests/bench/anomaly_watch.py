"""`python -m tests.bench.anomaly_watch`: anomalies of a simulated match, well and with faults.

Plays a match through the edge kernel twice, without and with three devices for each fault of the
simulator, and prints false alarms per device-hour and, per fault, seconds from its onset to the
watch's and to the edge rules' first word about the device.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from models.edge.config import EdgeConfig
from models.edge.kernel import EdgeKernel
from models.events.envelope import Event
from models.policies.anomaly_watch import AnomalyWatch, DeviceAnomaly
from models.simulator.config import Faults, MatchConfig, PlannedFault
from models.simulator.match import MatchSimulator
from models.telemetry.raw import RawBatch
from models.telemetry.roster import Roster

S: Final = 1_000_000_000
RAMPS_S: Final = {
    "dropout": 150.0, "stuck": 0.0, "spikes": 120.0, "noise": 120.0, "battery": 180.0, "clock": 0.0,
    "saturation": 120.0,
}
EARLY_S: Final = 45.0
"""The simulator lets the signal fade 40 s before a drop-out begins."""
LATE_S: Final = 180.0
RULES: Final = ("device_degraded", "device_failed", "clock_fault")
WELL: Final = replace(
    Faults(), stuck_heart_s=0.0, dying_battery_s=0.0, clock_jump_at_s=0.0, dropout_at_s=0.0
)


@dataclass(frozen=True, slots=True)
class Played:
    """What was said in one match."""

    simulator: MatchSimulator
    said: list[DeviceAnomaly]
    events: list[Event]
    device_hours: float

    @property
    def roster(self) -> Roster:
        """Who was there."""
        return self.simulator.roster


def play(config: MatchConfig) -> Played:
    """A match through the edge and the watch."""
    simulator = MatchSimulator(config)
    devices = simulator.roster.devices
    ids = list(dict.fromkeys(device.device_id for device in devices))
    unit = np.array([ids.index(device.device_id) for device in devices], np.int32)
    watch = AnomalyWatch(unit, np.array([device.rate_hz for device in devices], np.float64))
    edge = EdgeKernel(simulator.roster, EdgeConfig())
    said: list[DeviceAnomaly] = []
    events: list[Event] = []
    for cursor in range(simulator.chunks):
        blocks = simulator.chunk(cursor)
        now_ns = max((int(b.t_ingest_ns[-1]) for b in blocks.values() if len(b)), default=0)
        last = cursor == simulator.chunks - 1
        effects = edge.handle(RawBatch("bench", cursor, now_ns, blocks, {}, end=last))
        events += effects.events
        for rows in effects.health:
            order = np.argsort(rows.t_ns, kind="stable")
            said += watch.handle(rows.device[order], rows.t_ns[order], rows.values[:, order])
    return Played(simulator, said, events, len(ids) * config.duration_s / 3600.0)


def planned(seed: int, duration_s: float) -> tuple[PlannedFault, ...]:
    """Three of each fault, on different players, in the middle of the match."""
    rng = np.random.default_rng(seed)
    names = list(RAMPS_S)
    return tuple(
        PlannedFault(
            names[k % 7], agent, float(rng.uniform(0.35, 0.8) * duration_s), RAMPS_S[names[k % 7]],
            -0.6 if names[k % 7] == "clock" else 1.0,
        )
        for k, agent in enumerate(rng.permutation(22)[:21].tolist())
    )


def first_after(times_ns: Sequence[int], onset_ns: int) -> float | None:
    """Seconds from the onset to the first of the times in the window that counts."""
    low, high = onset_ns - int(EARLY_S * S), onset_ns + int(LATE_S * S)
    found = [(t_ns - onset_ns) / S for t_ns in times_ns if low <= t_ns <= high]
    return round(min(found), 0) if found else None


def judge(match: Played) -> tuple[dict[str, list[tuple[float | None, float | None]]], int]:
    """Per fault (watch, edge rules) seconds per device, and how many anomalies belong to none."""
    found: dict[str, list[tuple[float | None, float | None]]] = {}
    faulty: dict[str, int] = {}
    for fault in match.simulator.truth.faults:
        if not fault.device_id:
            continue
        faulty[fault.device_id] = fault.onset_ns - int(EARLY_S * S)
        said = [
            one.t_ns for one in match.said
            if match.roster.devices[one.row].device_id == fault.device_id
        ]
        ruled = [
            event.t_detected_ns for event in match.events
            if event.subject_id == fault.device_id and event.type in RULES
        ]
        pair = (first_after(said, fault.onset_ns), first_after(ruled, fault.onset_ns))
        found.setdefault(fault.fault, []).append(pair)
    never = 1 << 62
    false = sum(
        one.t_ns < faulty.get(match.roster.devices[one.row].device_id, never) for one in match.said
    )
    return found, false


def main(argv: list[str] | None = None) -> int:
    """Print both matches."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=21)
    options = parser.parse_args(argv)
    well_config = MatchConfig(options.seed, options.minutes * 60.0, faults=WELL)
    well = play(well_config)
    rules = sum(event.type in RULES for event in well.events)
    print(
        f"well: {len(well.said)} anomalies in {well.device_hours:.1f} device-hours "
        f"({len(well.said) / well.device_hours:.2f} an hour); edge rules: {rules}"
    )
    extra = planned(options.seed, well_config.duration_s)
    ill = play(replace(
        well_config, seed=options.seed + 1, faults=replace(WELL, extra=extra)
    ))
    found, false = judge(ill)
    print(f"with faults: {len(ill.said)} anomalies, {false} of devices without a fault")
    for name, pairs in found.items():
        watch, edge = zip(*pairs, strict=True)
        print(f"{name:11s} watch {list(watch)} s, edge rules {list(edge)} s")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
