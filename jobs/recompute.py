"""`touchline recompute`: final metrics of ended matches from the warm tier, by Ray Data.

Runs by itself after the rolls of `live`, `demo` and `replay`, and by `ray job submit -- touchline
recompute --settings FILE`. Every metric is computed again by the code that computed it live, from
all rows at full rate, late ones included, with zero-phase speed and acceleration. One item of work
is one match, which must not be cut: its smoother needs the end first. Nothing is overwritten: the
results are files of their own, published by an atomic manifest, and corrections go out by the log,
each naming what it supersedes. Killed at any step and run again, nothing is said twice.
"""

import argparse
from typing import Any, Final

import pyarrow as pa

from cluster.eventlog.open import open_log
from cluster.eventlog.port import EventLog, Record
from cluster.names import events_topic, insights_topic
from cluster.settings import Settings
from cluster.tiers import Manifest, TierStorage, chain, newest_manifests, open_tier
from jobs.options import add_settings_options, settings_of
from jobs.recompute_match import CORRECTION_KINDS, WarmMatch, is_recomputation, recompute_match
from jobs.roll import Item, RollError, Spread, publish_all, spread_with_ray, with_cluster
from jobs.roll_log import Span, match_in
from jobs.show import summary_line
from models.errors import ConfigError
from models.events.envelope import EVENT_TYPE, to_cloudevent
from models.flows.config import FlowConfig
from models.flows.states import encode_states
from models.readmodel_input import STATES_TYPE
from models.recompute.events import STREAM
from models.recompute.summary import summary
from models.recompute.tables import FINALS, events_of, final_states

PAGE: Final = 256


def recompute(
    settings: Settings, match_id: str = "", spread: Spread | None = None
) -> list[dict[str, Any]]:
    """Recompute ended matches (or one) that hold something new; per match {venue_id, match_id,
    generation} and `summary`. Needs a connected Ray, or another `spread`.

    Raises RollError, LogError, StorageError, ConfigError; a rerun goes on where it stopped.
    """
    spread = spread or spread_with_ray
    warm = open_tier(settings.tiers.warm_url, settings)
    log = open_log(settings.log.url)
    failures: list[str] = []
    try:
        items = _due(warm, settings, match_id)
        outcomes = spread(settings, recompute_work, items)
        for manifest in [outcome.manifest for outcome in outcomes if outcome.manifest]:
            warm.put_atomic(_mark(manifest), b"-")
        publish_all(warm, outcomes, failures)
        said = [_deliver(settings, warm, log, key) for key in warm.list("deliver")]
    finally:
        log.close()
    if failures:
        raise RollError("; ".join(failures))
    return [one for one in said if one]


def main(argv: list[str] | None = None) -> int:
    """Connect to the cluster of the settings (or the one that submitted this job), recompute."""
    parser = argparse.ArgumentParser(prog="touchline recompute", description=__doc__)
    add_settings_options(parser)
    parser.add_argument("--match", default="", help="only the match of this id")
    options = parser.parse_args(argv)
    settings = settings_of(options)
    found = with_cluster(settings, lambda spread: recompute(settings, options.match, spread))
    for one in found:
        print(summary_line(one))
    print(f"{len(found)} matches recomputed")
    return 0


def recompute_work(settings: Settings, venue_id: str, match_id: str) -> Manifest | None:
    """One match; runs wherever `spread` puts it. Raises ConfigError without a roster."""
    log = open_log(settings.log.url)
    try:
        span = match_in(log, venue_id, match_id)
    finally:
        log.close()
    if span is None:
        raise ConfigError(f"{venue_id}/{match_id}: the log has no roster of this match")
    warm = open_tier(settings.tiers.warm_url, settings)
    match = _match(warm, settings, venue_id, match_id)
    if not match.due():
        return None
    manifest = recompute_match(match, span.roster)
    if is_recomputation(manifest):
        return manifest
    # Rows, but of nobody whom the roster knows: there is nothing to say until there are more.
    _set_seen(warm, match.manifests[-1])
    return None


def _due(warm: TierStorage, settings: Settings, match_id: str) -> list[Item]:
    """Ended matches that hold something new. One that was looked at in vain is not read again
    before it grows: a season of matches must not be read with every roll."""
    items = []
    for newest in newest_manifests(warm):
        item, number = (newest.venue_id, newest.match_id), str(newest.number).encode()
        if not newest.closed or is_recomputation(newest) or match_id not in ("", newest.match_id):
            continue
        if warm.get(_seen(newest)) == number:
            continue
        if _match(warm, settings, *item).due():
            items.append(item)
        else:
            _set_seen(warm, newest)
    return sorted(items)


def _seen(manifest: Manifest) -> str:
    """The object that names the newest manifest of the match which called for nothing."""
    return f"recomputed/{manifest.venue_id}/{manifest.match_id}"


def _set_seen(warm: TierStorage, manifest: Manifest) -> None:
    warm.put_atomic(_seen(manifest), str(manifest.number).encode())


def _match(warm: TierStorage, settings: Settings, venue_id: str, match_id: str) -> WarmMatch:
    return WarmMatch(warm, settings.identity.key_dir, chain(warm, venue_id, match_id))


def _mark(manifest: Manifest) -> str:
    """The object that stands for corrections that the log does not hold yet."""
    return f"deliver/{manifest.venue_id}/{manifest.match_id}/{manifest.number:08d}"


def _deliver(
    settings: Settings, warm: TierStorage, log: EventLog, key: str
) -> dict[str, Any] | None:
    """Put what a published recomputation says into the log, once; None if it never came to be
    published. Whoever dies in here leaves the mark, and the log skips what it has already."""
    _, venue_id, match_id, number = key.split("/")
    match = _match(warm, settings, venue_id, match_id)
    ours = [one for one in match.manifests if one.number == int(number)]
    written = WarmMatch(warm, match.key_dir, ours)
    if not written.files(FINALS):
        if match.manifests and match.manifests[-1].number >= int(number):
            warm.delete(key)  # another roll took the number: it will be recomputed under a new one
        return None
    earlier = [one for one in match.manifests if one.number < int(number)]
    generation = WarmMatch(warm, match.key_dir, earlier).generation
    finals = pa.concat_tables(written.tables([FINALS]))
    corrections = written.tables(CORRECTION_KINDS)
    span = match_in(log, venue_id, match_id)
    if span is not None:
        _append(log, span, f"{STREAM}{match_id}/{generation}", corrections, finals)
    warm.delete(key)
    said = summary(corrections, finals)
    return {"venue_id": venue_id, "match_id": match_id, "generation": generation, **said}


def _append(
    log: EventLog, span: Span, stream: str, corrections: list[pa.Table], finals: pa.Table
) -> None:
    venue_id, roster = span.roster.venue_id, span.roster
    records = [
        Record(stream, event.seq, event.t_event_ns, to_cloudevent(event), EVENT_TYPE)
        for event in events_of(corrections)
    ]
    for first in range(0, len(records), PAGE):
        log.append(events_topic(venue_id), records[first : first + PAGE], 0)
    if span.until_ns is None:  # else the live picture is another match's by now
        rows = final_states(roster, finals, FlowConfig())
        ids = [subject.subject_id for subject in roster.subjects]
        payload = encode_states(rows, ids, roster.match_id)
        record = Record(stream, 0, int(rows.t_ns[-1]), payload, STATES_TYPE)
        log.append(insights_topic(venue_id), [record], 0)
