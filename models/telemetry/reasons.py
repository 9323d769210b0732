"""Why a row or payload was refused. Every refusal is counted under one of these and quarantined."""

from enum import IntEnum


class Reason(IntEnum):
    """The value is the u8 code on the wire, the lower-case name is what people see."""

    NONE = 0
    CRC = 1
    TRUNCATED = 2
    WRONG_FORMAT = 3
    UNKNOWN_VERSION = 4
    UNKNOWN_DEVICE = 5
    UNKNOWN_KIND = 6
    OVERSIZE = 7
    EMPTY = 8
    NOT_FINITE = 9
    OUT_OF_RANGE = 10
    FUTURE = 11
    TOO_LATE = 12
    DUPLICATE = 13
    STALE_SEQ = 14
    STUCK = 15
    NOT_TRUTH_SOURCE = 16
    IDENTITY = 17
    CONSENT = 18
    RATE = 19
    DECODER = 20

    @property
    def label(self) -> str:
        return self.name.lower()
