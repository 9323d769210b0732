"""Recordings to load the system with: a simulated match made once, kept as canonical Arrow files.

Playing one costs a search and a copy per batch, so that the simulator is not in what is measured.
"""

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from models.simulator.config import MatchConfig
from models.simulator.match import MatchSimulator
from models.telemetry.arrow import to_arrow
from models.telemetry.block import SampleBlock, concat_blocks
from models.telemetry.kinds import Kind

DONE = "rows"
BATCH_ROWS = 16_384
"""A batch of the file: opening one is what playing costs beside the copying."""


@dataclass(frozen=True, slots=True)
class Family:
    """Venues of one make: 25 wearers and a ball; rates of their inertial units."""

    name: str
    imu_hz: int
    ball_hz: int

    @property
    def text(self) -> str:
        return f"25 wearers at {self.imu_hz} Hz, ball at {self.ball_hz} Hz"


FAMILIES = {one.name: one for one in (Family("hz100", 100, 500), Family("hz1000", 1000, 500))}


def recording(folder: Path, family: Family, seconds: int, seed: int = 1) -> tuple[Path, int]:
    """The folder of a recording of that length, made if it is not there, and its rows."""
    made = folder / f"{family.name}-{seconds}s-seed{seed}"
    done = made / DONE
    if not done.exists():
        made.mkdir(parents=True, exist_ok=True)
        done.write_text(str(_make(made, family, seconds, seed)))
    return made, int(done.read_text())


def _make(made: Path, family: Family, seconds: int, seed: int) -> int:
    simulator = MatchSimulator(MatchConfig(
        seed=seed, duration_s=seconds, imu_hz=family.imu_hz, ball_hz=family.ball_hz
    ))
    ids = [device.device_id for device in simulator.roster.devices]
    (made / "roster.json").write_text(simulator.roster.to_json())
    writers: dict[Kind, pa.ipc.RecordBatchFileWriter] = {}
    waiting: dict[Kind, list[SampleBlock]] = {}
    rows = 0
    for second in range(simulator.chunks):
        last = second == simulator.chunks - 1
        for kind, block in simulator.chunk(second).items():
            rows += len(block)
            waiting.setdefault(kind, []).append(block)
        for kind, parts in waiting.items():
            if parts and (last or sum(map(len, parts)) >= BATCH_ROWS):
                _write(made, writers, kind, concat_blocks(parts), ids)
                waiting[kind] = []
    for writer in writers.values():
        writer.close()
    return rows


def _write(
    made: Path, writers: dict[Kind, pa.ipc.RecordBatchFileWriter], kind: Kind, block: SampleBlock,
    ids: list[str],
) -> None:
    if not len(block):
        return
    batch = to_arrow(block, ids)
    if kind not in writers:
        writers[kind] = pa.ipc.new_file(str(made / f"{kind}.arrow"), batch.schema)
    writers[kind].write_batch(batch)
