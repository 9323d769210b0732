"""Files are bounded, read back as they were, and hide health values from whoever lacks the key."""

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from cluster.storage import LocalStorage
from cluster.tier_files import TierWriter, read_file, read_kind, time_span
from cluster.tiers import Manifest, all_manifests, open_tier
from jobs.roll import roll, spread_here
from models.tiers.columns import HEALTH_EVENTS, health_columns
from tests.unit import tier_world as world

ROOT = "data/sport=football/venue=v/match=m"


def table(rows: int, start: int = 0) -> pa.Table:
    t_ns = np.arange(start, start + rows, dtype=np.int64)
    names = pa.array(["a", "b"] * rows).slice(0, rows).dictionary_encode()
    return pa.table({"t_ns": t_ns, "subject_id": names, "hr_bpm": t_ns * 0.5, "x_m": t_ns * 0.25})


def test_rows_leave_in_groups_and_files_of_bounded_size(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path / "tier")
    writer = TierWriter(storage, ROOT, 0, str(tmp_path / "keys"), group_rows=100, file_rows=300)
    for start in range(0, 1000, 10):
        writer.add("states", table(10, start))
    files = writer.finish()
    assert [entry.rows for entry in files] == [300, 300, 300, 100]
    body = storage.get(files[0].key)
    assert pq.ParquetFile(io.BytesIO(body or b"")).metadata.num_row_groups == 3
    manifest = Manifest("v", "m", 0, ROOT, files, len(files))
    back = pa.concat_tables(read_kind(storage, [manifest], "states", str(tmp_path / "keys")))
    assert world.plain(back).equals(world.plain(table(1000)))


def test_the_time_span_of_a_file_is_read_from_its_footer_over_all_groups(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path / "tier")
    writer = TierWriter(storage, ROOT, 0, str(tmp_path / "keys"), group_rows=10)
    for start in (50, 0, 25):
        writer.add("states", table(10, start))
    (entry,) = writer.finish()
    assert time_span(storage, entry.key, "t_ns") == (0, 59)
    with pytest.raises(FileNotFoundError):
        time_span(storage, "data/none.parquet", "t_ns")


def test_a_name_that_a_dictionary_holds_twice_is_written_once(tmp_path: Path) -> None:
    """Arrow leaves the rest of such a dictionary's page as it was in memory."""
    storage = LocalStorage(tmp_path / "tier")
    names = pa.DictionaryArray.from_arrays(
        pa.array([0, 1, None, 3, 2] * 50, pa.int32()), pa.array(["b", "a", "b", "never", "a"])
    )
    writer = TierWriter(storage, ROOT, 0, str(tmp_path / "keys"), group_rows=300)
    for _ in range(3):
        writer.add("imu", pa.table({"t_ns": np.arange(250), "subject_id": names}))
    (entry,) = writer.finish()
    found = pq.ParquetFile(io.BytesIO(storage.get(entry.key) or b"")).metadata
    for group in range(found.num_row_groups):
        column = found.row_group(group).column(1)
        assert "RLE_DICTIONARY" in column.encodings
        assert column.total_uncompressed_size < 400
    back = read_file(storage, entry.key, str(tmp_path / "keys")).column("subject_id").to_pylist()
    assert back == ["b", "a", None, "never", "b"] * 150


def test_another_schema_begins_another_file(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path / "tier")
    writer = TierWriter(storage, ROOT, 0, str(tmp_path / "keys"))
    writer.add("states", table(5))
    writer.add("states", table(5).drop_columns(["x_m"]))
    writer.add("states", table(0))
    assert [entry.rows for entry in writer.finish()] == [5, 5]


def test_a_roll_with_nothing_to_write_writes_nothing(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path / "tier")
    assert TierWriter(storage, ROOT, 0, str(tmp_path / "keys")).finish() == ()
    assert storage.list() == []


@pytest.fixture(scope="module")
def rolled(tmp_path_factory: pytest.TempPathFactory) -> world.Settings:
    root = tmp_path_factory.mktemp("rolled")
    log = world.open_sqlite(root)
    world.Match(log, seconds=6).play().work()
    tree = world.settings(root)
    roll(tree, spread=spread_here)
    return tree


def test_no_health_column_of_any_kind_opens_without_the_keys(
    rolled: world.Settings, tmp_path: Path
) -> None:
    storage = open_tier(rolled.tiers.warm_url, rolled)
    guarded = 0
    for entry in [entry for one in all_manifests(storage) for entry in one.files]:
        data = storage.get(entry.key) or b""
        plain = pq.ParquetFile(io.BytesIO(data))
        names = plain.schema_arrow.names
        hidden = health_columns(entry.kind, names)
        opened = [name for name in names if name not in hidden]
        assert plain.read(columns=opened).num_rows == entry.rows
        for name in hidden:
            guarded += 1
            with pytest.raises(OSError, match=r"crypt|column"):
                plain.read(columns=[name])
            with pytest.raises(Exception):  # noqa: B017, PT011 - Arrow wraps the key error
                read_file(storage, entry.key, str(tmp_path / "no-keys"), [name])
    assert guarded > 20
    assert not (tmp_path / "no-keys").exists()


def test_what_is_health_data() -> None:
    assert health_columns("heart", ["device_id", "hr_bpm", "rr_ms", "contact"]) == [
        "hr_bpm", "rr_ms", "contact",
    ]
    assert health_columns("states", ["x_m", "trimp", "fatigue_index", "dbal_m", "hr_pct"]) == [
        "trimp", "fatigue_index", "dbal_m", "hr_pct",
    ]
    assert health_columns("quarantine", ["reason", "payload", "hr_bpm"]) == ["payload", "hr_bpm"]
    assert health_columns("predictions", ["scores", "health_scores"]) == ["health_scores"]
    assert health_columns(HEALTH_EVENTS, ["event_id", "type", "subject_id", "metrics"]) == [
        "type", "subject_id", "metrics",
    ]
    assert health_columns("lps", ["device_id", "pos_x_m"]) == []


def test_the_folders_are_hive_partitions_that_others_can_read(rolled: world.Settings) -> None:
    folder = f"{rolled.tiers.warm_url}/data"
    data = ds.dataset(folder, format="parquet", partitioning="hive", exclude_invalid_files=False)
    found = data.to_table(
        columns=["kind", "match", "venue", "sport"], filter=ds.field("kind") == "lps"
    )
    assert set(found.column("match").to_pylist()) == {"m1"}
    assert set(found.column("sport").to_pylist()) == {"football"}
    expected = sum(
        entry.rows for one in all_manifests(open_tier(rolled.tiers.warm_url, rolled))
        for entry in one.files if entry.kind == "lps"
    )
    assert found.num_rows == expected


def test_a_file_that_a_manifest_names_and_that_is_gone_is_told(rolled: world.Settings) -> None:
    storage = open_tier(rolled.tiers.warm_url, rolled)
    with pytest.raises(FileNotFoundError, match="gone"):
        read_file(storage, f"{ROOT}/kind=lps/00000009-ff.parquet", rolled.identity.key_dir)
