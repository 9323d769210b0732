"""WGS84 latitude and longitude to pitch metres and back.

A venue has an anchor: where its pitch centre lies, and the bearing of its +x axis (clockwise from
true north). Positions go through Earth-centred coordinates into the tangent plane at the anchor
(east, north), and are turned onto the pitch. Formulas: WGS84 defining constants; geodetic to ECEF
and ENU in closed form; ECEF to geodetic by Bowring's method, iterated to under a micrometre.
All in float64: float32 degrees are only good to about a metre.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

SEMI_MAJOR_M: Final = 6378137.0
FLATTENING: Final = 1 / 298.257223563
E2: Final = FLATTENING * (2 - FLATTENING)
_ITERATIONS = 4

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class PitchAnchor:
    """The pitch centre in degrees, its height in metres, and the bearing of +x in degrees."""

    lat_deg: float
    lon_deg: float
    bearing_deg: float = 90.0
    height_m: float = 0.0


def to_pitch(lat_deg: ArrayLike, lon_deg: ArrayLike, anchor: PitchAnchor) -> tuple[Floats, Floats]:
    """(x_m, y_m) on the pitch of points at the anchor's height; NaN stays NaN."""
    xyz = _ecef(np.asarray(lat_deg, float), np.asarray(lon_deg, float), anchor.height_m)
    origin = _ecef(np.array(anchor.lat_deg), np.array(anchor.lon_deg), anchor.height_m)
    d = [a - b for a, b in zip(xyz, origin, strict=True)]
    axes = _tangent_axes(anchor)
    east = axes[0][0] * d[0] + axes[0][1] * d[1]
    north = axes[1][0] * d[0] + axes[1][1] * d[1] + axes[1][2] * d[2]
    sin, cos = _turn(anchor)
    return sin * east + cos * north, -cos * east + sin * north


def to_wgs84(x_m: ArrayLike, y_m: ArrayLike, anchor: PitchAnchor) -> tuple[Floats, Floats]:
    """(lat_deg, lon_deg) of points in the anchor's tangent plane: the inverse of `to_pitch`."""
    x, y = np.asarray(x_m, float), np.asarray(y_m, float)
    sin, cos = _turn(anchor)
    east, north = sin * x - cos * y, cos * x + sin * y
    origin = _ecef(np.array(anchor.lat_deg), np.array(anchor.lon_deg), anchor.height_m)
    axes = _tangent_axes(anchor)
    # `to_pitch` drops the component along the vertical: the curvature, d^2 / 2R. Put it back.
    up = _sagitta(east, north, anchor)
    point = [
        origin[i] + axes[0][i] * east + axes[1][i] * north + axes[2][i] * up for i in range(3)
    ]
    return _geodetic(point)


def _sagitta(east: Floats, north: Floats, anchor: PitchAnchor) -> Floats:
    lat = np.radians(anchor.lat_deg)
    w = 1 - E2 * np.sin(lat) ** 2
    prime = SEMI_MAJOR_M / np.sqrt(w) + anchor.height_m
    meridian = SEMI_MAJOR_M * (1 - E2) / w**1.5 + anchor.height_m
    return -(east**2 / (2 * prime) + north**2 / (2 * meridian))


def _turn(anchor: PitchAnchor) -> tuple[float, float]:
    bearing = np.radians(anchor.bearing_deg)
    return float(np.sin(bearing)), float(np.cos(bearing))


def _ecef(lat_deg: Floats, lon_deg: Floats, height_m: float) -> tuple[Floats, Floats, Floats]:
    lat, lon = np.radians(lat_deg), np.radians(lon_deg)
    prime = SEMI_MAJOR_M / np.sqrt(1 - E2 * np.sin(lat) ** 2)
    flat = (prime + height_m) * np.cos(lat)
    return (
        flat * np.cos(lon), flat * np.sin(lon), (prime * (1 - E2) + height_m) * np.sin(lat),
    )


def _tangent_axes(anchor: PitchAnchor) -> tuple[tuple[float, float, float], ...]:
    """Unit vectors east, north and up at the anchor, in Earth-centred axes."""
    lat, lon = np.radians(anchor.lat_deg), np.radians(anchor.lon_deg)
    sin_lat, cos_lat = float(np.sin(lat)), float(np.cos(lat))
    sin_lon, cos_lon = float(np.sin(lon)), float(np.cos(lon))
    return (
        (-sin_lon, cos_lon, 0.0),
        (-sin_lat * cos_lon, -sin_lat * sin_lon, cos_lat),
        (cos_lat * cos_lon, cos_lat * sin_lon, sin_lat),
    )


def _geodetic(point: list[Floats]) -> tuple[Floats, Floats]:
    x, y, z = point
    flat = np.hypot(x, y)
    reduced = np.arctan2(z, (1 - FLATTENING) * flat)
    lat = reduced
    semi_minor = SEMI_MAJOR_M * (1 - FLATTENING)
    for _ in range(_ITERATIONS):
        lat = np.arctan2(
            z + E2 / (1 - E2) * semi_minor * np.sin(reduced) ** 3,
            flat - E2 * SEMI_MAJOR_M * np.cos(reduced) ** 3,
        )
        reduced = np.arctan2((1 - FLATTENING) * np.sin(lat), np.cos(lat))
    return np.degrees(lat), np.degrees(np.arctan2(y, x))
