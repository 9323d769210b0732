"""Small worlds for tests of the flow kernel: a roster, columns of samples, records of them."""

import numpy as np

from models.flows.kernel import FlowKernel
from models.telemetry.block import SampleBlock
from models.telemetry.kinds import KINDS, Kind
from models.telemetry.record import TelemetryRecord
from models.telemetry.roster import Device, Role, Roster, Subject

START_NS = 1_767_376_800_000_000_000
TICK_NS = 100_000_000
G = 9.80665


def roster_of(players=2, **traits):
    """`players` athletes, home first, then away; a ball. Devices: lps, imu, heart of each player in
    that order, then the ball's position and motion."""
    subjects, devices = [], []
    for n in range(players):
        team = "home" if n < (players + 1) // 2 else "away"
        subjects.append(Subject(f"p{n}", Role.ATHLETE, team, n + 1, **traits))
        devices += [
            Device(f"lps{n}", Kind.LPS, f"p{n}", 20.0), Device(f"imu{n}", Kind.IMU, f"p{n}", 100.0),
            Device(f"hr{n}", Kind.HEART, f"p{n}", 1.0),
        ]
    subjects.append(Subject("ball", Role.BALL))
    devices += [
        Device("ball-pos", Kind.BALL_POS, "ball", 50.0),
        Device("ball-imu", Kind.BALL_IMU, "ball", 500.0),
    ]
    return Roster("venue", "match", subjects=tuple(subjects), devices=tuple(devices))


def at_ns(seconds):
    """Event times of seconds from the start."""
    return START_NS + np.round(np.asarray(seconds, np.float64) * 1e9).astype(np.int64)


def rows(kind, device, t_ns, **channels):
    """Samples of one device."""
    names, n = KINDS[kind].names, len(t_ns)
    values = np.full((len(names), n), np.nan, np.float32)
    for name, column in channels.items():
        values[names.index(name)] = column
    zero = np.zeros(n, np.uint32)
    return SampleBlock(
        kind, np.full(n, device, np.int32), zero, np.arange(n, dtype=np.uint32), np.asarray(t_ns),
        np.asarray(t_ns), zero, values,
    )


def lps(player, seconds, x, y):
    n = len(seconds)
    return rows(
        Kind.LPS, 3 * player, at_ns(seconds), pos_x_m=np.broadcast_to(x, n),
        pos_y_m=np.broadcast_to(y, n),
    )


def imu(player, seconds, z_g=1.0, x_g=0.0, gyr=0.0, load_au=0.0):
    acc = {"acc_x_mps2": np.multiply(x_g, G), "acc_y_mps2": 0.0, "acc_z_mps2": np.multiply(z_g, G)}
    return rows(
        Kind.IMU, 3 * player + 1, at_ns(seconds), gyr_x_radps=gyr, gyr_y_radps=0.0, gyr_z_radps=0.0,
        load_au=load_au, **acc,
    )


def heart(player, seconds, bpm):
    return rows(Kind.HEART, 3 * player + 2, at_ns(seconds), hr_bpm=bpm, contact=1.0)


def ball(roster, seconds, x, y, z=0.11, **more):
    device = len(roster.devices) - 2
    return rows(
        Kind.BALL_POS, device, at_ns(seconds), pos_x_m=x, pos_y_m=y, pos_z_m=z, **more
    )


def knocks(roster, seconds, peak):
    return rows(
        Kind.BALL_IMU, len(roster.devices) - 1, at_ns(seconds), acc_x_mps2=peak, acc_y_mps2=0.0,
        acc_z_mps2=0.0,
    )


def one_record(*blocks, final=True, seconds=None):
    """One record of all blocks, from the start until after the last row."""
    kinds = {}
    for block in blocks:
        kinds.setdefault(block.kind, []).append(block)
    merged = {}
    for kind, found in kinds.items():
        found = sorted(found, key=lambda b: int(b.device[0]))
        columns = [
            np.concatenate([getattr(b, name) for b in found])
            for name in ("device", "boot", "seq", "t_event_ns", "t_ingest_ns", "flags")
        ]
        values = np.concatenate([b.values for b in found], axis=1)
        merged[kind] = SampleBlock(kind, *columns, values)
    last = max(int(b.t_event_ns.max()) for b in blocks)
    end = (last // TICK_NS + 1) * TICK_NS if seconds is None else int(at_ns(seconds))
    return TelemetryRecord("venue", "match", 0, START_NS, end, merged, final=final)


def play(roster, *blocks, config=None, final=True, seconds=None):
    """Effects of one kernel on everything at once."""
    kernel = FlowKernel(roster, config)
    everybody = np.arange(len(roster.subjects), dtype=np.int32)
    return kernel.handle([one_record(*blocks, final=final, seconds=seconds)], everybody)


def last_row(effects, subject=0):
    """The final state row of a subject as a dict."""
    for states in effects.states:
        if states.final and subject in states.subject:
            at = states.subject.tolist().index(subject)
            return {name: column[at].item() for name, column in states.columns.items()}
    raise AssertionError(f"no final row of subject {subject}")


def of_type(effects, name):
    return [event for event in effects.events if event.type == name]
