"""DeviceOrders: carries out what `models.policies.device_care` decides: orders, and their reasons.

An order that the log will not take now waits, up to a bound, and is tried again at the next turn;
a decision is noted when it is made. After a restart what is in force is read from the log.
"""

from collections import deque
from typing import Any, Final

from actors.decisions import DecisionLog
from actors.order_writer import OrderWriter
from models.errors import FencedError
from models.policies.device_care import Because, Care, CareConfig, DeviceCare
from models.telemetry.orders import Order
from models.telemetry.roster import Device, Roster

STREAM: Final = "supervisor"
WAITING: Final = 256


class DeviceOrders:
    """Of all venues but those in `unhurried`, whose edges are left as they are."""

    def __init__(
        self, writer: OrderWriter, decisions: DecisionLog, config: CareConfig | None = None,
        unhurried: frozenset[str] = frozenset(),
    ) -> None:
        self._unhurried = unhurried
        self._writer, self._decisions, self._config = writer, decisions, config
        self._care: dict[str, DeviceCare] = {}
        self._waiting: deque[tuple[str, Order]] = deque()
        self.given = self.dropped = 0

    def watch(self, roster: Roster) -> None:
        """Begin with a venue's match. Raises LogError."""
        if roster.venue_id in self._unhurried:
            return
        care = DeviceCare(roster, self._config)
        care.recall(self._writer.newest(roster.venue_id))
        self._care[roster.venue_id] = care

    def predicted(self, venue_id: str, device_id: str, t_ns: int, p_fail: float) -> None:
        """A prediction about a device."""
        if venue_id in self._unhurried:
            return
        detail = {"p_fail": round(p_fail, 4)}
        self._carry_out(
            venue_id, self._care[venue_id].predicted(device_id, t_ns, p_fail), detail
        )

    def unlike_itself(self, venue_id: str, device: Device, t_ns: int, sign: str) -> None:
        """An anomaly of a sensor of a device."""
        if venue_id in self._unhurried:
            return
        care = self._care[venue_id].unlike_itself(device.device_id, t_ns, sign, device.kind)
        self._carry_out(venue_id, care, {"sign": sign, "kind": str(device.kind)})

    def flush(self) -> None:
        """Give what waits. Raises LogError; nothing is forgotten."""
        while self._waiting:
            venue_id, order = self._waiting[0]
            try:
                self.given += self._writer.send(venue_id, order)
            except FencedError:
                # Another supervisor has taken over: it decides by itself.
                self.dropped += len(self._waiting)
                self._waiting.clear()
                raise
            self._waiting.popleft()

    def stats(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "given": self.given, "dropped": self.dropped, "waiting": len(self._waiting),
            "standing": {venue: care.standing for venue, care in self._care.items()},
            "counts": {venue: dict(care.counts) for venue, care in self._care.items()},
        }

    def _carry_out(self, venue_id: str, care: Care | None, why: dict[str, Any]) -> None:
        if care is None:
            return
        over = care.because == Because.PREDICTION_OVER
        for order in care.orders:
            if len(self._waiting) >= WAITING:
                self._waiting.popleft()
                self.dropped += 1
            self._waiting.append((venue_id, order))
            detail = {
                "venue": venue_id, "target": order.target, "device": care.device_id,
                "order_id": order.order_id, "t_event_ns": care.t_ns, "until_ns": order.until_ns,
                **why,
            }
            action = f"{order.verb}_over" if over else str(order.verb)
            self._decisions.note(action, care.because, detail)
