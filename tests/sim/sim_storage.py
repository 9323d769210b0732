"""Blobs on the simulated disk: what the real `SnapshotStore` needs of a `Storage`."""

from collections.abc import Callable

from cluster.storage import StorageError
from tests.sim.disk import SimDisk
from tests.sim.sim_log import Gate, OpenGate


class SimStorage:
    """`told` hears of every blob that has become durable."""

    def __init__(
        self, disk: SimDisk, gate: Gate | None = None,
        told: Callable[[str, bytes], None] | None = None,
    ) -> None:
        self._disk, self._gate, self._told = disk, gate or OpenGate(), told

    def put_atomic(self, name: str, data: bytes) -> None:
        self._gate.before("put", name)
        self._gate.mid("put", name)
        try:
            self._disk.put(name, data)
        except OSError as error:
            raise StorageError(f"{name}: {error.strerror}") from error
        if self._told is not None:
            self._told(name, data)
        self._gate.after("put", name)

    def get(self, name: str) -> bytes | None:
        self._gate.before("get", name)
        return self._disk.blobs.get(name)

    def list(self, prefix: str = "") -> list[str]:
        self._gate.before("get", prefix)
        return sorted(name for name in self._disk.blobs if name.startswith(prefix))

    def delete(self, name: str) -> None:
        self._gate.before("put", name)
        self._disk.delete(name)
