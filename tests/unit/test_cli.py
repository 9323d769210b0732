"""The command line: what comes of calls, and that its lines arrive while a job runs."""

import io
import sys
from types import SimpleNamespace

import pytest

from jobs import cli
from models.errors import ConfigError


def job_that(does: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(cli.JOBS, "doctor", ("job_of_the_test", "does it"))
    monkeypatch.setitem(sys.modules, "job_of_the_test", SimpleNamespace(main=does))


def test_lines_arrive_in_a_file_while_the_job_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    file, arrived = io.BytesIO(), []

    def main(rest: list[str]) -> int:
        print("one line")
        arrived.append(file.getvalue())
        return 3

    job_that(main, monkeypatch)
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(file, "utf-8"))
    assert cli.main(["doctor"]) == 3
    assert arrived == [b"one line\n"]


def test_a_job_that_refuses_says_why_and_ends_with_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def main(rest: list[str]) -> int:
        raise ConfigError(f"no such thing: {rest}")

    job_that(main, monkeypatch)
    assert cli.main(["doctor", "--never"]) == 2
    assert "touchline doctor: no such thing: ['--never']" in capsys.readouterr().err


def test_an_interrupt_ends_with_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def main(rest: list[str]) -> int:
        raise KeyboardInterrupt

    job_that(main, monkeypatch)
    assert cli.main(["doctor"]) == 130
