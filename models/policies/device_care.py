"""DeviceCare: which orders a device that is about to fail is worth, and when they are taken back.

Decides purely. A device whose failure is predicted, or that is unlike itself in a way that costs
samples, is passed over as a position source while its subject has another (`demote`), and its
subject keeps its full rate (`whole`): for the horizon of the prediction, or for a shorter time
after an anomaly, whose orders lapse by themselves. When a prediction has stayed low for `calm_s`,
its orders are taken back; while it stays high, they are renewed before they lapse. A venue gets
`most` decisions in `most_s` and has `most_standing` devices in care at a time, a device gets one
decision in `cooldown_s`; taking back is never bounded. Times are event time, ns.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from models.nets.contract import FAILURE_ALARM, FAILURE_HORIZON_S
from models.telemetry.kinds import POSITION_KINDS, Kind
from models.telemetry.orders import Order, OrderVerb
from models.telemetry.roster import Device, Roster

_S: Final = 1_000_000_000
LINK_SIGNS: Final = frozenset({"loss_ewma_high", "rate_ratio_low", "batt_v_low", "rssi_dbm_low"})
"""Anomalies that come before samples are lost, whichever sensor of the device shows them."""
PLACE_SIGNS: Final = frozenset({"spike_rate_high", "noise_ratio_high"})
"""Those of a position sensor that come with wrong places. A clock is corrected, not passed over."""


class Because(StrEnum):
    """Why orders are given or taken back."""

    FAILURE_PREDICTED = "failure_predicted"
    ANOMALY = "anomaly"
    PREDICTION_OVER = "prediction_over"


@dataclass(frozen=True, slots=True)
class CareConfig:
    """`enter` and `leave`: probability of failure from which, and under which, a device counts."""

    enter: float = FAILURE_ALARM
    leave: float = 0.5
    calm_s: float = 60.0
    predicted_s: float = FAILURE_HORIZON_S
    anomaly_s: float = 180.0
    renew_s: float = 60.0
    cooldown_s: float = 30.0
    most: int = 6
    most_s: float = 60.0
    most_standing: int = 8

    def __post_init__(self) -> None:
        assert 0.0 <= self.leave <= self.enter <= 1.0, self
        assert self.renew_s < min(self.predicted_s, self.anomaly_s), self
        assert min(self.most, self.most_standing) >= 1, self


@dataclass(frozen=True, slots=True)
class Care:
    """A decision about one device: `orders` to give, at event time `t_ns`."""

    device_id: str
    because: Because
    t_ns: int
    orders: tuple[Order, ...]


@dataclass(slots=True)
class _Standing:
    """What is in force for a device: the subject that is kept whole ("" none), whether the device
    is demoted, why, until when; and since when the prediction has been low."""

    subject: str = ""
    demoted: bool = False
    because: str = ""
    until_ns: int = 0
    calm_since_ns: int = 0


class DeviceCare:
    """Of one venue's match. `counts`: decisions by reason, and those that bounds have put off."""

    def __init__(self, roster: Roster, config: CareConfig | None = None) -> None:
        self.config = config or CareConfig()
        self._match_id = roster.match_id
        self._devices: dict[str, list[Device]] = {}
        self._sources: dict[str, set[str]] = {}
        for device in roster.devices:
            self._devices.setdefault(device.device_id, []).append(device)
            if device.kind in POSITION_KINDS and device.subject:
                self._sources.setdefault(device.subject, set()).add(device.device_id)
        self._standing: dict[str, _Standing] = {}
        self._acted_ns: deque[int] = deque(maxlen=self.config.most)
        self._newest_ns: dict[str, int] = {}
        self.counts: dict[str, int] = {}

    @property
    def standing(self) -> list[str]:
        """Devices for which orders are in force."""
        return sorted(self._standing)

    def recall(self, orders: Iterable[Order]) -> None:
        """Take note of orders that a predecessor gave, oldest first."""
        for order in orders:
            if order.match_id != self._match_id:
                continue
            if order.device_id not in self._devices:
                continue
            if order.until_ns == 0:
                self._standing.pop(order.device_id, None)
                continue
            standing = self._standing.setdefault(order.device_id, _Standing())
            standing.because = order.reason
            standing.demoted |= order.verb == OrderVerb.DEMOTE
            standing.subject = order.subject_id or standing.subject
            standing.until_ns = max(standing.until_ns, order.until_ns)

    def predicted(self, device_id: str, t_ns: int, p_fail: float) -> Care | None:
        """What the newest prediction about a device asks for, if anything."""
        standing = self._standing.get(device_id)
        if standing is not None and t_ns >= standing.until_ns:
            del self._standing[device_id]
            self._count("lapsed")
            standing = None
        if p_fail >= self.config.enter:
            if standing is not None:
                standing.calm_since_ns = 0
            return self._act(device_id, t_ns, Because.FAILURE_PREDICTED, self.config.predicted_s)
        if standing is None or standing.because != Because.FAILURE_PREDICTED:
            return None
        if p_fail >= self.config.leave:
            standing.calm_since_ns = 0
        elif standing.calm_since_ns == 0:
            standing.calm_since_ns = t_ns
        elif t_ns - standing.calm_since_ns >= self.config.calm_s * _S:
            return self._take_back(device_id, standing, t_ns)
        return None

    def unlike_itself(self, device_id: str, t_ns: int, sign: str, kind: Kind) -> Care | None:
        """What an anomaly (`DeviceAnomaly.reason`) of a device's sensor of `kind` asks for."""
        if sign not in LINK_SIGNS and not (sign in PLACE_SIGNS and kind in POSITION_KINDS):
            return None
        return self._act(device_id, t_ns, Because.ANOMALY, self.config.anomaly_s)

    # -- inside -----------------------------------------------------------------------------------

    def _act(self, device_id: str, t_ns: int, because: Because, for_s: float) -> Care | None:
        config, standing = self.config, self._standing.get(device_id)
        until_ns = t_ns + int(for_s * _S)
        renews = standing is None or standing.until_ns - t_ns <= config.renew_s * _S
        # What an anomaly has begun lasts longer once a failure is predicted.
        extends = because == Because.FAILURE_PREDICTED and (
            standing is not None and standing.because == Because.ANOMALY
        )
        worn = self._worn(device_id, t_ns)
        if worn is None or not (renews or extends):
            return None
        since_ns = t_ns - self._newest_ns.get(device_id, -(1 << 62))
        if since_ns < config.cooldown_s * _S:
            self._count("cooldown")
            return None
        if self._is_full(standing is not None, t_ns):
            self._count("bound")
            return None
        subject, demotes = worn
        if not subject and not demotes:
            self._count("nothing_to_do")
            return None
        self._acted_ns.append(t_ns)
        self._newest_ns[device_id] = t_ns
        self._standing[device_id] = _Standing(subject, demotes, str(because), until_ns)
        self._count(str(because))
        orders = self._orders(device_id, subject, demotes, because, t_ns, until_ns)
        return Care(device_id, because, t_ns, orders)

    def _is_full(self, standing: bool, t_ns: int) -> bool:
        """Whether another decision would be beyond what a venue may have."""
        config = self.config
        in_force = sum(one.until_ns > t_ns for one in self._standing.values())
        if not standing and in_force >= config.most_standing:
            return True
        often = len(self._acted_ns) == config.most
        return often and t_ns - self._acted_ns[0] < config.most_s * _S

    def _take_back(self, device_id: str, standing: _Standing, t_ns: int) -> Care:
        del self._standing[device_id]
        self._newest_ns[device_id] = t_ns
        self._count(str(Because.PREDICTION_OVER))
        orders = self._orders(
            device_id, standing.subject, standing.demoted, Because.PREDICTION_OVER, t_ns, 0
        )
        return Care(device_id, Because.PREDICTION_OVER, t_ns, orders)

    def _orders(
        self, device_id: str, subject: str, demotes: bool, because: Because, t_ns: int,
        until_ns: int,
    ) -> tuple[Order, ...]:
        orders = []
        place = f"{self._match_id}/{device_id}/{t_ns // _S}"
        if demotes:
            orders.append(Order(
                f"demote/{place}", self._match_id, OrderVerb.DEMOTE, str(because), t_ns,
                device_id=device_id, until_ns=until_ns,
            ))
        if subject:
            orders.append(Order(
                f"whole/{place}", self._match_id, OrderVerb.WHOLE, str(because), t_ns,
                subject_id=subject, device_id=device_id,
                # Another device of the subject may need it for longer.
                until_ns=max([until_ns, *(
                    s.until_ns for s in self._standing.values() if s.subject == subject
                )]),
            ))
        return tuple(orders)

    def _worn(self, device_id: str, t_ns: int) -> tuple[str, bool] | None:
        """(subject that wears it at `t_ns`, whether it has another position source); None: it is
        not of this roster."""
        found = self._devices.get(device_id)
        if found is None:
            return None
        now = [d for d in found if d.valid_from_ns <= t_ns < d.valid_to_ns and d.subject]
        subject = now[0].subject if now else ""
        sources = self._sources.get(subject, set())
        return subject, device_id in sources and len(sources) > 1

    def _count(self, what: str) -> None:
        self.counts[what] = self.counts.get(what, 0) + 1
