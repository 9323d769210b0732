"""How exact position sources are: standard deviations in metres, for every filter of positions.

Owns the constants only. LPS says its residual, GNSS its horizontal dilution (HDOP); where a source
says nothing, its default holds.
"""

from typing import Final

LPS_M: Final = 0.05
"""Default, and the least that a small residual is believed: the white part, for the twins' speed,
which lags behind vendors' with more."""
LPS_GATE_M: Final = 0.12
"""The same for the edge, whose filter refuses spikes: with the slow part of the error as well."""
LPS_MOST_M: Final = 3.0
GNSS_M: Final = 1.0
GNSS_PER_HDOP_M: Final = 0.8
GNSS_LEAST_M: Final = 0.4
GNSS_MOST_M: Final = 10.0
