"""Work balance above a critical intensity: W'bal (power, J) and D'bal (speed, m) are one formula.

Differential model with the exact solution of the recovery equation, so that the result does not
depend on the sample rate (one-second Euler steps are off by 0.03 %).
"""

from math import exp

from numba import njit


@njit(cache=True)
def balance_step(
    balance: float, capacity: float, intensity: float, critical: float, dt_s: float
) -> float:
    """The balance after `dt_s` seconds at `intensity`; the units of capacity are intensity times s.

    Above `critical` the excess is spent (the balance may go below zero: the capacity was set too
    small); below it the balance recovers exponentially towards `capacity`.
    """
    if intensity >= critical:
        return balance - (intensity - critical) * dt_s
    return capacity - (capacity - balance) * exp(-(critical - intensity) * dt_s / capacity)
