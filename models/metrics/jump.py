"""Jump height from flight time."""

from numba import njit

GRAVITY_MPS2 = 9.81


@njit(cache=True)
def jump_height_m(flight_s: float) -> float:
    """g t^2 / 8: take-off and landing at the same height."""
    return GRAVITY_MPS2 * flight_s * flight_s / 8.0
