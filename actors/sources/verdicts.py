"""Answers to senders: what became of each packet, decoding and the edge's judgement together."""

from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from actors.sources.port import Verdicts
from models.telemetry.block import SampleBlock
from models.telemetry.decoded import Decoded, Verdict
from models.telemetry.devices import DeviceIndex
from models.telemetry.kinds import Kind
from models.telemetry.reasons import Reason

Spans = dict[Kind, tuple[int, int]]
"""Kind -> (first row, rows) of a payload inside its batch."""


def answers(
    decoded: Decoded, spans: Spans, verdicts: Verdicts, index: DeviceIndex
) -> list[dict[str, Any]]:
    """One dict per packet: index, device_id, seq, rows, accepted_rows, accepted, reason.

    rows: what the packet brought; accepted_rows: those that the edge took; reason: "none", or the
    most frequent reason of those that it did not.
    """
    found = _Finder(decoded, spans, verdicts, index)
    return [_answer(verdict, found.reasons_of(verdict)) for verdict in decoded.verdicts]


def _answer(verdict: Verdict, reasons: NDArray[np.uint8] | None) -> dict[str, Any]:
    reason, accepted = verdict.reason, verdict.rows
    if reasons is not None:
        accepted = int(np.count_nonzero(reasons == 0))
        if reason == Reason.NONE and accepted < len(reasons):
            worst = Counter(reasons[reasons != 0].tolist()).most_common(1)[0][0]
            reason = Reason(worst)
    return {
        "index": verdict.index, "device_id": verdict.device_id, "seq": verdict.seq,
        "rows": verdict.rows, "accepted_rows": accepted, "accepted": reason == Reason.NONE,
        "reason": reason.label,
    }


class _Finder:
    """Finds a packet's rows by (device, first seq): packets do not say where their rows went."""

    def __init__(
        self, decoded: Decoded, spans: Spans, verdicts: Verdicts, index: DeviceIndex
    ) -> None:
        self._index = index
        self._taken: Counter[tuple[Kind, int]] = Counter()
        self._kinds: dict[Kind, _Rows] = {}
        for kind, (first, rows) in spans.items():
            reasons = verdicts.get(kind, np.zeros(0, np.uint8))[first : first + rows]
            if len(reasons) == rows:
                self._kinds[kind] = _Rows(decoded.blocks[kind], reasons)

    def reasons_of(self, verdict: Verdict) -> NDArray[np.uint8] | None:
        """The edge's reasons for the packet's rows; None when it has none."""
        if not verdict.rows:
            return None
        for kind, rows in self._kinds.items():
            if verdict.kind not in (None, kind):
                continue
            row = self._index.kind_rows[kind].get(verdict.device_id)
            if row is None:
                continue
            key = (row << 32) | verdict.seq
            found = rows.find(key, self._taken[kind, key], verdict.rows)
            if found is not None:
                self._taken[kind, key] += 1
                return found
        return None


class _Rows:
    """The rows of one kind of a payload, sorted by (device, seq)."""

    def __init__(self, block: SampleBlock, reasons: NDArray[np.uint8]) -> None:
        keys = (block.device.astype(np.uint64) << np.uint64(32)) | block.seq
        self._keys, self._reasons = keys, reasons
        self._order = np.argsort(keys, kind="stable")
        self._sorted = keys[self._order]

    def find(self, key: int, earlier: int, rows: int) -> NDArray[np.uint8] | None:
        """The reasons of `rows` rows from `key` on; `earlier` packets began with it as well."""
        place = int(np.searchsorted(self._sorted, np.uint64(key))) + earlier
        if place >= len(self._sorted) or int(self._sorted[place]) != key:
            return None
        start = int(self._order[place])
        last = start + rows - 1
        if last < len(self._keys) and int(self._keys[last]) == key + rows - 1:
            return self._reasons[start : last + 1]
        # Arrow tables interleave their devices: the rows lie apart, in the order of their counter.
        return self._reasons[self._order[place : place + rows]]
