"""Health columns in Parquet can be read with the key folder, and not without it."""

import stat
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cluster.tier_keys import decrypt_columns, encrypt_columns, master_key

TABLE = pa.table({"t_ns": [1, 2], "hr_bpm": [150.0, 151.0]})


def write(path: Path, keys: Path) -> None:
    pq.write_table(TABLE, path, encryption_properties=encrypt_columns(keys, ["hr_bpm"]))


def test_what_was_encrypted_reads_back_with_the_keys(tmp_path: Path) -> None:
    write(tmp_path / "t.parquet", tmp_path / "keys")
    properties = decrypt_columns(tmp_path / "keys")
    assert pq.read_table(tmp_path / "t.parquet", decryption_properties=properties).equals(TABLE)


def test_the_other_columns_read_without_keys_and_health_does_not(tmp_path: Path) -> None:
    write(tmp_path / "t.parquet", tmp_path / "keys")
    plain = pq.ParquetFile(tmp_path / "t.parquet")
    assert plain.read(columns=["t_ns"]).column("t_ns").to_pylist() == [1, 2]
    with pytest.raises(OSError, match=r"crypt|column"):
        plain.read(columns=["hr_bpm"])


def test_another_key_does_not_open_it(tmp_path: Path) -> None:
    write(tmp_path / "t.parquet", tmp_path / "keys")
    with pytest.raises(Exception):  # noqa: B017, PT011 - Arrow wraps the cipher's own error
        pq.read_table(tmp_path / "t.parquet", decryption_properties=decrypt_columns(tmp_path / "k"))


def test_a_key_is_private_and_stays_the_same(tmp_path: Path) -> None:
    first = master_key(tmp_path / "keys", "health")
    assert master_key(tmp_path / "keys", "health") == first
    assert stat.S_IMODE((tmp_path / "keys" / "health.key").stat().st_mode) == 0o600
