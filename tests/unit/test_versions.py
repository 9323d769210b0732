"""Old schema versions still read."""

import numpy as np
import pyarrow as pa
import pytest

from models.errors import SchemaError
from models.telemetry.ingest import decode_arrow
from models.telemetry.kinds import KINDS, Kind
from models.telemetry.roster import Device, Role, Roster, Subject
from models.telemetry.versions import upgrade, version_of

ROSTER = Roster(
    "v1", "m1", subjects=(Subject("a", Role.ATHLETE),),
    devices=(Device("d", Kind.IMU, "a", 100.0),),
)


def batch_of_version_0(**metadata: str) -> pa.RecordBatch:
    columns = {
        "device_id": pa.array(["d", "d"]), "boot": pa.array([0, 0], pa.uint32()),
        "seq": pa.array([5, 6], pa.uint32()), "t_event_ns": pa.array([10, 20], pa.int64()),
        **{name: pa.array([1.0, 2.0], pa.float32()) for name in KINDS[Kind.IMU].names[:3]},
    }
    batch = pa.RecordBatch.from_pydict(columns)
    return batch.replace_schema_metadata({"touchline.kind": "imu", **metadata})


def test_a_batch_of_version_0_reads_with_unknown_channels_and_no_flags() -> None:
    batch = batch_of_version_0()
    assert version_of(batch.schema) == 0
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    decoded = decode_arrow(sink.getvalue().to_pybytes(), ROSTER, 99)
    block = decoded.blocks[Kind.IMU]
    assert block.seq.tolist() == [5, 6]
    assert block.t_ingest_ns.tolist() == [99, 99]
    assert not block.flags.any()
    np.testing.assert_array_equal(block.values[0], [1.0, 2.0])
    assert np.isnan(block.values[3:]).all()


def test_a_recorded_batch_without_arrival_time_arrives_when_it_happened() -> None:
    assert upgrade(batch_of_version_0()).column("t_ingest_ns").to_pylist() == [10, 20]


@pytest.mark.parametrize("said", ["2", "99999999999", "x", "-1", ""])
def test_a_version_that_is_not_known_is_refused(said: str) -> None:
    schema = batch_of_version_0(**{"touchline.schema_v": said}).schema
    with pytest.raises(SchemaError, match="unknown_version"):
        version_of(schema)
