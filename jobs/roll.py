"""`touchline roll`: the hot log into the warm tier, ended matches into the cold tier. A Ray Data job.

Runs by itself during `live`, at the end of `demo` and `replay`, and by `ray job submit -- touchline
roll --settings FILE`. One item of work is one venue (warm) or one ended match (cold): the edge kernel
is a state machine over a venue's packets, so a venue is the unit that can be cut apart. Workers write
data files that nothing names yet; the driver checks them and publishes one manifest per item. Killed
at any step and run again, it neither loses nor doubles a row.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa

from cluster.eventlog.open import open_log
from cluster.settings import Settings, load_settings
from cluster.tiers import Manifest, all_manifests, chain, open_tier, publish, sweep
from jobs.roll_cold import roll_match
from jobs.roll_warm import roll_venue

TIERS = ("warm", "cold")


def roll(settings: Settings, tiers: tuple[str, ...] = TIERS) -> dict[str, int]:
    """Roll what is there now; rows added per tier. Needs a connected Ray."""
    added: dict[str, int] = {}
    if "warm" in tiers:
        work = {"venue": _venues(settings)}
        added["warm"] = _run(settings, work, _warm_batch, settings.tiers.warm_url)
    if "cold" in tiers:
        work = _ended_matches(settings)
        added["cold"] = _run(settings, work, _cold_batch, settings.tiers.cold_url)
    return added


def main(argv: list[str] | None = None) -> int:
    """Connect to the cluster of the settings (or the one that submitted this job) and roll."""
    parser = argparse.ArgumentParser(prog="touchline roll", description=__doc__)
    parser.add_argument("--settings", type=Path, help="TOML settings file")
    parser.add_argument("--data-dir", type=Path, help="instead of the settings' data_dir")
    parser.add_argument("--tier", choices=(*TIERS, "all"), default="all")
    options = parser.parse_args(argv)
    overrides = {"data_dir": str(options.data_dir)} if options.data_dir else {}
    settings = load_settings(options.settings, overrides)
    from cluster.connection import connect, disconnect

    connect(settings)
    try:
        rolled = roll(settings, TIERS if options.tier == "all" else (options.tier,))
    finally:
        disconnect()
    for tier, rows in rolled.items():
        print(f"{tier}: {rows:,} rows added")
    return 0


def _run(
    settings: Settings, work: dict[str, list[str]], batch: Callable[..., pa.Table], url: str
) -> int:
    """Map `batch` over the items of work with Ray Data, then publish what came back."""
    if not next(iter(work.values())):
        return 0
    import ray.data

    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    items = ray.data.from_arrow(pa.table(work))
    results = items.repartition(len(next(iter(work.values())))).map_batches(
        batch, batch_size=1, batch_format="pyarrow", num_cpus=1,
        fn_kwargs={"settings": settings.to_dict()},
    )
    storage = open_tier(url, settings)
    added = 0
    for row in results.take_all():
        manifest = Manifest.from_bytes(row["manifest"])
        if publish(storage, manifest):
            added += sum(entry.rows for entry in manifest.files)
        sweep(storage, manifest.venue_id, manifest.match_id)
    return added


def _warm_batch(batch: pa.Table, settings: dict[str, Any]) -> pa.Table:
    tree = Settings.from_dict(settings)
    made = [roll_venue(tree, venue) for venue in batch.column("venue").to_pylist()]
    return _manifests(made)


def _cold_batch(batch: pa.Table, settings: dict[str, Any]) -> pa.Table:
    tree = Settings.from_dict(settings)
    pairs = zip(
        batch.column("venue").to_pylist(), batch.column("match").to_pylist(), strict=True
    )
    return _manifests([roll_match(tree, venue, match) for venue, match in pairs])


def _manifests(made: list[Manifest | None]) -> pa.Table:
    bodies = [manifest.to_bytes() for manifest in made if manifest is not None]
    return pa.table({"manifest": pa.array(bodies, pa.binary())})


def _venues(settings: Settings) -> list[str]:
    log = open_log(settings.log.url)
    try:
        return [t.removeprefix("raw/") for t in log.topics() if t.startswith("raw/")]
    finally:
        log.close()


def _ended_matches(settings: Settings) -> dict[str, list[str]]:
    """Matches that the warm tier holds to the end and the cold tier does not hold yet."""
    warm = open_tier(settings.tiers.warm_url, settings)
    cold = open_tier(settings.tiers.cold_url, settings)
    ended = {(m.venue_id, m.match_id) for m in all_manifests(warm) if m.closed}
    missing = sorted(pair for pair in ended if not chain(cold, *pair))
    return {"venue": [pair[0] for pair in missing], "match": [pair[1] for pair in missing]}
