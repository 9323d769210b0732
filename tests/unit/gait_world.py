"""Walks for tests of the gait detectors: synthetic ones as functions of time, recorded ones."""

import json
from functools import cache
from typing import NamedTuple

import numpy as np
import pyarrow.parquet as pq

G = 9.80665
ZERO_NS = 1_767_376_800_000_000_000
PACKET_NS = 10_000_000
TOLERANCE_NS = 150_000_000


def bump(x, begin, end):
    """Half a sine over (begin, end), area 1."""
    inside = (x >= begin) & (x < end)
    wave = np.sin(np.pi * (x - begin) / (end - begin)) * np.pi / 2 / (end - begin)
    return np.where(inside, wave, 0.0)


def foot_motion(seconds, stride_s=1.1, begin_s=2.0, end_s=1e9, landing=1.0):
    """(acc (3, n), gyr (3, n)) of a foot that stands, then walks from `begin_s` to `end_s`: it tips
    over the toes by 1 rad, swings back by 1.2, lands with the rest. It strikes at 0.95 of a
    stride."""
    seconds = np.asarray(seconds, np.float64)
    walks = (seconds >= begin_s) & (seconds < end_s)
    phase = np.where(walks, (seconds - begin_s) / stride_s % 1.0, 0.0)
    rate = -bump(phase, 0.25, 0.55) + 1.2 * bump(phase, 0.55, 0.95) - 0.2 * bump(phase, 0.95, 1.0)
    gyr = np.zeros((3, len(seconds)))
    gyr[1] = rate / stride_s
    acc = np.zeros((3, len(seconds)))
    acc[2] = G + landing * np.where(walks, 8.0 * bump(phase, 0.93, 1.0) / stride_s, 0.0)
    return acc, gyr


def trunk_motion(seconds, step_s=0.55, size_mps2=3.0, begin_s=2.0, end_s=1e9, odd=0.0):
    """acc (3, n) of a trunk that stands, then walks: one wave a step and half of it twice a step;
    every second step by `odd` stronger, the others weaker."""
    seconds = np.asarray(seconds, np.float64)
    steps = (seconds - begin_s) / step_s
    size = size_mps2 * (1.0 + odd * (np.floor(steps) % 2 * 2 - 1))
    wave = np.sin(2 * np.pi * steps) + 0.3 * np.sin(4 * np.pi * steps + 1.0)
    ramp = np.clip((seconds - begin_s) / 1.0, 0.0, 1.0)
    walks = (seconds >= begin_s) & (seconds < end_s)
    acc = np.zeros((3, len(seconds)))
    acc[2] = G + np.where(walks, ramp * size * wave, 0.0)
    return acc


def times(seconds):
    return ZERO_NS + np.round(np.asarray(seconds) * 1e9).astype(np.int64)


def matched(found_ns, true_ns):
    """(hits, offsets in s): each found event to at most one true one, the nearest pairs first."""
    near = [
        (abs(int(f) - int(t)), a, b)
        for a, f in enumerate(found_ns) for b, t in enumerate(true_ns)
        if abs(int(f) - int(t)) <= TOLERANCE_NS
    ]
    left, right, offsets = set(), set(), []
    for _, a, b in sorted(near):
        if a not in left and b not in right:
            left.add(a)
            right.add(b)
            offsets.append((int(found_ns[a]) - int(true_ns[b])) * 1e-9)
    return len(offsets), offsets


class Tally:
    """Found and true events of many trials, by subject."""

    def __init__(self):
        self.counts, self.offsets = {}, []

    def add(self, subject, found_ns, true_ns):
        hits, offsets = matched(found_ns, true_ns)
        old = self.counts.get(subject, (0, 0, 0))
        new = (hits, len(found_ns), len(true_ns))
        self.counts[subject] = tuple(a + b for a, b in zip(old, new, strict=True))
        self.offsets += offsets

    def f1(self, *subjects):
        picked = [self.counts[s] for s in subjects or self.counts]
        hits, found, true = (sum(column) for column in zip(*picked, strict=True))
        return 2 * hits / (found + true)


class Trial(NamedTuple):
    """One recorded walk; sensors "lf", "rf", "lb" to (t_ns (n,), acc (3, n), gyr (3, n)) on the
    packet counter; feet "lf", "rf" to (toe-offs, strikes) in ns."""

    subject: int
    sensors: dict
    feet: dict


@cache
def trials(folder):
    """The 40 walks of gait_imu100."""
    table = pq.read_table(folder / "imu.parquet")
    names = table.schema.names
    column = {name: table.column(name).to_numpy(zero_copy_only=False) for name in names}
    found = []
    for label in json.loads((folder / "labels.json").read_text()):
        sensors = {}
        for name in ("lf", "rf", "lb"):
            mine = (column["trial"] == label["Filename"]) & (column["sensor"] == name)
            t_ns = ZERO_NS + column["PacketCounter"][mine].astype(np.int64) * PACKET_NS
            acc, gyr = (
                np.array([column[f"{kind}_{axis}"][mine] for axis in "XYZ"])
                for kind in ("Acc", "Gyr")
            )
            sensors[name] = t_ns, acc, gyr
        feet = {
            name: ZERO_NS + np.array(label[key], np.int64).T * PACKET_NS
            for name, key in (("lf", "LeftFootEvents"), ("rf", "RightFootEvents"))
        }
        found.append(Trial(label["Subject"], sensors, feet))
    return found
