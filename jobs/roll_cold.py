"""One ended match from the warm tier into the cold tier: minutes of play under pseudonyms."""

import io
import time

import pyarrow as pa
import pyarrow.parquet as pq

from cluster.settings import Settings
from cluster.tier_keys import PSEUDONYM_KEY, decrypt_columns, master_key
from cluster.tiers import Manifest, chain, open_tier, put_data
from models.tiers.cold import CUMULATIVE, LEVELS, minute_rows

STATE_COLUMNS = ["subject_id", "t_ns", *CUMULATIVE, *LEVELS]


def roll_match(settings: Settings, venue_id: str, match_id: str) -> Manifest:
    """Write the match's season file and give the manifest that would publish it."""
    warm = open_tier(settings.tiers.warm_url, settings)
    cold = open_tier(settings.tiers.cold_url, settings)
    decryption = decrypt_columns(settings.identity.key_dir)
    tables = []
    for manifest in chain(warm, venue_id, match_id):
        for entry in manifest.files:
            data = warm.get(entry.key) if entry.kind == "states" else None
            if data is not None:
                file = pq.ParquetFile(io.BytesIO(data), decryption_properties=decryption)
                tables.append(file.read(columns=STATE_COLUMNS))
    states = pa.concat_tables(tables) if tables else pa.table({n: [] for n in STATE_COLUMNS})
    season = _season(states)
    key = master_key(settings.identity.key_dir, PSEUDONYM_KEY)
    rows = minute_rows(states, key, {"season": season, "match": f"{venue_id}/{match_id}"})
    sink = pa.BufferOutputStream()
    pq.write_table(rows, sink, compression="zstd")
    partition = f"season={season}/venue={venue_id}/match={match_id}"
    entry = put_data(cold, partition, "minutes", rows.num_rows, sink.getvalue().to_pybytes())
    return Manifest(venue_id, match_id, 0, (entry,), closed=True)


def _season(states: pa.Table) -> str:
    """The year of the match's first state; seasons that span two years are a display matter."""
    if states.num_rows == 0:
        return "unknown"
    first_ns = min(states.column("t_ns").to_pylist())
    return str(time.gmtime(first_ns / 1e9).tm_year)
