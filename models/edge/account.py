"""Conservation: every row that came in is forwarded, thinned, buffered or rejected, once."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from models.telemetry.kinds import Kind


@dataclass(frozen=True, slots=True)
class KindAccount:
    """Rows of one kind. `rejected` by reason label; `lost_by_counter` samples that never came;
    `pre_roll` copies of thinned rows that were sent again at full rate (not part of the sum)."""

    rows_in: int = 0
    forwarded: int = 0
    thinned: int = 0
    buffered: int = 0
    lost_by_counter: int = 0
    pre_roll: int = 0
    rejected: Mapping[str, int] = field(default_factory=dict)

    def holds(self) -> bool:
        """Whether nothing is missing and nothing is counted twice."""
        out = self.forwarded + self.thinned + self.buffered
        return self.rows_in == out + sum(self.rejected.values())


@dataclass(frozen=True, slots=True)
class EdgeAccount:
    """Per kind, and the totals. `refused` are rows that never became columns (`RawBatch.refused`):
    they count as come in and as rejected."""

    kinds: Mapping[Kind, KindAccount]
    refused: Mapping[str, int] = field(default_factory=dict)

    @property
    def rows_in(self) -> int:
        return self._sum("rows_in") + sum(self.refused.values())

    @property
    def forwarded(self) -> int:
        return self._sum("forwarded")

    @property
    def thinned(self) -> int:
        return self._sum("thinned")

    @property
    def buffered(self) -> int:
        return self._sum("buffered")

    @property
    def lost_by_counter(self) -> int:
        return self._sum("lost_by_counter")

    @property
    def pre_roll(self) -> int:
        return self._sum("pre_roll")

    @property
    def rejected(self) -> dict[str, int]:
        """Rows by reason label, all kinds and the refused."""
        total: dict[str, int] = dict(self.refused)
        for account in self.kinds.values():
            for label, rows in account.rejected.items():
                total[label] = total.get(label, 0) + rows
        return dict(sorted(total.items()))

    def holds(self) -> bool:
        """Conservation of each kind."""
        return all(account.holds() for account in self.kinds.values())

    def to_dict(self) -> dict[str, Any]:
        """The report's form: in, forwarded, thinned, buffered, rejected, lost_by_counter, ..."""
        return {
            "in": self.rows_in, "forwarded": self.forwarded, "thinned": self.thinned,
            "buffered": self.buffered, "rejected": self.rejected,
            "lost_by_counter": self.lost_by_counter, "pre_roll": self.pre_roll,
            "kinds": {
                str(kind): {
                    "in": a.rows_in, "forwarded": a.forwarded, "thinned": a.thinned,
                    "buffered": a.buffered, "rejected": dict(a.rejected),
                    "lost_by_counter": a.lost_by_counter,
                }
                for kind, a in self.kinds.items() if a.rows_in
            },
        }

    def _sum(self, name: str) -> int:
        return sum(int(getattr(account, name)) for account in self.kinds.values())
