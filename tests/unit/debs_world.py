"""Raw records in the format of the DEBS 2013 data set, made from a simulated match.

No file of the real data set is part of the tests: these have its line format, axes, rates, feet,
arms and spare balls, but a simulator's movement.
"""

import json

import numpy as np

from models.simulator.config import Faults, MatchConfig
from models.simulator.match import MatchSimulator
from models.telemetry.block import concat_blocks
from models.telemetry.kinds import KINDS, Kind
from models.telemetry.roster import Role

ZERO_PS = 10_753_295_594_424_116
BALL, SPARE_BALL = 4, 8


def lines(sid, t_s, x_m, y_m, z_m):
    """Records of one sensor at pitch-centred places, in the data set's axes and units."""
    ts = ZERO_PS + np.rint(t_s * 1e12).astype(np.int64)
    place = np.stack([(26.2415 - y_m) * 1000, x_m * 1000 + 2.5, z_m * 1000])
    place = np.rint(place).astype(np.int64)
    speed = smooth(np.gradient(place / 1000, t_s, axis=1), t_s)
    accel = smooth(np.gradient(speed, t_s, axis=1), t_s)
    parts = [np.full(len(ts), sid), ts, *place]
    units = []
    for vector in (speed, accel):
        size = np.linalg.norm(vector, axis=0)
        parts.append(np.rint(size * 1e6).astype(np.int64))
        units += [*np.rint(vector / np.maximum(size, 1e-9) * 10_000).astype(np.int64)]
    return np.stack([*parts, *units], axis=1)


def smooth(values, t_s):
    """Means over 120 ms: the data set's velocities and accelerations come out of a filter."""
    width = max(round(0.06 / (t_s[1] - t_s[0])), 1)
    bell = np.ones(2 * width + 1) / (2 * width + 1)
    return np.stack([
        np.convolve(np.pad(row, width, mode="edge"), bell, mode="valid") for row in values
    ])


def simulated(seconds=6, player_hz=200, ball_hz=2000):
    """(text, metadata text, simulator) of `seconds` of a match on the data set's pitch."""
    simulator = MatchSimulator(
        MatchConfig(seed=9, duration_s=float(seconds), pos_hz=100, faults=Faults.none())
    )
    parts = {Kind.LPS: [], Kind.BALL_POS: []}
    for k in range(simulator.chunks):
        for kind, block in simulator.chunk(k).items():
            if kind in parts:
                parts[kind].append(block)
    people, ball = (concat_blocks(found) for found in parts.values())
    start = simulator.config.start_ns
    # A full-size pitch on half of one: everything is drawn together.
    shrink = np.array([67.925 / 105, 52.483 / 68])
    records, players, officials = [], [], []
    grid = np.arange(0.2, seconds - 0.2, 1 / player_hz)
    sid = 100
    for row, device in enumerate(simulator.roster.devices):
        if device.kind != Kind.LPS:
            continue
        subject = simulator.roster.subjects[simulator.roster.subject_row()[device.subject]]
        mine = people.take(people.device == row)
        t = (mine.t_event_ns - start) * 1e-9
        x, y = (np.interp(grid, t, mine.values[c]) * shrink[c] for c in range(2))
        keeper = subject.role == Role.GOALKEEPER
        feet, arms = [sid, sid + 1], [sid + 2, sid + 3] if keeper else []
        for n, worn in enumerate([*feet, *arms]):
            records.append(lines(worn, grid, x + (0.15, -0.15, 0.6, -0.6)[n], y, grid * 0))
        entry = {"id": subject.subject_id, "feet": feet, "arms": arms}
        if subject.role == Role.OFFICIAL:
            officials.append(entry)
        else:
            players.append({**entry, "team": subject.team, "keeper": keeper})
        sid += 4
    grid = np.arange(0.2, seconds - 0.2, 1 / ball_hz)
    t = (ball.t_event_ns - start) * 1e-9
    names = KINDS[Kind.BALL_POS].names
    x, y, z = (
        np.interp(grid, t, ball.values[names.index(f"pos_{axis}_m")]) for axis in "xyz"
    )
    records.append(lines(BALL, grid, x * shrink[0], y * shrink[1], z))
    records.append(lines(SPARE_BALL, grid[::20], grid[::20] * 0 + 36, grid[::20] * 0, z[::20] * 0))
    table = np.concatenate(records)
    table = table[np.argsort(table[:, 1], kind="stable")]
    text = "\n".join(",".join(map(str, row)) for row in table.tolist()) + "\n"
    meta = {"balls": [BALL, SPARE_BALL], "players": players, "officials": officials}
    return text, json.dumps(meta), simulator
