"""A stadium of live sources collects while it is busy; one that plays a match never does."""

from pathlib import Path
from typing import Any

import pytest

from actors.stadium import Stadium
from models.policies.linger import LingerConfig
from models.telemetry.packet import encode_packets
from tests.unit import source_world as world
from tests.unit.stadium_world import Wall, live, opened, simulated

BINARY = "application/octet-stream"


class Looks(Wall):
    """A wall clock that moves by `step_ns` with each look: rounds take as long as it says."""

    def __init__(self, step_ns: int) -> None:
        super().__init__()
        self.step_ns = step_ns

    def __call__(self) -> int:
        self.now_ns += self.step_ns
        return self.now_ns


class Stop:
    """The stop signal of a stadium; waits take no time and are noted."""

    def __init__(self) -> None:
        self.waits_s: list[float] = []

    def wait(self, timeout: float) -> bool:
        self.waits_s.append(timeout)
        return False

    def is_set(self) -> bool:
        return False

    def set(self) -> None:
        raise AssertionError("nobody stops it")


def rounds(made: Stadium, wall: Looks, count: int, push: bool) -> Stop:
    """As the loop does it; with a packet for each round."""
    made._stop = stop = Stop()  # type: ignore[assignment]
    for seq in range(count):
        if push:
            packet = encode_packets([world.packet("tag_0", seq, t_ns=wall.now_ns)])
            made.offer(packet, BINARY)
        begin_ns = wall()
        if made.run_step():
            made._collect(begin_ns)
    return stop


def linger_ms(made: Stadium) -> int:
    told: dict[str, Any] = made.stats()
    return int(told["linger_ms"])


def test_a_busy_live_stadium_lets_packets_gather_and_ends_without_it(tmp_path: Path) -> None:
    wall = Looks(60_000_000)
    made, _ = opened(tmp_path, live(tmp_path), wall=wall)
    rounds(made, wall, 40, push=True)
    config = LingerConfig()
    assert made.stats()["raw_rows"] > 40
    assert made.lingers_ns() == config.most_ns
    assert linger_ms(made) == config.most_ns // 1_000_000
    wall.step_ns = 20_000
    stop = rounds(made, wall, 10, push=True)
    assert stop.waits_s
    assert all(0 < wait_s <= config.most_ns / 1e9 for wait_s in stop.waits_s)
    made.finish()
    assert made.lingers_ns() == linger_ms(made) == 0


def test_with_time_enough_nothing_waits(tmp_path: Path) -> None:
    wall = Looks(10_000)
    made, _ = opened(tmp_path, live(tmp_path), wall=wall)
    stop = rounds(made, wall, 40, push=True)
    assert (stop.waits_s, linger_ms(made)) == ([], 0)


@pytest.mark.parametrize("speed", [0.0, 1.0])
def test_a_match_that_is_played_in_fixed_slices_does_not_linger(
    tmp_path: Path, speed: float
) -> None:
    wall = Looks(60_000_000)
    made, _ = opened(tmp_path, simulated(4, speed), wall=wall)
    stop = rounds(made, wall, 40, push=False)
    assert (stop.waits_s, made.lingers_ns(), linger_ms(made)) == ([], 0, 0)
