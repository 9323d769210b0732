"""What is played faster than a match comes the same each time: nobody orders its edge about."""

from actors.coordinator_shell import coordinator_config
from actors.decisions import DecisionLog
from actors.order_writer import OrderWriter
from actors.supervisor_orders import DeviceOrders
from cluster.names import orders_topic
from cluster.settings import load_settings, played_faster
from models.telemetry.kinds import Kind
from models.telemetry.roster import Device
from tests.unit.edge_lab import roster_of
from tests.unit.fakes_log import Clock, FakeLog


def test_venues_are_told_apart_by_the_speed_of_their_source() -> None:
    tree = load_settings(None, {"venues": [
        {"id": "live", "sources": [{"type": "http"}]},
        {"id": "real", "sources": [{"type": "simulator", "speed": 1.0}]},
        {"id": "fast", "sources": [{"type": "simulator", "speed": 20.0}]},
        {"id": "most", "sources": [{"type": "file", "path": "x.parquet", "speed": 0.0}]},
    ]})
    assert played_faster(tree) == {"fast", "most"}
    assert coordinator_config(tree).unhurried == {"fast", "most"}


def test_a_device_that_is_about_to_fail_is_left_alone_there() -> None:
    clock = Clock()
    log = FakeLog(clock)
    decisions = DecisionLog(log, "supervisor", 1, clock)
    roster = roster_of(Device("imu", Kind.IMU, "a0", 100.0))
    venue = roster.venue_id
    for unhurried, given in ((frozenset({venue}), 0), (frozenset[str](), 1)):
        orders = DeviceOrders(OrderWriter(log, "supervisor"), decisions, None, unhurried)
        orders.watch(roster)
        orders.predicted(venue, "imu", clock(), 0.99)
        orders.flush()
        assert len(log.all(orders_topic(venue))) == given
