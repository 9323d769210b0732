"""Flame graphs of a running step: py-spy beside one process of each kind that carries samples."""

import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

WATCHED = ("stadium", "worker", "twin store")
RATE_HZ = 100
PATIENCE_S = 60.0


class FlameRecorder:
    """Writes `<kind>.svg` (open it in a browser) for every kind in `WATCHED` into a folder."""

    def __init__(self, folder: str, seconds: float) -> None:
        self._folder, self._seconds = Path(folder).absolute(), max(1, int(seconds))
        self._runs: dict[str, tuple[Path, subprocess.Popen[str]]] = {}
        self._said: list[str] = []

    def start(self, pids: Mapping[str, int]) -> None:
        """Begin to record; a machine that does not allow it is told in `finish`."""
        self._folder.mkdir(parents=True, exist_ok=True)
        spy = Path(sys.executable).parent / "py-spy"
        if not spy.exists():
            self._said.append(f"no flame graphs: {spy} is not there")
            return
        for kind in WATCHED:
            if kind not in pids:
                self._said.append(f"no flame graph of the {kind}: no such process")
                continue
            out = self._folder / f"{kind.replace(' ', '-')}.svg"
            self._runs[kind] = out, subprocess.Popen(
                [str(spy), "record", "--pid", str(pids[kind]), "--duration", str(self._seconds),
                 "--rate", str(RATE_HZ), "--format", "flamegraph", "--output", str(out)],
                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            )

    def finish(self) -> list[str]:
        """What was written, and what could not be, in words."""
        for kind, (out, run) in self._runs.items():
            try:
                _, error = run.communicate(timeout=PATIENCE_S)
            except subprocess.TimeoutExpired:
                run.kill()
                _, error = run.communicate()
            if run.returncode == 0 and out.exists():
                out.write_text(titled(out.read_text(), kind))
                self._said.append(str(out))
                continue
            reason = error.strip().splitlines()[-1] if error.strip() else f"exit {run.returncode}"
            self._said.append(
                f"no flame graph of the {kind}: {reason} (py-spy needs the right to trace: "
                "CAP_SYS_PTRACE, or kernel.yama.ptrace_scope = 0)"
            )
        return self._said


def titled(svg: str, title: str) -> str:
    """The graph under a name instead of the command that made it, with its paths."""
    return re.sub(r'(<text id="title"[^>]*>)[^<]*', lambda found: found[1] + title, svg, count=1)
