"""What a stadium does while its log refuses to take anything: it stops reading, and tries again.

Declared policy: nothing is dropped and nothing is acknowledged. Sources stay unread, live queues
fill and then refuse with "retry". Times are wall-clock ns.
"""

from dataclasses import dataclass
from typing import Any, Final

FIRST_WAIT_NS: Final = 50_000_000
LONGEST_WAIT_NS: Final = 2_000_000_000
POLICY: Final = "stop_reading"


@dataclass(slots=True)
class Outage:
    """The current outage, if any, and what earlier ones amounted to."""

    since_ns: int = 0
    retry_ns: int = 0
    wait_ns: int = 0
    retries: int = 0
    outages: int = 0
    down_ns: int = 0
    error: str = ""

    @property
    def active(self) -> bool:
        return self.since_ns > 0

    def failed(self, error: Exception, now_ns: int) -> None:
        """The log refused at `now_ns`: wait twice as long as before, up to a bound."""
        if not self.active:
            self.since_ns = now_ns
            self.outages += 1
        self.retries += 1
        self.wait_ns = min(max(FIRST_WAIT_NS, 2 * self.wait_ns), LONGEST_WAIT_NS)
        self.retry_ns = now_ns + self.wait_ns
        self.error = f"{type(error).__name__}: {error}"[:240]

    def over(self, now_ns: int) -> int:
        """The log takes records again; how long it did not, in ns."""
        lasted_ns = now_ns - self.since_ns
        self.down_ns += lasted_ns
        self.since_ns = self.retry_ns = self.wait_ns = 0
        return lasted_ns

    def as_dict(self, now_ns: int) -> dict[str, Any]:
        running_ns = now_ns - self.since_ns if self.active else 0
        return {
            "down": self.active, "retries": self.retries, "outages": self.outages,
            "down_s": round((self.down_ns + running_ns) / 1e9, 3), "error": self.error,
            "policy": POLICY,
        }
