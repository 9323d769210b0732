"""Plays one match through the whole system: start, watch, roll, report, stop.

Shared by `demo` and `replay`; both end by themselves. Everything that was started is stopped on
every way out, Ctrl-C included.
"""

import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.settings import Settings
from jobs.collect import collect_facts
from jobs.meter import ProcessMeter
from jobs.session import Session
from jobs.show import ProgressBar, report_text
from models.report import build_report

POLL_S = 0.25
# A run whose stages all stand still this long has failed: better a clear end than a hang.
STALL_S = 120.0


@dataclass(frozen=True, slots=True)
class RunOptions:
    """`workers` fixes the pool (0: elastic); `keep` leaves the system up until Ctrl-C."""

    title: str
    workers: int = 0
    json_path: Path | None = None
    keep: bool = False


def run_match(settings: Settings, options: RunOptions) -> int:
    """0 when the match was played to its end and every sample is accounted for; 2 when a venue
    cannot be played at all, with the reason; else 1."""
    print(f"Touchline: {options.title}", flush=True)
    started_s = time.monotonic()
    meter = ProcessMeter().start()
    session = Session(settings, options.workers)
    try:
        session.start(say=_say)
        _where_to_look(session)
        play_s = time.monotonic()
        finished, failure = _watch(session)
        if failure:
            print(f"touchline: {failure}", file=sys.stderr, flush=True)
            return 2
        play_s = time.monotonic() - play_s
        session.settle_webhooks()
        roll_error = _roll(session)
        recomputed, recompute_error = ([], "") if roll_error else _recompute(session)
        meter.stop()
        usage = {"wall_s": time.monotonic() - started_s, "play_s": play_s, **meter.usage()}
        report = build_report(collect_facts(session, usage)) | {"recomputed": recomputed}
        print("\n" + report_text(report) + "\n", flush=True)
        if options.json_path is not None:
            options.json_path.write_text(json.dumps(report, indent=1, sort_keys=True))
        code = _verdict(report, finished, roll_error, recompute_error)
        if options.keep and code == 0:
            _where_to_look(session)
            _hold()
        return code
    finally:
        meter.stop()
        session.stop()


def _watch(session: Session) -> tuple[bool, str]:
    """Draw progress until the last flow is final: (whether it came to that, why a venue failed)."""
    bar = ProgressBar()
    last, moved_s = None, time.monotonic()
    while True:
        progress = session.progress()
        bar.draw(progress.done, progress.text)
        if progress.finished:
            bar.end()
            return True, ""
        if progress.mark != last:
            last, moved_s = progress.mark, time.monotonic()
        if progress.failure or time.monotonic() - moved_s > STALL_S:
            bar.end()
            return False, progress.failure
        time.sleep(POLL_S)


def _roll(session: Session) -> str:
    from jobs.roll import roll

    started_s = time.monotonic()
    try:
        rolled = roll(session.settings)
    except Exception as error:  # the report must still come; the exit code tells
        print(f"rolling the tiers failed: {error}", file=sys.stderr)
        return str(error)
    rows = ", ".join(f"{tier} {rows:,} rows" for tier, rows in rolled.items())
    _say(f"tiers rolled: {rows} ({time.monotonic() - started_s:.1f} s)")
    return ""


def _recompute(session: Session) -> tuple[list[dict[str, Any]], str]:
    from jobs.recompute import recompute

    started_s = time.monotonic()
    try:
        found = recompute(session.settings)
    except Exception as error:  # the report must still come; the exit code tells
        print(f"recomputing failed: {error}", file=sys.stderr)
        return [], str(error)
    _say(f"recomputed: {len(found)} matches ({time.monotonic() - started_s:.1f} s)")
    return found, ""


def _verdict(
    report: dict[str, Any], finished: bool, roll_error: str, recompute_error: str
) -> int:
    faults = []
    if not finished:
        faults.append("the match did not reach its end")
    if roll_error:
        faults.append(f"the tiers were not rolled: {roll_error}")
    if recompute_error:
        faults.append(f"the match was not recomputed: {recompute_error}")
    if not report["conservation"]["holds"]:
        faults.append("samples are missing: in != forwarded + rejected + thinned + buffered")
    if report["samples"]["in"] == 0:
        faults.append("no sample came in")
    for fault in faults:
        print(f"FAILED: {fault}", file=sys.stderr)
    return 1 if faults else 0


def _where_to_look(session: Session) -> None:
    for name, url in session.links().items():
        print(f"  {name:<10} {url}")
    sys.stdout.flush()


def _hold() -> None:
    print("up until Ctrl-C", flush=True)
    try:
        while True:
            time.sleep(1.0)
    except KeyboardInterrupt:
        print("\nstopping", flush=True)


def _say(text: str) -> None:
    print(text, flush=True)
