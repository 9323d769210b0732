"""Streams for tests of the fused kernel, and what must come of them: a float64 reference, one
sample at a time, written for clarity."""

import math
from itertools import pairwise

import numpy as np

from models.fused.config import FusedConfig
from models.fused.kernel import Samples

G = 9.80665
FLOORS = [200.0, 200.0, 200.0, 8.0, 8.0, 8.0, 10.0]


def streams(seed, stream_n, seconds, rough=True):
    """Rows in order of arrival: sprints, and with `rough` also spikes, loss, duplicates, delays of
    up to 190 ms."""
    rng = np.random.default_rng(seed)
    n = seconds * 100
    seq = np.tile(np.arange(n), stream_n)
    stream = np.repeat(np.arange(stream_n), n)
    t_s = seq * 0.01
    phase = rng.uniform(0, 6.28, stream_n)[stream]
    speed = 4.5 + 4.0 * np.sin(2 * np.pi * t_s / 7.0 + phase)
    way = (speed.reshape(stream_n, n).cumsum(1) * 0.01).reshape(-1)
    columns = [
        1000 * way + rng.normal(0, 8, seq.size), 1000 * np.sin(t_s) + rng.normal(0, 8, seq.size),
        1000 + rng.normal(0, 4, seq.size), *(rng.normal(0, 2, seq.size) for _ in range(2)),
        G + rng.normal(0, 2, seq.size), 140 + 5 * np.sin(t_s) + rng.normal(0, 0.5, seq.size),
    ]
    t_ms = seq * 10 + stream % 10
    arrival = t_ms + rng.uniform(0, 2, seq.size)
    kept = np.arange(seq.size)
    if rough:
        for channel, size in enumerate((5000, 5000, 5000, 90, 90, 90, 60)):
            hit = rng.random(seq.size) < 0.002
            columns[channel] = columns[channel] + hit * size * rng.choice([-1, 1], seq.size)
        arrival += (rng.random(seq.size) < 0.02) * rng.uniform(20, 180, seq.size)
        kept = kept[rng.random(seq.size) > 0.003]
        kept = np.concatenate([kept, kept[rng.random(kept.size) < 0.01]])
    # A second copy of a row comes a little later.
    order = kept[np.argsort(arrival[kept] + np.linspace(0, 3, kept.size), kind="stable")]
    types = [np.int32, np.int32, np.int64] + [np.float32] * 7
    rows = [stream, seq, t_ms, *columns]
    return Samples(*(column[order].astype(kind) for column, kind in zip(rows, types, strict=True)))


def part(samples, begin, end):
    return Samples(*(column[begin:end] for column in samples))


def played(kernel, samples, cuts):
    """(windows, sprints) of the whole, in order of stream and time, with calls cut at `cuts`."""
    edges = [0, *sorted(cuts), len(samples.stream)]
    effects = [
        kernel.handle(part(samples, a, b)) for a, b in pairwise(edges)
    ]
    return tidy([*effects, kernel.finish()])


def tidy(effects):
    windows = np.concatenate([effect.windows for effect in effects])
    sprints = np.concatenate([effect.sprints for effect in effects])
    windows = windows[np.lexsort((windows[:, 1], windows[:, 0]))]
    sprints = sprints[np.lexsort((sprints[:, 1], sprints[:, 2], sprints[:, 0]))]
    return windows, sprints


class OneStream:
    """One stream, one sample at a time, in double precision."""

    def __init__(self, stream, config):
        self.stream, self.config = stream, config
        self.next, self.newest, self.held = 0, -1, {}
        self.raw, self.places, self.before = [], [], None
        self.window, self.sums = None, None
        self.run, self.told = None, False
        self.windows, self.sprints = [], []

    def feed(self, seq, t_ms, values):
        if seq < self.next or seq in self.held:
            return
        self.held[seq] = (t_ms, values)
        self.newest = max(self.newest, seq)
        self.drain(False)

    def drain(self, final):
        while self.held:
            if self.next in self.held:
                self.ordered(*self.held.pop(self.next))
            elif not final and self.newest - self.next <= self.config.wait_n:
                return
            self.next += 1

    def ordered(self, t_ms, values):
        self.raw.append((t_ms, values))
        if len(self.raw) < 5:
            return
        t_ms, middle = self.raw[2]
        clean = []
        for channel, floor in enumerate(FLOORS):
            five = [row[1][channel] for row in self.raw]
            median = sorted(five)[2]
            spread = sorted(abs(value - median) for value in five)[2]
            off = abs(middle[channel] - median)
            clean.append(median if off > max(3 * 1.4826 * spread, floor) else middle[channel])
        del self.raw[0]
        self.places = [*self.places, [0.001 * value for value in clean[:3]]][-5:]
        place = [sum(axis) / len(self.places) for axis in zip(*self.places, strict=True)]
        acc = [value / G for value in clean[3:6]]
        dist = speed = load = 0.0
        if self.before is not None:
            dist = math.dist(place, self.before[1])
            speed = dist / (0.001 * (t_ms - self.before[0]))
            load = math.dist(acc, self.before[2]) / 100
        self.before = (t_ms, place, acc)
        self.add(t_ms, dist, speed, math.hypot(*acc), load, clean[6])
        self.sprint(t_ms, speed)

    def add(self, t_ms, dist, speed, size, load, heart):
        window = t_ms // self.config.window_ms
        if window != self.window:
            self.flush()
            self.window, self.sums = window, [0, 0.0, 0.0, 0.0, 0.0, 0.0]
        n, way, top, sizes, loads, hearts = self.sums
        self.sums = [
            n + 1, way + dist, max(top, speed), sizes + size, loads + load, hearts + heart,
        ]

    def flush(self):
        if self.sums is not None:
            n, dist, top, size, load, heart = self.sums
            row = (self.stream, self.window, n, dist, top, size / n, load, heart / n)
            self.windows.append(row)

    def sprint(self, t_ms, speed):
        if speed > self.config.sprint_mps:
            if self.run is None:
                self.run, self.told = t_ms, False
            if not self.told and t_ms - self.run >= self.config.sprint_ms:
                self.told = True
                self.sprints.append((self.stream, 1, self.run))
        elif self.run is not None:
            if self.told:
                self.sprints.append((self.stream, 0, t_ms))
            self.run = None


def reference(samples, stream_n, config=None):
    """(windows, sprints) as the definition says."""
    config = config or FusedConfig()
    found = [OneStream(s, config) for s in range(stream_n)]
    values = np.stack(samples[3:], axis=1).astype(np.float64).tolist()
    heads = zip(*(column.tolist() for column in samples[:3]), values, strict=True)
    for stream, seq, t_ms, row in heads:
        found[stream].feed(seq, t_ms, row)
    for stream in found:
        stream.drain(True)
        stream.flush()
    windows = np.array([row for stream in found for row in stream.windows])
    sprints = np.array([row for stream in found for row in stream.sprints], np.int64)
    return windows, sprints[np.lexsort((sprints[:, 1], sprints[:, 2], sprints[:, 0]))]
