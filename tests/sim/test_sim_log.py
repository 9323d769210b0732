"""The simulated log keeps the contract of the real one, and its disk forgets as a disk does."""

import random

import pytest

from cluster.eventlog.port import EventLog, Record
from models.errors import LogError
from tests.sim.disk import SimDisk
from tests.sim.sim_log import LogClient, LogStore, OpenGate, PowerLostError
from tests.unit.eventlog_conformance import EventLogConformance, OpenStore


class TestSimLog(EventLogConformance):
    """The specification of every adapter."""

    @pytest.fixture
    def open_store(self) -> OpenStore:
        disk = SimDisk()
        store = LogStore(disk)

        def open_again() -> EventLog:
            store.reopen()
            return LogClient(store, lambda: 1, "test")

        return open_again


class PowerCut(OpenGate):
    def mid(self, op: str, what: str) -> None:
        raise PowerLostError


def client(store: LogStore, gate: OpenGate | None = None) -> LogClient:
    return LogClient(store, lambda: 1, "test", gate)


def record(seq: int) -> Record:
    return Record("s", seq, 0, b"payload")


def test_power_loss_takes_only_what_was_never_acknowledged() -> None:
    kept = set()
    for seed in range(40):
        disk = SimDisk()
        store = LogStore(disk)
        client(store).append("t", [record(0)], 0)
        with pytest.raises(PowerLostError):
            client(store, PowerCut()).append("t", [record(1)], 0)
        disk.lose_power(random.Random(seed))
        store.reopen()
        kept.add(store.look("t").end)
        assert client(store).append("t", [record(1), record(2)], 0)[-1] == 2
    assert kept == {1, 2}


def test_a_full_disk_refuses_whole_and_takes_again_when_there_is_room() -> None:
    disk = SimDisk()
    store = LogStore(disk)
    client(store).append("t", [record(0)], 0)
    disk.capacity = disk.used + 20
    with pytest.raises(LogError):
        client(store).append("t", [record(1)], 0)
    assert store.look("t").end == 1
    disk.capacity = None
    assert client(store).append("t", [record(1)], 0) == [1]
