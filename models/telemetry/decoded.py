"""What a payload decodes to: columns, refusals and verdicts. Bad bytes are values, not errors.

Conservation: every row that a payload claims is in `blocks`, or counted in one refusal. A stretch
of bytes in which no packet can be told counts as one row.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from models.telemetry.block import SampleBlock
from models.telemetry.kinds import Kind
from models.telemetry.reasons import Reason

MAX_PAYLOAD_BYTES = 64 << 20
MAX_REFUSALS = 1024
KEPT_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Refusal:
    """Rows that were not taken, with the first 4 KiB of the bytes that they came in."""

    reason: Reason
    device_id: str
    rows: int
    detail: str = ""
    payload: bytes = b""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer to one packet. `rows` were taken; `reason` is NONE when that is all of them.

    index      place in the payload: the packet's number, damaged stretches included
    seq        counter of the packet's first sample; of a table's rows the lowest
    kind       of the rows; None where that is not known. One device id may have several kinds
    """

    index: int
    device_id: str
    seq: int
    rows: int
    reason: Reason
    kind: Kind | None = None


@dataclass(frozen=True, slots=True)
class Decoded:
    """All that a payload gave. Blocks hold rows of known devices only, in input order."""

    blocks: dict[Kind, SampleBlock] = field(default_factory=dict)
    refusals: list[Refusal] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)

    @property
    def rows(self) -> int:
        return sum(len(block) for block in self.blocks.values())

    @property
    def size_bytes(self) -> int:
        """What the rows take in memory."""
        return sum(block.size_bytes for block in self.blocks.values())


def refusal(
    reason: Reason, detail: str, payload: bytes | memoryview = b"", device_id: str = "",
    rows: int = 1,
) -> Refusal:
    """A refusal with its texts and bytes cut to what is kept."""
    return Refusal(reason, device_id[:120], rows, detail[:240], bytes(payload[:KEPT_BYTES]))


def refused_whole(reason: Reason, detail: str, payload: bytes | memoryview = b"") -> Decoded:
    """The outcome of a payload of which nothing could be taken."""
    one = refusal(reason, detail, payload)
    return Decoded({}, [one], [Verdict(0, "", 0, 0, reason)])


def count_refused(refusals: Iterable[Refusal]) -> dict[str, int]:
    """Rows refused, by reason label: the form that `RawBatch.refused` takes."""
    counts: dict[str, int] = {}
    for one in refusals:
        counts[one.reason.label] = counts.get(one.reason.label, 0) + one.rows
    return counts


def bounded(refusals: list[Refusal]) -> list[Refusal]:
    """At most MAX_REFUSALS: the rest is merged into one per reason, so that no row is uncounted."""
    if len(refusals) <= MAX_REFUSALS:
        return refusals
    kept, rest = refusals[:MAX_REFUSALS], refusals[MAX_REFUSALS:]
    merged: dict[Reason, int] = {}
    for one in rest:
        merged[one.reason] = merged.get(one.reason, 0) + one.rows
    return kept + [Refusal(reason, "", rows, "and others") for reason, rows in merged.items()]
