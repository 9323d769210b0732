"""Runs the real command in processes of its own, and ends them whatever happens."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


def _heed_interrupts() -> None:
    """A shell that runs the tests in the background has its children ignore SIGINT, and a program
    that was started so rightly goes on ignoring it: tests that interrupt one would wait in vain."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@dataclass
class Ended:
    """A command that has ended: its exit code, what it printed, and the report that it wrote."""

    code: int
    output: str
    report: dict[str, Any]


class Command:
    """One `touchline` command under way, in a process group of its own."""

    def __init__(self, words: list[str], folder: Path) -> None:
        self.folder = folder
        self.json_path = folder / "report.json"
        self.log_path = folder / "output.txt"
        self._log = self.log_path.open("w")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "jobs.cli", *words], cwd=ROOT, stdout=self._log,
            stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, start_new_session=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"}, preexec_fn=_heed_interrupts,
        )

    def output(self) -> str:
        return self.log_path.read_text()

    def wait(self, limit_s: float) -> Ended:
        code = self.process.wait(timeout=limit_s)
        report = json.loads(self.json_path.read_text()) if self.json_path.exists() else {}
        return Ended(code, self.output(), report)

    def end(self) -> None:
        """Let it stop as Ctrl-C would; then nothing of its process group may be left."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait(timeout=10)
        self._log.close()


@pytest.fixture
def touchline(tmp_path: Path) -> Iterator[Callable[..., Command]]:
    """Start `touchline WORDS` with its data in a folder of this test; ended with the test."""
    started: list[Command] = []

    def start(job: str, *words: str, name: str = "run") -> Command:
        folder = tmp_path / name
        folder.mkdir()
        extra = ["--data-dir", str(folder / "data"), "--port", str(8100 + len(started))]
        if job == "live":
            extra = []
        command = Command([job, *words, *extra, "--json", str(folder / "report.json")], folder)
        started.append(command)
        return command

    yield start
    for command in started:
        command.end()
