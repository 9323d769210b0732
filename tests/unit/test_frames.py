"""Coordinate frames: there and back is the identity, and so is turning twice, in every frame."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.telemetry.frames import CANONICAL, FRAMES, Oriented, from_canonical, to_canonical

frames = st.sampled_from(sorted(FRAMES))
lengths = st.floats(20.0, 130.0)
widths = st.floats(15.0, 100.0)
parts = st.lists(st.tuples(st.floats(-0.2, 1.2), st.floats(-0.2, 1.2)), min_size=1, max_size=20)


def points(frame, part, length, width):
    """Values of `frame` at shares of the pitch."""
    share = np.array(part)
    x_m, y_m = (share[:, 0] - 0.5) * length, (share[:, 1] - 0.5) * width
    return from_canonical(FRAMES[frame], x_m, y_m, length, width)


@given(frames, parts, lengths, widths)
def test_there_and_back_is_the_identity(name, part, length, width):
    x, y = points(name, part, length, width)
    frame = FRAMES[name]
    back = from_canonical(frame, *to_canonical(frame, x, y, length, width), length, width)
    np.testing.assert_allclose(back[0], x, rtol=1e-12, atol=1e-10)
    np.testing.assert_allclose(back[1], y, rtol=1e-12, atol=1e-10)


@given(frames, parts, lengths, widths, st.booleans())
def test_turning_twice_is_the_identity_to_the_last_bit(name, part, length, width, turned):
    x, y = points(name, part, length, width)
    once = Oriented(FRAMES[name], x, y, length, width, turned)
    twice = once.flipped().flipped()
    assert twice.x is once.x
    assert twice.y is once.y
    assert twice.turned == once.turned
    for a, b in zip(twice.canonical(), once.canonical(), strict=True):
        assert a.tobytes() == b.tobytes()


@given(frames, parts, lengths, widths)
def test_turned_once_is_the_same_place_with_its_sign_changed(name, part, length, width):
    x, y = points(name, part, length, width)
    seen = Oriented(FRAMES[name], x, y, length, width)
    for a, b in zip(seen.flipped().canonical(), seen.canonical(), strict=True):
        assert (a == -b).all()


@given(frames, frames, parts, lengths, widths)
def test_every_frame_leads_into_every_other_and_back(one, other, part, length, width):
    x, y = points(one, part, length, width)
    there = Oriented(FRAMES[one], x, y, length, width).flipped().in_frame(FRAMES[other])
    back = there.flipped().in_frame(FRAMES[one])
    np.testing.assert_allclose(back.x, x, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(back.y, y, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("name", "xy"),
    [
        ("canonical", (52.5, 34.0)), ("tracab", (5250.0, 3400.0)), ("opta", (100.0, 100.0)),
        ("statsbomb", (120.0, 0.0)), ("wyscout", (100.0, 0.0)), ("metrica", (1.0, 0.0)),
        ("epts", (1.0, 0.0)), ("spadl", (105.0, 68.0)), ("sportec:event", (105.0, 68.0)),
        ("zxy", (105.0, 68.0)), ("secondspectrum", (52.5, 34.0)), ("cdf", (52.5, 34.0)),
    ],
)
def test_the_corner_at_plus_x_and_plus_y(name, xy):
    x, y = to_canonical(FRAMES[name], np.array([xy[0]]), np.array([xy[1]]), 105.0, 68.0)
    assert (x[0], y[0]) == pytest.approx((52.5, 34.0))


@pytest.mark.parametrize(
    ("ours", "theirs", "event"),
    [
        ("tracab", "TRACAB", False), ("secondspectrum", "SECONDSPECTRUM", False),
        ("skillcorner", "SKILLCORNER", False), ("hawkeye", "HAWKEYE", False),
        ("signality", "SIGNALITY", False), ("statsperform", "SPORTVU", False),
        ("metrica", "METRICA", False), ("pff", "PFF", False), ("kloppy", "KLOPPY", False),
        ("sportec:tracking", "SPORTEC", False), ("sportec:event", "SPORTEC", True),
        ("opta", "OPTA", True), ("statsbomb", "STATSBOMB", True), ("wyscout", "WYSCOUT", True),
    ],
)
def test_origin_and_axes_are_those_that_kloppy_gives_the_provider(ours, theirs, event):
    from kloppy.domain import DatasetType, Origin, VerticalOrientation
    from kloppy.domain.models.common import Provider, build_coordinate_system

    system = build_coordinate_system(
        Provider[theirs], dataset_type=DatasetType.EVENT if event else DatasetType.TRACKING,
        pitch_length=105.0, pitch_width=68.0,
    )
    origin = {
        Origin.CENTER: "centre", Origin.TOP_LEFT: "top_left", Origin.BOTTOM_LEFT: "bottom_left",
    }[system.origin]
    assert FRAMES[ours].origin == origin
    down = system.vertical_orientation == VerticalOrientation.TOP_TO_BOTTOM
    assert down == (origin == "top_left")


@pytest.mark.parametrize("size", [(0.0, 68.0), (105.0, -1.0), (float("nan"), 68.0)])
def test_a_pitch_without_extent_is_refused(size):
    with pytest.raises(ValueError, match="pitch"):
        CANONICAL.affine(*size)
