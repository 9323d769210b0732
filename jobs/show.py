"""What a run shows in a terminal: the progress bar, and the match report as text.

Plain text without escape codes when the output is not a terminal, so that logs stay readable.
"""

import sys
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

WIDTH = 30


class ProgressBar:
    """One line that is redrawn in place on a terminal; a line every 10 % elsewhere."""

    def __init__(self, stream: TextIO = sys.stdout) -> None:
        self._stream = stream
        self._tty = stream.isatty()
        self._tenth = -1

    def draw(self, done: float, text: str) -> None:
        """`done` in [0, 1]."""
        done = min(max(done, 0.0), 1.0)
        filled = int(done * WIDTH)
        line = f"[{'#' * filled}{'.' * (WIDTH - filled)}] {done:4.0%} {text}"
        if self._tty:
            self._stream.write(f"\r\x1b[2K{line}")
        elif int(done * 10) > self._tenth:
            self._tenth = int(done * 10)
            self._stream.write(line + "\n")
        self._stream.flush()

    def end(self) -> None:
        """Leave the last line standing."""
        if self._tty:
            self._stream.write("\n")
            self._stream.flush()


def report_text(report: Mapping[str, Any]) -> str:
    """The match report, for people."""
    parts = (
        _samples(report), _events(report["events"]), _recomputed(report),
        _athletes(report["athletes"]), _devices(report["devices"]), _latency(report["latency_ms"]),
        _tiers(report["tiers"]), _webhooks(report.get("webhooks", {})), _pool(report),
        f"digest    {report['digest']}",
    )
    return "\n\n".join(part for part in parts if part)


def _samples(report: Mapping[str, Any]) -> str:
    samples = report["samples"]
    verdict = "holds" if report["conservation"]["holds"] else "DOES NOT HOLD"
    reasons = ", ".join(f"{reason} {n:,}" for reason, n in samples["rejected"].items()) or "none"
    rejected = sum(samples["rejected"].values())
    return (
        f"samples   in {samples['in']:,} = forwarded {samples['forwarded']:,}"
        f" + thinned {samples['thinned']:,} + rejected {rejected:,}"
        f" + buffered {samples['buffered']:,}   conservation {verdict}\n"
        f"          rejected by reason: {reasons}\n"
        f"          lost on the way to the edge, by counter: {samples['lost_by_counter']:,}"
    )


def _events(events: Mapping[str, int]) -> str:
    listed = [f"{name} {n}" for name, n in events.items()]
    lines = [", ".join(listed[i : i + 6]) for i in range(0, len(listed), 6)]
    return "events    " + "\n          ".join(lines or ["none"])


def _recomputed(report: Mapping[str, Any]) -> str:
    lines = [summary_line(one) for one in report.get("recomputed", ())]
    return "finals    " + "\n          ".join(lines) if lines else ""


def _athletes(athletes: Sequence[Mapping[str, Any]]) -> str:
    if not athletes:
        return "athletes  none"
    head = ("athlete", "dist m", "sprints", "top m/s", "load au", "HR", "fatigue", "coverage")
    best = sorted(athletes, key=lambda a: -(a["max_speed_mps"] or 0.0))[:12]
    rows = [
        (
            str(a["id"]), _number(a["distance_m"], 0), _number(a["sprints"], 0),
            _number(a["max_speed_mps"], 2), _number(a["player_load"], 1),
            _number(a["hr_mean_bpm"], 0), _band(a["fatigue"]), _number(a["coverage"], 2),
        )
        for a in best
    ]
    return f"athletes  {len(athletes)}; the fastest {len(rows)}:\n" + _table(head, rows)


def _devices(devices: Sequence[Mapping[str, Any]]) -> str:
    bad = [d for d in devices if d["faults"] or d["status"] != "ok"]
    head = ("device", "status", "faults", "failure p")
    rows = [
        (str(d["id"]), str(d["status"]), ", ".join(d["faults"]) or "-", _number(d["failure_p"], 2))
        for d in bad[:12]
    ]
    title = f"devices   {len(devices)}; {len(bad)} with an alert"
    return title + (":\n" + _table(head, rows) if rows else "")


def _latency(latency: Mapping[str, Mapping[str, float]]) -> str:
    head = ("stage", "p50 ms", "p95 ms", "p99 ms")
    rows = [
        (stage, *(_number(values.get(p), 1) for p in ("p50", "p95", "p99")))
        for stage, values in latency.items()
    ]
    return "latency\n" + _table(head, rows) if rows else ""


def _tiers(tiers: Mapping[str, Mapping[str, int]]) -> str:
    head = ("tier", "rows", "MB")
    rows = [(t, f"{v['rows']:,}", f"{v['bytes'] / 1e6:.1f}") for t, v in tiers.items()]
    return "tiers\n" + _table(head, rows) if rows else ""


def _webhooks(webhooks: Mapping[str, Mapping[str, Any]]) -> str:
    head = ("webhook", "role", "state", "taken", "tries", "dead letters", "missed")
    rows = [
        (
            name, str(one["role"]), str(one["state"]), f"{one['taken']:,}", f"{one['tries']:,}",
            f"{one['dead_letters']:,}", f"{one['missed']:,}",
        )
        for name, one in webhooks.items()
    ]
    return "webhooks\n" + _table(head, rows) if rows else ""


def _pool(report: Mapping[str, Any]) -> str:
    pool = report["pool"]
    return (
        f"pool      {pool.get('min', 0)} to {pool.get('max', 0)} workers,"
        f" {len(pool.get('decisions', ()))} decisions\n"
        f"used      {report.get('wall_s', 0):.1f} s wall, {report.get('cpu_s', 0):.1f} s CPU,"
        f" {report.get('rss_bytes_max', 0) / 2**30:.2f} GiB RSS"
        f" ({report.get('pss_bytes_max', 0) / 2**30:.2f} GiB without counting shared pages twice)"
    )


def _band(fatigue: Mapping[str, Any]) -> str:
    if fatigue.get("index") is None:
        return "-"
    low, high = _number(fatigue.get("low"), 2), _number(fatigue.get("high"), 2)
    return f"{_number(fatigue['index'], 2)} ({low}-{high})"


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:,.{digits}f}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
    lines = []
    for row in (head, *rows):
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("          " + "  ".join(cells))
    return "\n".join(lines)


def summary_line(one: dict[str, Any]) -> str:
    """One recomputed match in a line."""
    events = ", ".join(f"{n} {status}" for status, n in one["events"].items()) or "none"
    change, share = one["median_change"], one["median_change_pct"]
    return (
        f"{one['venue_id']}/{one['match_id']}: {one['metrics']} metrics of {one['persons']} persons"
        f" corrected, {one['metrics_late']} for late data; events: {events}; median change:"
        f" distance {share['distance_m']:+.1f} %, HSR {share['hsr_m']:+.1f} %,"
        f" acc_n {change['acc_n']:+g}"
    )
