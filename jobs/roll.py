"""`touchline roll`: the hot log into the warm tier, ended matches into the cold tier, by Ray Data.

Runs by itself during `live`, at the end of `demo` and `replay`, and by `ray job submit -- touchline
roll --settings FILE`. One item of work is one match: the edge kernel is a state machine over a
match's packets, so a match is the unit that can be cut apart. Workers write data files that nothing
names yet; the driver checks them and publishes one manifest per item. Killed at any step and run
again, it neither loses nor doubles a row. At the end the hot log forgets what it need not hold.
"""

import argparse
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Protocol, TypeVar

import pyarrow as pa

from cluster.background import in_background
from cluster.eventlog.open import open_log
from cluster.eventlog.port import EventLog
from cluster.heap import TRIMMED_BYTES, give_back, keep_freed
from cluster.settings import Settings
from cluster.tiers import (
    Manifest,
    TierStorage,
    last_manifest,
    newest_manifests,
    open_tier,
    publish,
    sweep_due,
)
from jobs.options import add_settings_options, settings_of
from jobs.retention import trim_hot
from jobs.roll_cold import roll_season
from jobs.roll_log import match_in, matches_in, venues_in
from jobs.roll_warm import WarmPorts, has_news, roll_match
from models.errors import ConfigError, TouchlineError

TIERS: Final = ("warm", "cold")
PATIENCE_S: Final = 600.0
"""A roll that has not moved for so long has found no free CPU, and gives up."""
MAX_ERROR_CHARS: Final = 2000
CPUS_A_ROLLER: Final = 4
"""Beside the live path one item is worked on at a time for so many CPUs of the cluster."""

Item = tuple[str, str]
Work = Callable[[Settings, str, str], Manifest | None]


class RollError(TouchlineError):
    """Some of the work could not be done; what is published stands, and a rerun goes on."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one item: a manifest to publish, nothing new, or why it failed."""

    manifest: Manifest | None
    error: str = ""


Result = TypeVar("Result")


class Spread(Protocol):
    """Carries out `work(settings, venue, match)` for every item, anywhere. Raises RollError."""

    def __call__(self, settings: Settings, work: Work, items: list[Item]) -> list[Outcome]: ...


def roll(
    settings: Settings, tiers: tuple[str, ...] = TIERS, spread: Spread | None = None
) -> dict[str, int]:
    """Roll what is there now; rows added per tier. Needs a connected Ray, or another `spread`.

    Raises RollError, LogError, StorageError, ConfigError; a rerun goes on where it stopped.
    """
    spread = spread or spread_with_ray
    added: dict[str, int] = {}
    failures: list[str] = []
    warm = open_tier(settings.tiers.warm_url, settings)
    log = open_log(settings.log.url)
    try:
        if "warm" in tiers:
            items = _matches_with_news(log, warm)
            added["warm"] = publish_all(warm, spread(settings, warm_work, items), failures)
        if "cold" in tiers:
            cold = open_tier(settings.tiers.cold_url, settings)
            items = _ended_matches(warm, cold)
            added["cold"] = publish_all(cold, spread(settings, cold_work, items), failures)
        if "warm" in tiers:
            trim_hot(settings, log, warm)
    finally:
        log.close()
    if failures:
        raise RollError("; ".join(failures))
    return added


def main(argv: list[str] | None = None) -> int:
    """Connect to the cluster of the settings (or the one that submitted this job) and roll."""
    parser = argparse.ArgumentParser(prog="touchline roll", description=__doc__)
    add_settings_options(parser)
    parser.add_argument("--tier", choices=(*TIERS, "all"), default="all")
    options = parser.parse_args(argv)
    settings = settings_of(options)
    names = TIERS if options.tier == "all" else (options.tier,)
    rolled = with_cluster(settings, lambda spread: roll(settings, names, spread))
    for tier, rows in rolled.items():
        print(f"{tier}: {rows:,} rows added")
    return 0


def with_cluster(settings: Settings, job: Callable[[Spread], Result]) -> Result:
    """What `job` gives, handed a way to spread work over the cluster of the settings (or the one
    that submitted this job), and disconnected from it afterwards."""
    from cluster.connection import connect, disconnect

    def spread(settings: Settings, work: Work, items: list[Item]) -> list[Outcome]:
        if items:  # to find that there is nothing to do takes no cluster
            connect(settings)
        return spread_with_ray(settings, work, items)

    try:
        return job(spread)
    finally:
        disconnect()


def warm_work(settings: Settings, venue_id: str, match_id: str) -> Manifest | None:
    """One match into the warm tier; runs wherever `spread` puts it."""
    log = open_log(settings.log.url)
    try:
        span = match_in(log, venue_id, match_id)
        if span is None:
            return None
        storage = open_tier(settings.tiers.warm_url, settings)
        return roll_match(WarmPorts.of(settings, log, storage), span)
    finally:
        log.close()


def cold_work(settings: Settings, venue_id: str, match_id: str) -> Manifest | None:
    """One ended match into the cold tier."""
    warm = open_tier(settings.tiers.warm_url, settings)
    cold = open_tier(settings.tiers.cold_url, settings)
    return roll_season(settings, warm, cold, venue_id, match_id)


def spread_here(settings: Settings, work: Work, items: list[Item]) -> list[Outcome]:
    """One item after the other in this process: without Ray. One that fails holds up no other."""
    found = []
    for venue_id, match_id in items:
        try:
            found.append(Outcome(work(settings, venue_id, match_id)))
        except (TouchlineError, OSError) as error:
            text = f"{venue_id}/{match_id}: {type(error).__name__}: {error}"
            found.append(Outcome(None, text[:MAX_ERROR_CHARS]))
    return found


def spread_beside(settings: Settings, work: Work, items: list[Item]) -> list[Outcome]:
    """As `spread_with_ray`, beside the live path: each process that starts takes seconds of a core
    before it can give way, so few do, one after the other's work. Raises RollError."""
    import ray

    cpus = int(ray.cluster_resources().get("CPU", 1))  # type: ignore[no-untyped-call]
    return spread_with_ray(settings, work, items, max(cpus // CPUS_A_ROLLER, 1))


def spread_with_ray(
    settings: Settings, work: Work, items: list[Item], at_once: int | None = None
) -> list[Outcome]:
    """Each item a block of a Ray Data pipeline, at most `at_once` of them at a time. RollError."""
    if not items:
        return []
    import ray
    from ray.data import DataContext, TaskPoolStrategy

    context = DataContext.get_current().copy()
    context.enable_progress_bars = context.print_on_execution_start = False
    context.execution_no_progress_timeout_s = PATIENCE_S
    logging.getLogger("ray.data").setLevel(logging.WARNING)
    # It would warn that the progress bars are off.
    logging.getLogger("ray.data._internal.progress").setLevel(logging.ERROR)
    named = [{"venue": venue, "match": match} for venue, match in items]
    with DataContext.current(context):
        # The driver makes these blocks; of tables it would have tasks ask for their size.
        results = ray.data.from_items(named, override_num_blocks=len(named)).map_batches(
            partial(_batch, settings=settings.to_dict(), work=work),
            batch_size=None, batch_format="pyarrow", num_cpus=1,
            compute=TaskPoolStrategy(at_once),
        )
        try:
            rows = results.take_all()
        except (ray.exceptions.RayError, *_data_errors()) as error:  # type: ignore[misc]
            raise RollError(f"{type(error).__name__}: {str(error)[-MAX_ERROR_CHARS:]}") from error
    return [
        Outcome(Manifest.from_bytes(row["manifest"]) if row["manifest"] else None, row["error"])
        for row in rows
    ]


def _data_errors() -> tuple[type[Exception], ...]:
    """What Ray Data raises that is no RayError."""
    from ray.data import exceptions

    return (
        exceptions.RayDataUserCodeException, exceptions.SystemException,
        exceptions.ExecutionTimeoutError,
    )


def _batch(batch: pa.Table, settings: dict[str, Any], work: Work) -> pa.Table:
    """f(a ++ b) = f(a) ++ f(b): items are independent of each other. What is live on the same
    machine goes first."""
    items = zip(
        batch.column("venue").to_pylist(), batch.column("match").to_pylist(), strict=True
    )
    keep_freed(TRIMMED_BYTES)
    found = in_background(partial(spread_here, Settings.from_dict(settings), work, list(items)))
    give_back()  # the process may live on for hours without any work
    bodies = [one.manifest.to_bytes() if one.manifest else b"" for one in found]
    errors = [one.error for one in found]
    return pa.table({"manifest": pa.array(bodies, pa.binary()), "error": pa.array(errors)})


def publish_all(
    storage: TierStorage, outcomes: list[Outcome], failures: list[str]
) -> int:
    """Publish what was written; rows added. What another roll was quicker with adds none. What
    failed goes to `failures`: one match must not hold up the others."""
    added = 0
    failures += [outcome.error for outcome in outcomes if outcome.error]
    for manifest in [outcome.manifest for outcome in outcomes if outcome.manifest]:
        try:
            if publish(storage, manifest):
                added += manifest.rows
        except ConfigError as error:
            failures.append(str(error))
    sweep_due(storage)
    return added


def _matches_with_news(log: EventLog, warm: TierStorage) -> list[Item]:
    items = []
    for venue_id in venues_in(log):
        for span in matches_in(log, venue_id):
            if has_news(log, span, last_manifest(warm, venue_id, span.match_id)):
                items.append((venue_id, span.match_id))
    return items


def _ended_matches(warm: TierStorage, cold: TierStorage) -> list[Item]:
    """Matches that the warm tier holds to the end and the cold tier does not hold yet."""
    ended = {(m.venue_id, m.match_id) for m in newest_manifests(warm) if m.closed}
    held = {(m.venue_id, m.match_id) for m in newest_manifests(cold)}
    return sorted(ended - held)
