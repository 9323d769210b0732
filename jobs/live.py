"""`touchline live --settings FILE`: runs with the sources of the settings until stopped.

Rolls the tiers every `tiers.roll_every_s` and once more at the end, and prints the report when it
is stopped (SIGINT or SIGTERM), or when `--seconds` have passed.
"""

import argparse
import json
import signal
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from cluster.heap import give_back
from cluster.settings import Settings, load_settings
from jobs.collect import collect_facts
from jobs.meter import ProcessMeter
from jobs.session import Session
from jobs.show import report_text, summary_line
from models.errors import ConfigError
from models.report import build_report

STATUS_S = 10.0
TURN_S = 1.0


def main(argv: list[str] | None = None) -> int:
    """0 when every sample is accounted for at the end; 2 when a venue could not be run."""
    parser = argparse.ArgumentParser(prog="touchline live", description=__doc__)
    parser.add_argument("--settings", type=Path, required=True, help="TOML settings file")
    parser.add_argument("--seconds", type=float, default=0.0, help="stop by itself after this")
    parser.add_argument("--workers", type=int, default=0, help="fix the pool to N workers")
    parser.add_argument("--json", type=Path, help="write the report as JSON to this file")
    options = parser.parse_args(argv)
    settings = load_settings(options.settings)
    if not settings.venues:
        raise ConfigError(f"{options.settings}: no [[venues]] with sources")
    return run_live(settings, options)


def run_live(settings: Settings, options: argparse.Namespace) -> int:
    """Start, serve until the stop event, roll, report, stop."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    started_s = time.monotonic()
    meter = ProcessMeter().start()
    session = Session(settings, options.workers)
    try:
        session.start(say=lambda text: print(text, flush=True))
        for name, url in session.links().items():
            print(f"  {name:<10} {url}", flush=True)
        with Rolls(lambda: _roll(settings, beside=True), settings.tiers.roll_every_s) as rolls:
            _serve(session, rolls, stop, options.seconds)
            finished = session.finish()
            session.settle_webhooks()
        failure = session.progress().failure
        rolled = _roll(settings, beside=False)
        meter.stop()
        usage = {"wall_s": time.monotonic() - started_s, **meter.usage()}
        report = build_report(collect_facts(session, usage))
        print("\n" + report_text(report), flush=True)
        if options.json is not None:
            options.json.write_text(json.dumps(report, indent=1, sort_keys=True))
        return _verdict(report, finished, failure, rolled)
    finally:
        meter.stop()
        session.stop()


class Rolls:
    """Rolls on schedule, one at a time, in a thread of their own: beside a busy live path a roll
    takes a minute, and holds up neither the stop nor what the operator is told."""

    def __init__(
        self, roll: Callable[[], bool], every_s: float,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._roll, self._every_s, self._clock_s = roll, every_s, clock_s
        self._thread = ThreadPoolExecutor(1, "roll")
        self._rolling: Future[bool] | None = None
        self._next_s = clock_s() + every_s

    def __enter__(self) -> "Rolls":
        return self

    def __exit__(self, *error: object) -> None:
        """Waits for the roll that is under way."""
        self._thread.shutdown()

    def step(self) -> None:
        """Begin one when it is due. One that fails has its next turn; the live path goes on."""
        if self._rolling is not None and self._rolling.done():
            self._rolling, self._next_s = None, self._clock_s() + self._every_s
        if self._rolling is None and self._clock_s() >= self._next_s:
            self._rolling = self._thread.submit(self._roll)


def _serve(session: Session, rolls: Rolls, stop: threading.Event, seconds: float) -> None:
    """Wait for the stop; meanwhile roll on schedule, and say how it goes and what has failed."""
    now_s = time.monotonic()
    end_s, status_s = now_s + (seconds or float("inf")), now_s + STATUS_S
    told = over = ""
    while (left_s := end_s - time.monotonic()) > 0 and not stop.wait(min(TURN_S, left_s)):
        progress = session.progress()
        if progress.failure != told:
            told = progress.failure
            _complain(told or "all venues run again")
        if (ended := "; ".join(session.ended())) != over:
            over = ended
            print(f"{over} has ended; another match_id begins the next one", flush=True)
        if time.monotonic() >= status_s:
            print(progress.text, flush=True)
            status_s = time.monotonic() + STATUS_S
        rolls.step()


def _roll(settings: Settings, beside: bool) -> bool:
    # Here and not above: what rolls is not needed to start, and a restart has to be quick.
    from jobs.recompute import recompute
    from jobs.roll import roll, spread_beside, spread_with_ray

    spread = spread_beside if beside else spread_with_ray
    try:
        roll(settings, spread=spread)
        for one in recompute(settings, spread=spread):
            print(f"recomputed {summary_line(one)}", flush=True)
    except Exception as error:  # whatever storage throws: the report must still come
        _complain(f"rolling or recomputing failed: {error}")
        return False
    finally:
        give_back()
    return True


def _verdict(report: dict[str, Any], finished: bool, failure: str, rolled: bool) -> int:
    """2 when a venue could not be run, 1 when something is missing, else 0."""
    if failure:
        _complain(failure)
    elif not finished:
        _complain("FAILED: not every venue came to its final records")
    if not report["conservation"]["holds"]:
        _complain("FAILED: samples are missing: in != forwarded + rejected + thinned + buffered")
    if failure:
        return 2
    return 0 if finished and rolled and report["conservation"]["holds"] else 1


def _complain(text: str) -> None:
    print(f"touchline live: {text}", file=sys.stderr, flush=True)
