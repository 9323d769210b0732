"""One ended match from the warm tier into the cold tier: minutes of play under pseudonyms."""

import io
import time

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cluster.settings import Settings
from cluster.tier_files import read_kind
from cluster.tier_keys import PSEUDONYM_KEY, master_key
from cluster.tiers import Manifest, TierStorage, chain, put_data
from models.tiers.cold import CUMULATIVE, LEVELS, minute_rows

STATE_COLUMNS = ("subject_id", "t_ns", *CUMULATIVE, *LEVELS)


def roll_season(
    settings: Settings, warm: TierStorage, cold: TierStorage, venue_id: str, match_id: str
) -> Manifest:
    """Write the match's season file and give the manifest that would publish it.

    Raises StorageError, AccessError, ConfigError.
    """
    key_dir = settings.identity.key_dir
    # The columns that minutes are made of hold no health data: no key is asked for.
    tables = read_kind(warm, chain(warm, venue_id, match_id), "states", key_dir, STATE_COLUMNS)
    states = pa.concat_tables(tables) if tables else pa.table({n: [] for n in STATE_COLUMNS})
    season = _season(states)
    key = master_key(key_dir, PSEUDONYM_KEY)
    rows = minute_rows(states, key, {"season": season, "match": f"{venue_id}/{match_id}"})
    sink = io.BytesIO()
    pq.write_table(rows, sink, compression="zstd")
    root = f"data/season={season}/venue={venue_id}/match={match_id}"
    entry = put_data(cold, root, 0, "minutes", rows.num_rows, sink.getvalue())
    return Manifest(venue_id, match_id, 0, root, (entry,), 1, closed=True)


def _season(states: pa.Table) -> str:
    """The year of the match's first state; seasons that span two years are a display matter."""
    if states.num_rows == 0:
        return "unknown"
    return str(time.gmtime(pc.min(states.column("t_ns")).as_py() / 1e9).tm_year)
