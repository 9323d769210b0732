"""Unit tests run without Ray and without sleeping: both raise here."""

import time

import pytest


@pytest.fixture(autouse=True)
def no_ray_no_sleep(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: object, **_kwargs: object) -> None:
        raise AssertionError("unit tests neither start Ray nor sleep")

    monkeypatch.setattr(time, "sleep", refuse)
    try:
        import ray
    except ImportError:
        return
    monkeypatch.setattr(ray, "init", refuse)
