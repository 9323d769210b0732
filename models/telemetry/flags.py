"""Quality flags of a sample row, as bits of `SampleBlock.flags` (DOMAIN: packet flags)."""

from enum import IntFlag


class Flag(IntFlag):
    """A set bit is a fact about the row; the row is still forwarded."""

    LATE = 1 << 0
    DUP = 1 << 1
    GAP_BEFORE = 1 << 2
    CLIPPED = 1 << 3
    STUCK = 1 << 4
    SPIKE_REPAIRED = 1 << 5
    INTERPOLATED = 1 << 6
    LOW_BATT = 1 << 7
    CLOCK_ADJUSTED = 1 << 8
    NLOS = 1 << 9
    UNASSIGNED = 1 << 10
    CONSENT_BLOCKED = 1 << 11
    SIMULATED = 1 << 12
    PRE_ROLL = 1 << 13
    MERGED = 1 << 14
