"""Joining a cluster leaves to a process what is its own."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType, SimpleNamespace

import pytest

from cluster.connection import connect
from cluster.settings import load_settings


def leave(number: int, frame: FrameType | None) -> None:
    """Ray's handler: the process ends at once."""
    raise SystemExit(number)


@pytest.fixture
def fake_ray(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """A Ray whose `init` does to the signal what the real one does."""

    def init(**options: object) -> None:
        signal.signal(signal.SIGTERM, leave)

    ray = SimpleNamespace(init=init, is_initialized=lambda: False)
    monkeypatch.setitem(sys.modules, "ray", ray)
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(tmp_path / "token")}
    monkeypatch.setattr(os, "environ", {**os.environ, **token})
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def test_a_process_that_finishes_its_work_when_told_to_stop_still_does_so(fake_ray: None) -> None:
    told: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: told.append(number))
    connect(load_settings(environ={}))
    os.kill(os.getpid(), signal.SIGTERM)
    assert told == [signal.SIGTERM]


def test_a_process_without_a_handler_keeps_rays_which_stops_what_it_started(fake_ray: None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    connect(load_settings(environ={}))
    assert signal.getsignal(signal.SIGTERM) is leave
