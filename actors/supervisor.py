"""Supervisor: foresees device failures and acts on them, restarts dead actors, says why.

A plain class; `step` is one bounded turn. Which targets there are, how they are probed and
restarted is handed in; when a restart is due is `models.policies.supervision`, which orders a
failing device is worth `models.policies.device_care`. All that it does goes to the topic `actions`;
predictions go to insights, alarms to events, orders to the venue's edge.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from actors.decisions import DecisionLog
from actors.net_client import NetClient, Prediction
from actors.order_writer import OrderWriter
from actors.supervisor_health import AlarmConfig, HealthWatch, Tracker, worst_of
from actors.supervisor_orders import STREAM, DeviceOrders
from actors.worker_outbox import Outbox
from actors.worker_venue import Stream, load_roster
from cluster.eventlog.port import EventLog
from cluster.names import events_topic, insights_topic, roster_topic
from models.errors import TouchlineError
from models.policies.device_care import CareConfig
from models.policies.pipeline_watch import PipelineWatch
from models.policies.supervision import Finding, Health, SupervisionPolicy, Verb
from models.readmodel_input import PREDICTION_TYPE

_ROSTER: Final = roster_topic("")

Probe = Callable[[], tuple[Health, dict[str, Any]]]
"""Asks a target how it is; must answer within a bounded time and never raise."""


@dataclass(frozen=True, slots=True)
class SupervisorConfig:
    """Times in ns; `lag_records`: a pool that is at its largest and further behind is reported;
    `unhurried`: venues whose edges are left as they are (`played_faster`)."""

    probe_ns: int = 1_000_000_000
    discover_ns: int = 1_000_000_000
    lag_records: int = 300
    alarm: AlarmConfig = field(default_factory=AlarmConfig)
    care: CareConfig = field(default_factory=CareConfig)
    unhurried: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class SupervisorPorts:
    """What the supervisor needs from outside. `probes`: target -> probe, asked anew each round."""

    log: EventLog
    nets: NetClient
    probes: Callable[[], Mapping[str, Probe]]
    restart: Callable[[str], None]
    make_tracker: Callable[[int], Tracker]
    decode_health: Callable[[bytes], Any]
    clock_ns: Callable[[], int]


class Supervisor:
    """`incarnation` rises with every start."""

    def __init__(
        self, incarnation: int, ports: SupervisorPorts, config: SupervisorConfig | None = None,
        policy: SupervisionPolicy | None = None,
    ) -> None:
        self.config = config or SupervisorConfig()
        self._ports, self._clock_ns = ports, ports.clock_ns
        self._policy = policy or SupervisionPolicy()
        self.decisions = DecisionLog(ports.log, "supervisor", incarnation, ports.clock_ns)
        self._outbox = Outbox(ports.log, ports.clock_ns)
        self._stream = Stream(f"supervisor/{incarnation}")
        writer = OrderWriter(ports.log, STREAM)
        self.orders = DeviceOrders(
            writer, self.decisions, self.config.care, self.config.unhurried
        )
        self._watches: dict[str, HealthWatch] = {}
        self._answers: list[Prediction] = []
        self._roster_at: dict[str, int] = {}
        self._probed_ns = self._discovered_ns = 0
        self._health: dict[str, str] = {}
        self._congested = False
        self._pipeline = PipelineWatch()
        self.alarms = self.anomalies = self.restarts = 0
        self.error = ""

    def step(self) -> bool:
        """One turn; False when there was nothing to do. Trouble with the log waits for the next."""
        moved = False
        now_ns = self._clock_ns()
        try:
            if now_ns - self._discovered_ns >= self.config.discover_ns:
                self._discovered_ns = now_ns
                self._discover()
            if self._outbox.flush():
                moved = self._foresee()
        except (OSError, TouchlineError) as error:
            self.error = str(error)
        try:
            self.orders.flush()
        except TouchlineError as error:
            self.error = str(error)
        if now_ns - self._probed_ns >= self.config.probe_ns:
            self._probed_ns = now_ns
            self._probe(now_ns)
        self.decisions.flush()
        return moved

    def stats(self) -> dict[str, Any]:
        """How it stands, as JSON values."""
        return {
            "venues": sorted(self._watches), "alarms": self.alarms, "restarts": self.restarts,
            "anomalies": self.anomalies,
            "targets": dict(self._health), "error": self.error,
            "nets": dict(self._ports.nets.counters), "decisions": list(self.decisions.recent),
            "orders": self.orders.stats(),
            "unreadable": sum(watch.unreadable for watch in self._watches.values()),
        }

    # -- devices -----------------------------------------------------------------------------------

    def _discover(self) -> None:
        log, ports = self._ports.log, self._ports
        for topic in log.topics():
            end = log.describe(topic).end if topic.startswith(_ROSTER) else 0
            if end == 0 or self._roster_at.get(topic) == end:
                continue
            venue_id = topic.removeprefix(_ROSTER)
            roster = load_roster(log, venue_id, end - 1)
            known = self._watches.get(venue_id)
            if known is None or known.match_id != roster.match_id:
                self.orders.watch(roster)
                tracker = ports.make_tracker(len(roster.devices))
                self._watches[venue_id] = HealthWatch(
                    log, roster, tracker, ports.decode_health, self.config.alarm
                )
            self._roster_at[topic] = end

    def _foresee(self) -> bool:
        """Read health, ask the net, write what it says. Raises LogError."""
        moved = False
        unwritten = {prediction.task.venue_id for prediction in self._answers}
        for venue_id, watch in self._watches.items():
            if self._ports.nets.busy(venue_id) or venue_id in unwritten:
                continue
            tasks = watch.read()
            self._ports.nets.submit(tasks)
            for anomaly, record in watch.anomalies.take():
                self.anomalies += 1
                self._outbox.put(events_topic(venue_id), record, 0)
                device = watch.device(anomaly.row)
                self.orders.unlike_itself(venue_id, device, anomaly.t_ns, anomaly.reason)
            moved = moved or bool(tasks)
        # Kept until they are on their way: a log that cannot be asked must not lose an alarm.
        predictions = self._ports.nets.poll()
        self._answers += predictions
        for venue_id, watch in self._watches.items():
            mine = [p for p in self._answers if p.task.venue_id == venue_id]
            if mine:
                self._write(watch, mine)
                self._answers = [p for p in self._answers if p.task.venue_id != venue_id]
            # What was asked must be answered and durable before the cursor moves past it.
            if not self._ports.nets.busy(venue_id) and self._outbox.flush():
                watch.commit()
        return moved or bool(predictions)

    def _write(self, watch: HealthWatch, predictions: list[Prediction]) -> None:
        """All or nothing. Raises LogError."""
        topic, worst = insights_topic(watch.venue_id), worst_of(predictions)
        alarms = watch.judge(worst)
        for prediction in worst:
            record = self._stream.record(
                prediction.task.t_ns, prediction.encode(), PREDICTION_TYPE
            )
            self._outbox.put(topic, record, 0)
            task = prediction.task
            self.orders.predicted(
                watch.venue_id, task.key[1], task.t_ns, prediction.scores["p_fail"]
            )
        for record in alarms:
            self.alarms += 1
            self._outbox.put(events_topic(watch.venue_id), record, 0)

    # -- actors ------------------------------------------------------------------------------------

    def _probe(self, now_ns: int) -> None:
        findings = []
        for target, probe in sorted(self._ports.probes().items()):
            health, facts = probe()
            self._health[target] = str(health)
            findings.append(Finding(target, health, str(facts.get("error", ""))[:200]))
            self._watch_lag(facts)
            for anomaly in self._pipeline.handle(target, facts, now_ns):
                self.decisions.note("pipeline_anomaly", anomaly.reason, anomaly.detail())
        for action in self._policy.decide(findings, now_ns):
            detail = {"target": action.target, "detail": action.detail}
            self.decisions.note(str(action.verb), action.reason, detail)
            if action.verb == Verb.RESTART:
                self.restarts += 1
                try:
                    self._ports.restart(action.target)
                except Exception as error:  # a launcher's own trouble must not stop the watch
                    self.decisions.note("restart_failed", type(error).__name__, detail)

    def _watch_lag(self, facts: Mapping[str, Any]) -> None:
        """Say once when the pool cannot keep up at its largest, and once when it can again."""
        if "lag_records" not in facts:
            return
        lag = int(facts["lag_records"])
        stuck = facts.get("scale", {}).get("reason") in ("at_max", "no_gain", "crowded", "fixed")
        if not self._congested and stuck and lag > self.config.lag_records:
            self._congested = True
            self.decisions.note("congestion", "lag_at_largest_pool", {"lag_records": lag})
        elif self._congested and lag < self.config.lag_records // 2:
            self._congested = False
            self.decisions.note("congestion_over", "lag_is_down", {"lag_records": lag})
