"""The simulation runs without Ray and without real time: both raise here."""

import time

import pytest


@pytest.fixture(autouse=True)
def no_real_time(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: object, **_kwargs: object) -> None:
        raise AssertionError("the simulation does not sleep")

    monkeypatch.setattr(time, "sleep", refuse)
