"""A gateway on a narrow uplink: nothing lost, order kept, dense before anything piles up."""

import numpy as np
import pytest

from actors.sources.simulator import SimulatedTrack
from jobs.send_loop import MOST_WAIT_S, Sent, send
from jobs.send_spool import PACK_SLICES, Slice, Spool
from jobs.send_stretch import Stretch
from jobs.send_ways import NotTakenError, SendError
from models.policies.link_pilot import LinkPilot
from models.policies.link_policy import Body, LinkPolicyConfig
from models.simulator.config import Faults, MatchConfig
from models.simulator.match import MatchSimulator
from models.telemetry.kinds import Kind
from tests.link_world import (
    START_NS,
    KeptTrack,
    S,
    Sizes,
    TracedLink,
    Wall,
    ages_of,
    play,
    waits_of,
    with_outage,
)
from tests.unit import source_world as world

SECONDS = 60
PLAIN = LinkPolicyConfig(fixed=Body.PLAIN)
FALLING = np.concatenate([np.full(20, 4e6), np.geomspace(4e6, 2.5e5, 25), np.full(15, 2.5e5)])
"""A link that gets worse over 25 s; plain bodies need some 630 kB/s, dense ones 140."""


@pytest.fixture(scope="module")
def match() -> MatchSimulator:
    return MatchSimulator(MatchConfig(3, SECONDS, faults=Faults.none()))


@pytest.fixture(scope="module")
def track(match: MatchSimulator) -> KeptTrack:
    return KeptTrack(SimulatedTrack(match))


@pytest.fixture(scope="module")
def sizes() -> Sizes:
    return {}


def link_over(rates: np.ndarray, match: MatchSimulator, sizes: Sizes) -> TracedLink:
    return TracedLink(rates, Wall(), [d.device_id for d in match.roster.devices], sizes)


def check_whole(link: TracedLink, track: KeptTrack, sent: Sent) -> None:
    """Every row arrived once, each kind in the order in which it came."""
    for kind in Kind:
        given = [one[kind] for one, _ in link.taken if kind in one]
        parts = [track.read(k, k + 20) for k in range(0, track.units, 20)]
        whole = [part[kind] for part in parts if kind in part]
        for name in ("device", "seq"):
            one, other = (
                np.concatenate([getattr(b, name) for b in some]) if some else np.zeros(0)
                for some in (given, whole)
            )
            assert np.array_equal(one, other), (kind, name)
    assert sent.rows == sent.accepted_rows == sum(len(b) for o, _ in link.taken for b in o.values())


@pytest.mark.parametrize("outage_s", [0, 40])
def test_on_a_link_that_fails_nothing_is_lost_doubled_or_out_of_order(
    match: MatchSimulator, track: KeptTrack, sizes: Sizes, outage_s: int
) -> None:
    link = link_over(with_outage(FALLING, 22, outage_s), match, sizes)
    sent = play(track, link, LinkPilot())
    check_whole(link, track, sent)
    assert (sent.held, link.lost) == ((1, 1) if outage_s else (0, 0))


def test_by_forecast_bodies_are_dense_before_rows_wait_and_without_it_they_wait(
    match: MatchSimulator, track: KeptTrack, sizes: Sizes
) -> None:
    worst = {}
    for name, pilot in {
        "forecast": LinkPilot(), "reactive": LinkPilot(forecast=False), "none": LinkPilot(PLAIN),
    }.items():
        link = link_over(FALLING, match, sizes)
        said: list[str] = []
        stretch = Stretch(track, 0, track.units, 1.0, START_NS)
        sent = send(link, stretch, link.wall.clocks(), pilot, say=said.append)
        check_whole(link, track, sent)
        worst[name] = float(waits_of(link, SECONDS).max())
        assert len(said) == sum(sent.decisions.values())
        if name == "forecast":
            assert sent.decisions == {"room": 1, "forecast": 1}
            assert sum("forecast" in line and "dense" in line for line in said) == 1
        if name == "reactive":
            assert sent.decisions["backlog"] >= 1
    assert worst["forecast"] < 0.5 < worst["reactive"] < worst["none"]
    assert worst["none"] > 5.0


def test_with_room_bodies_are_plain_again_and_stay(
    match: MatchSimulator, track: KeptTrack, sizes: Sizes
) -> None:
    link = link_over(np.full(SECONDS, 2e7), match, sizes)
    sent = play(track, link, LinkPilot())
    assert sent.decisions == {"room": 1}
    forms = [body for _, body in link.bodies]
    first = forms.index(Body.PLAIN)
    assert set(forms[:first]) == {Body.DENSE}
    assert set(forms[first:]) == {Body.PLAIN}
    assert sent.bodies == {"dense": first, "plain": len(forms) - first}
    assert ages_of(link).max() < 0.3


def test_what_waits_goes_together_and_a_backlog_is_sent_in_fewer_bodies(
    match: MatchSimulator, track: KeptTrack, sizes: Sizes
) -> None:
    rates = with_outage(np.full(SECONDS, 1.2e6), 10, 20)
    apart, together = (link_over(rates, match, sizes) for _ in range(2))
    alone, joint = play(track, apart, LinkPilot(PLAIN), 1), play(track, together, LinkPilot(PLAIN))
    check_whole(apart, track, alone)
    check_whole(together, track, joint)
    assert len(together.taken) < 0.8 * len(apart.taken)
    assert joint.sent_bytes < alone.sent_bytes


def test_a_full_spool_makes_the_track_wait_and_nothing_is_dropped(
    match: MatchSimulator, track: KeptTrack, sizes: Sizes
) -> None:
    link = link_over(np.full(SECONDS, 5e4), match, sizes)
    bound = 1_000_000
    stretch = Stretch(track, 0, 20 * 20, 1.0, START_NS)
    sent = send(
        link, stretch, link.wall.clocks(), LinkPilot(PLAIN), 600.0, spool=Spool(bound),
    )
    assert bound <= sent.spool_bytes_max < bound + 100_000
    assert sent.rows == sum(len(b) for one, _ in link.taken for b in one.values())
    whole = [track.read(k, k + 20) for k in range(0, 400, 20)]
    assert sent.rows == sum(len(b) for part in whole for b in part.values())


class Never:
    """A way to a venue that takes `first` bodies and nothing after."""

    retries = sent_bytes = plain_bytes = 0

    def __init__(self, first: int) -> None:
        self.left = first

    def send(self, blocks, body=Body.PLAIN):
        if not self.left:
            raise NotTakenError("nobody there")
        self.left -= 1
        self.sent_bytes += 1
        return []

    def close(self) -> None:
        """Nothing is open."""


def test_a_venue_that_was_never_there_is_an_error_at_once(track: KeptTrack) -> None:
    wall = Wall()
    with pytest.raises(SendError, match="nobody there"):
        send(Never(0), Stretch(track, 0, 400, 1.0, START_NS), wall.clocks(), LinkPilot())
    assert wall.now_ns == START_NS + S // 10


def test_a_venue_that_was_there_is_waited_for_so_long_and_no_longer(track: KeptTrack) -> None:
    wall = Wall()
    with pytest.raises(SendError, match="nobody there"):
        send(Never(5), Stretch(track, 0, 400, 1.0, START_NS), wall.clocks(), LinkPilot(), 30.0)
    waited_s = (wall.now_ns - START_NS) / S - 0.6
    assert 30.0 < waited_s <= 30.0 + MOST_WAIT_S


def test_a_pack_is_bounded_and_dropping_it_gives_the_room_back() -> None:
    spool = Spool(max_bytes=10_000)
    assert not spool.full
    for k in range(25):
        spool.add(Slice({Kind.LPS: world.block(10, seq=10 * k)}, k * S))
    assert spool.full
    assert spool.backlog_s(30 * S) == 30.0
    slices, blocks = spool.pack()
    assert slices == PACK_SLICES
    assert blocks[Kind.LPS].seq.tolist() == list(range(10 * PACK_SLICES))
    spool.drop(slices)
    assert spool.backlog_s(30 * S) == 20.0
    for _ in range(2):
        spool.drop(spool.pack()[0])
    assert (len(spool), spool.size_bytes, spool.backlog_s(99 * S)) == (0, 0, 0.0)


def test_a_slice_larger_than_a_pack_goes_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobs.send_spool.PACK_BYTES", 100)
    spool = Spool()
    for k in range(3):
        spool.add(Slice({Kind.LPS: world.block(10)}, k))
    assert spool.pack()[0] == 1
