"""The recording `net_cellular` as rates: bytes per second, one value a second, per trace."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from tests.local_data import data_folder

PACKET_BYTES = 1_500
LEAST_S = 120


def folder() -> Path:
    """Where it is. Raises SystemExit where it is not."""
    found = data_folder() / "net_cellular"
    if not found.is_dir():
        raise SystemExit(f"no recording at {found}; set TOUCHLINE_TEST_DATA")
    return found


def capacities(where: Path) -> dict[str, np.ndarray]:
    """What an LTE, UMTS or EVDO network could have carried (mahimahi), by trace."""
    table = pq.read_table(where / "mahimahi_1ms.parquet").to_pandas()
    found = {}
    for name, rows in table.groupby(table.trace.str.strip(), sort=True):
        second = rows.t_ms.to_numpy(np.int64) // 1_000
        found[str(name)] = np.bincount(second, rows.opportunities) * float(PACKET_BYTES)
    return {name: rates for name, rates in found.items() if len(rates) > LEAST_S}


def downloads(where: Path) -> dict[str, np.ndarray]:
    """What 5G downloads got, which is what the link carried; duplicate seconds dropped. Its
    upload columns hold acknowledgements only and say nothing of capacity."""
    columns = ["app", "file", "ts", "dl_bitrate"]
    table = pq.read_table(where / "5g_1hz.parquet", columns=columns).to_pandas()
    table = table[table.app.str.contains("ownload")]
    found = {}
    for name, rows in table.groupby("file", sort=True):
        kbit_s = rows.drop_duplicates("ts").dl_bitrate.astype(float).ffill().fillna(0.0)
        if len(kbit_s) > LEAST_S:
            found[str(name)] = kbit_s.to_numpy() * 125.0
    return found
