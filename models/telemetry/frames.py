"""Coordinate frames of providers as values: what a pair of numbers means, and which way a team
plays.

Ours (`CANONICAL`) is pitch-centred metres, x goal to goal, y to the left of +x, never flipped. A
frame is affine: two scales and two origins, which depend on the size of the pitch and on nothing
else. The playing direction is data beside the coordinates (`Oriented`), so that turning it twice is
the identity to the last bit in every frame: no coordinate is touched before somebody asks for it.

Sources: the coordinate systems of kloppy 3.19 (`kloppy.domain`), which are the providers' own.
Frames with fixed extents (Opta, StatsBomb, Wyscout, SPADL) are stretched linearly to the pitch;
what a provider draws at fixed places (its penalty area) then lies where that puts it.
"""

from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
Origin = Literal["centre", "top_left", "bottom_left"]


@dataclass(frozen=True, slots=True)
class Frame:
    """A provider's coordinates.

    origin     where (0, 0) is; from the top left y counts downwards
    length, width   extent of the pitch in the frame's units, 0.0: the pitch's own, in metres
    unit_m     metres of one unit where the extent is the pitch's own
    acting     whether x always counts in the playing direction of the acting team (SPADL, Opta,
               StatsBomb, Wyscout events): then a row needs `Oriented` to be placed
    """

    name: str
    origin: Origin
    length: float = 0.0
    width: float = 0.0
    unit_m: float = 1.0
    acting: bool = False

    def affine(self, length_m: float, width_m: float) -> tuple[float, float, float, float]:
        """(scale_x, offset_x, scale_y, offset_y): metres = scale * value + offset, for a pitch of
        that size. Raises ValueError for a pitch without extent."""
        if not (length_m > 0.0 and width_m > 0.0):
            raise ValueError(f"a pitch of {length_m} m x {width_m} m")
        sx = length_m / self.length if self.length else self.unit_m
        sy = width_m / self.width if self.width else self.unit_m
        if self.origin == "centre":
            return sx, 0.0, sy, 0.0
        if self.origin == "bottom_left":
            return sx, -length_m / 2.0, sy, -width_m / 2.0
        return sx, -length_m / 2.0, -sy, width_m / 2.0


CANONICAL: Final = Frame("canonical", "centre")
FRAMES: Final[dict[str, Frame]] = {
    frame.name: frame
    for frame in (
        CANONICAL,
        Frame("cdf", "centre"),
        Frame("secondspectrum", "centre"),
        Frame("pff", "centre"),
        Frame("sportec:tracking", "centre"),
        Frame("hawkeye", "centre"),
        Frame("skillcorner", "centre"),
        Frame("signality", "centre"),
        Frame("tracab", "centre", unit_m=0.01),
        Frame("sportec:event", "bottom_left"),
        Frame("statsperform", "top_left"),
        Frame("zxy", "bottom_left"),
        Frame("kinexon", "bottom_left"),
        Frame("metrica", "top_left", 1.0, 1.0),
        Frame("kloppy", "top_left", 1.0, 1.0),
        Frame("epts", "top_left", 1.0, 1.0),
        Frame("opta", "bottom_left", 100.0, 100.0, acting=True),
        Frame("statsbomb", "top_left", 120.0, 80.0, acting=True),
        Frame("wyscout", "top_left", 100.0, 100.0, acting=True),
        Frame("spadl", "bottom_left", 105.0, 68.0, acting=True),
    )
}


@dataclass(frozen=True, slots=True)
class Oriented:
    """Coordinates of one frame as they came, and whether they are to be read turned by half a turn.

    x, y (n,) in the units of `frame`, never changed; `length_m`, `width_m` of the pitch.
    """

    frame: Frame
    x: Values
    y: Values
    length_m: float
    width_m: float
    turned: bool = False

    def flipped(self) -> "Oriented":
        """The same places seen by the team that plays the other way."""
        return replace(self, turned=not self.turned)

    def canonical(self) -> tuple[Values, Values]:
        """(x_m, y_m) pitch-centred; a turn is a change of sign there, which is exact."""
        x, y = to_canonical(self.frame, self.x, self.y, self.length_m, self.width_m)
        return (-x, -y) if self.turned else (x, y)

    def in_frame(self, frame: Frame) -> "Oriented":
        """The same places in another frame, turn included."""
        x, y = self.canonical()
        back = from_canonical(frame, x, y, self.length_m, self.width_m)
        return Oriented(frame, *back, self.length_m, self.width_m)


def to_canonical(
    frame: Frame, x: Values, y: Values, length_m: float, width_m: float
) -> tuple[Values, Values]:
    """(x_m, y_m) of values of `frame` on a pitch of that size. NaN stays NaN."""
    sx, ox, sy, oy = frame.affine(length_m, width_m)
    return sx * x + ox, sy * y + oy


def from_canonical(
    frame: Frame, x_m: Values, y_m: Values, length_m: float, width_m: float
) -> tuple[Values, Values]:
    """(x, y) in units of `frame` of pitch-centred metres."""
    sx, ox, sy, oy = frame.affine(length_m, width_m)
    return (x_m - ox) / sx, (y_m - oy) / sy
