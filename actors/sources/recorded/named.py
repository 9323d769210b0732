"""Built-in mappings for tables that are recognised by their columns."""

from typing import Any, Final

from actors.sources.recorded.mapping import Mapping, mapping_of
from models.telemetry.frames import FRAMES

_IMU: Final = {
    **{f"acc_{axis.lower()}_mps2": f"Acc_{axis}" for axis in "XYZ"},
    **{f"gyr_{axis.lower()}_radps": f"Gyr_{axis}" for axis in "XYZ"},
}
_XYZ: Final = {"pos_x_m": "x", "pos_y_m": "y", "pos_z_m": "z"}


def _placed(frame: str, x: str, y: str, length_m: float, width_m: float) -> dict[str, Any]:
    """The columns `x` and `y` of a provider's frame as pitch-centred metres."""
    sx, ox, sy, oy = FRAMES[frame].affine(length_m, width_m)
    return {
        "pos_x_m": {"column": x, "scale": sx, "offset": ox},
        "pos_y_m": {"column": y, "scale": sy, "offset": oy},
    }


_NAMED: Final[tuple[dict[str, Any], ...]] = (
    {
        # Optical tracking as one row per frame and entity, ball status in a table beside it.
        "name": "tracking-long", "requires": ["frame", "ts_ms", "entity", "x", "y", "z"],
        "kind": "lps", "kinds": {"column": "entity", "ball": "ball_pos"}, "device": "entity",
        "team": {"column": "entity", "pattern": "^(home|away)_"},
        "number": {"column": "entity", "pattern": r"_(\d+)$"},
        "time": {"column": "ts_ms", "unit": "ms"}, "seq": "frame", "period": "period_id",
        "rate_hz": 25.0, "join": {"file": "frame_state.parquet", "on": "frame"},
        "pitch": {"file": "metadata.json", "key": "pitch_dimensions"},
        "channels": {
            "lps": _XYZ,
            "ball_pos": {
                **_XYZ, "in_play": {"column": "ball_status", "values": {"alive": 1, "dead": 0}},
            },
        },
    },
    {
        # Radio belts: corner-based metres, staggered clocks, no counter. Vendor speed is not a
        # channel of position rows: it is derived data.
        "name": "zxy", "requires": ["ts_ms", "id", "x", "y", "heading", "direction", "energy"],
        "kind": "lps", "device": "id", "rate_hz": 20.0,
        "time": {"column": "ts_ms", "unit": "ms", "epoch": True},
        "channels": {"lps": _placed("zxy", "x", "y", 105.0, 68.0)},
    },
    {
        # Body IMUs in trials, lower back and feet. The magnetometer is in units of the local field,
        # not in microtesla, so it is left out.
        "name": "imu-trials", "requires": ["trial", "sensor", "PacketCounter", *_IMU.values()],
        "kind": "imu", "kinds": {"column": "sensor", "lf": "boot", "rf": "boot"},
        "side": {"column": "sensor", "lf": "left", "rf": "right"},
        "device": [{"column": "trial", "pattern": "^([^-]+)"}, "sensor"],
        "subject": {"column": "trial", "pattern": "^([^-]+)"}, "session": "trial",
        "seq": "PacketCounter", "rate_hz": 100.0,
        "time": {"column": "PacketCounter", "unit": "samples"},
        "channels": {"imu": _IMU, "boot": _IMU},
    },
    {
        "name": "hawkeye-ball", "requires": ["file", "t_s", "x", "y", "z", "play", "bounds"],
        "kind": "ball_pos", "device": {"column": "file", "pattern": "^(hawkeye)"},
        "session": "file", "rate_hz": 50.0, "time": {"column": "t_s", "unit": "s"},
        "channels": {"ball_pos": {
            **_XYZ, "in_play": {"column": "play", "values": {"In": 1, "Out": 0}},
        }},
    },
    {
        # Handball court, origin at a corner of 40 m x 20 m.
        "name": "kinexon", "requires": [
            "ts in ms", "sensor id", "full name", "group name", "x in m", "y in m", "z in m",
        ],
        "kind": "lps", "kinds": {"column": "group name", "Ball": "ball_pos"},
        "device": "sensor id", "subject": "mapped id", "team": "group id",
        "teams": {"1": "home", "2": "away", "3": ""}, "number": "number", "rate_hz": 20.0,
        "time": {"column": "ts in ms", "unit": "ms"},
        "pitch": {"length_m": 40.0, "width_m": 20.0},
        "channels": {kind: {
            **_placed("kinexon", "x in m", "y in m", 40.0, 20.0), "pos_z_m": "z in m",
        } for kind in ("lps", "ball_pos")},
    },
    {
        "name": "heart-sessions", "requires": ["file", "ts_ms", "heart_rate"], "kind": "heart",
        "device": "file", "rate_hz": 1.0, "seq": "*",
        "time": {"column": "ts_ms", "unit": "ms", "epoch": True},
        "channels": {"heart": {"hr_bpm": "heart_rate"}},
    },
    {
        "name": "heart-runs", "requires": ["file", "sport", "ts_ms", "hr"], "kind": "heart",
        "device": "file", "rate_hz": 1.0, "seq": "*",
        "time": {"column": "ts_ms", "unit": "ms", "epoch": True},
        "channels": {"heart": {"hr_bpm": "hr"}},
    },
)


def named_mappings() -> list[Mapping]:
    """All built-in mappings."""
    return [mapping_of(raw) for raw in _NAMED]


def mapping_for(columns: set[str]) -> Mapping | None:
    """The built-in mapping whose required columns are all there; the one that asks for most."""
    fitting = [mapping for mapping in named_mappings() if mapping.requires <= columns]
    return max(fitting, key=lambda mapping: len(mapping.requires), default=None)
