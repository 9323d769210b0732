"""WGS84 and pitch metres."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from models.telemetry.geo import PitchAnchor, to_pitch, to_wgs84

WEMBLEY = PitchAnchor(51.5560, -0.2796)


@given(
    st.floats(-80, 80), st.floats(-179, 179), st.floats(0, 360), st.floats(-5000, 5000),
    st.floats(-5000, 5000),
)
def test_there_and_back_is_identity_within_a_millimetre(
    lat: float, lon: float, bearing: float, x: float, y: float
) -> None:
    anchor = PitchAnchor(lat, lon, bearing)
    back = to_pitch(*to_wgs84(x, y, anchor), anchor)
    assert abs(back[0] - x) < 1e-3
    assert abs(back[1] - y) < 1e-3


def test_a_second_of_latitude_is_about_31_metres() -> None:
    x, y = to_pitch([WEMBLEY.lat_deg + 1 / 3600], [WEMBLEY.lon_deg], WEMBLEY)
    assert abs(x[0]) < 1e-6
    assert abs(y[0] - 30.905) < 0.01


def test_east_is_plus_x_and_north_plus_y_at_a_bearing_of_90_degrees() -> None:
    x, y = to_pitch(WEMBLEY.lat_deg, WEMBLEY.lon_deg + 1e-3, WEMBLEY)
    assert x > 69
    assert abs(y) < 0.01
    north = PitchAnchor(WEMBLEY.lat_deg, WEMBLEY.lon_deg, bearing_deg=0.0)
    x, y = to_pitch(WEMBLEY.lat_deg + 1e-3, WEMBLEY.lon_deg, north)
    assert x > 111
    assert abs(y) < 0.01


def test_an_unknown_position_stays_unknown() -> None:
    x, y = to_pitch([np.nan, WEMBLEY.lat_deg], [0.0, WEMBLEY.lon_deg], WEMBLEY)
    assert np.isnan(x[0])
    assert abs(x[1]) + abs(y[1]) < 1e-9
