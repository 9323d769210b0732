"""The `touchline` command: finds the job that was asked for and runs it.

A job is imported only when it is called, so that `touchline --help` is instant.
"""

import argparse
import importlib
import io
import sys
from collections.abc import Sequence

JOBS = {
    "demo": ("jobs.demo", "play ten simulated minutes through the whole system"),
    "replay": ("jobs.replay", "play a recording through the whole system"),
    "analyse": ("jobs.analyse", "running, possession, heat map or shots of a recording or match"),
    "live": ("jobs.live", "run with the sources of a settings file until stopped"),
    "send": ("jobs.send", "send a recording or a simulation to a live venue, as its gateway"),
    "doctor": ("jobs.doctor", "check this machine and say what is missing"),
    "roll": ("jobs.roll", "roll the hot log into the warm and cold tiers"),
    "loads": ("jobs.loads", "tell the load of days and weeks from the cold tier"),
    "recompute": ("jobs.recompute", "recompute ended matches with zero-phase filters"),
    "train": ("jobs.train", "train, evaluate and register the nets"),
    "webhooks": ("jobs.webhooks", "how it stands with each webhook; ping one, or send again"),
    "token": ("jobs.token", "mint an access token for a person, a service or the cluster"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Dispatch to a job's `main`; 2 for a wrong call, 130 when interrupted."""
    width = max(map(len, JOBS))
    listed = "\n".join(f"  {name:<{width}}  {text}" for name, (_, text) in JOBS.items())
    parser = argparse.ArgumentParser(
        prog="touchline", description="Live sports telemetry on Ray.",
        epilog=f"jobs:\n{listed}\n\n`touchline JOB --help` tells a job's options.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("job", choices=JOBS, metavar="JOB")
    parser.add_argument("rest", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    module = importlib.import_module(JOBS[options.job][0])
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Into a file or a pipe, too, whoever follows a job sees its lines as they come.
        sys.stdout.reconfigure(line_buffering=True)
    from models.errors import TouchlineError

    try:
        return int(module.main(options.rest))
    except TouchlineError as error:
        print(f"touchline {options.job}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    raise SystemExit(main())
