"""The load bench's result for people."""

from typing import Any

from tests.bench.load_numbers import NAMED


def table_text(result: dict[str, Any]) -> str:
    """Every family's steps; per step a line, and its stages and processes below."""
    machine = result["machine"]
    lines = [f"{machine['cores']} cores, {machine['memory_mb']:,} MB, load before "
             f"{machine['load_before']:.1f}"]
    for one in result["families"].values():
        lines += ["", f"## {one['what']}: {one['sustained']} venues sustained", *_steps(one)]
        best = [s for s in one["steps"] if s["sustained"]] or one["steps"]
        shown = [s for s in best if "latency_ms" in s][-1:]
        for step in shown:
            lines += ["", f"At {step['venues']} venues:", *_stages(step), "", *_processes(step)]
    return "\n".join(lines)


def _steps(one: dict[str, Any]) -> list[str]:
    lines = [
        "| venues | samples/s | sensor to event p50 / p95 / p99 ms | cores | CPU s per million |"
        " PSS MB | log MB/s | verdict |", "|---:|---:|---|---:|---:|---:|---:|---|",
    ]
    for step in one["steps"]:
        if "latency_ms" not in step:
            lines.append(f"| {step['venues']} | | | | | | | {step['why_not'][0][-200:]} |")
            continue
        total = step["latency_ms"].get("total", {})
        shown = " / ".join(f"{total[q]:.0f}" for q in ("p50", "p95", "p99")) if total else "-"
        verdict = "sustained" if step["sustained"] else "; ".join(step["why_not"])
        lines.append(
            f"| {step['venues']} | {step['samples_per_s']:,} | {shown} |"
            f" {sum(step['cpu_cores'].values()):.2f} |"
            f" {sum(step['cpu_s_per_million'].values()):.1f} |"
            f" {sum(step['memory_mb'].values()):,} | {step['log_mb_per_s']:.1f} | {verdict} |"
        )
    return lines


def _stages(step: dict[str, Any]) -> list[str]:
    lines = ["| stage | p50 ms | p95 ms | p99 ms | count |", "|---|---:|---:|---:|---:|"]
    for stage, name in NAMED.items():
        held = step["latency_ms"].get(stage)
        if held:
            values = " | ".join(f"{held[q]:.0f}" for q in ("p50", "p95", "p99"))
            lines.append(f"| {name} | {values} | {held['count']:,} |")
    return lines


def _processes(step: dict[str, Any]) -> list[str]:
    lines = [
        "| process | how many | cores | CPU s per million | PSS MB |", "|---|---:|---:|---:|---:|"
    ]
    order = sorted(step["cpu_cores"], key=lambda kind: -step["cpu_cores"][kind])
    return lines + [
        f"| {kind} | {step['processes'].get(kind, 0)} | {step['cpu_cores'][kind]:.3f} |"
        f" {step['cpu_s_per_million'][kind]:.2f} | {step['memory_mb'].get(kind, 0):,} |"
        for kind in order
    ]
