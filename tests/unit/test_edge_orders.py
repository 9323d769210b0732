"""Orders at the edge: thinning by level, full rate by name, sources passed over; all reversible."""

from dataclasses import replace

import numpy as np
import pytest

from models.edge.config import EdgeConfig
from models.edge.kernel import EdgeKernel
from models.edge.standing import LONGEST_NS, LONGEST_THIN_NS, MAX_WAITING, Outcome
from models.edge.tables import INERTIAL_HZ, POSITION_HZ
from models.flows.kernel import FlowKernel
from models.telemetry.block import SampleBlock
from models.telemetry.flags import Flag
from models.telemetry.kinds import KINDS, Kind
from models.telemetry.orders import Order, OrderVerb
from models.telemetry.raw import RawBatch
from models.telemetry.roster import Device
from tests.unit.edge_lab import MS, SECOND, T0, Result, block_of, play, roster_of, walk
from tests.unit.flow_world import last_row

IMU = KINDS[Kind.IMU]
LOAD, PEAK, MERGED = (IMU.index(n) for n in ("load_au", "peak_mps2", "merged_n"))
SPAN_S = 60.0
CALM = roster_of(
    Device("imu", Kind.IMU, "a0", 100.0), Device("lps", Kind.LPS, "a0", 20.0),
    Device("hr", Kind.HEART, "a0", 1.0), Device("boot", Kind.BOOT, "a0", 500.0),
    Device("chip", Kind.BALL_POS, "ball", 50.0), Device("chip", Kind.BALL_IMU, "ball", 500.0),
)


def thin(level: int, until_ns: int = 0, match: str = "m") -> Order:
    return Order(f"thin-{level}", match, OrderVerb.THIN, "test", T0, level=level, until_ns=until_ns)


def whole(subject: str, until_ns: int) -> Order:
    return Order("w", "m", OrderVerb.WHOLE, "test", T0, subject_id=subject, until_ns=until_ns)


def demote(device: str, until_ns: int) -> Order:
    return Order("d", "m", OrderVerb.DEMOTE, "test", T0, device_id=device, until_ns=until_ns)


def at(second: float) -> int:
    return T0 + int(second * SECOND)


def motion(kind: Kind, row: int, hz: float, seconds: float, seed: int = 0) -> SampleBlock:
    n = int(seconds * hz)
    seq, channels = np.arange(n), walk(n, np.random.default_rng(seed), 1.0)
    known = {name: values for name, values in channels.items() if name in KINDS[kind].names}
    return block_of(kind, row, seq, T0 + (seq * SECOND / hz).astype(np.int64), known)


def stroll(row: int, seconds: float, hz: float = 20.0, kind: Kind = Kind.LPS) -> SampleBlock:
    """A walk at 1 to 2 m/s round a circle of 8 m, seen with the noise of the source."""
    t = np.arange(int(seconds * hz)) / hz
    angle = np.cumsum(1.5 + 0.5 * np.sin(0.3 * t)) / hz / 8.0
    noise = np.random.default_rng(row).normal(0.0, 0.03, (2, len(t)))
    place = {"pos_x_m": 8 * np.cos(angle) + noise[0], "pos_y_m": 8 * np.sin(angle) + noise[1]}
    return block_of(kind, row, np.arange(len(t)), T0 + (t * SECOND).astype(np.int64), place)


def run(row: int, seconds: float, begin_s: float, end_s: float) -> SampleBlock:
    """Along x at 1 m/s, and at 8 m/s from `begin_s` to `end_s`."""
    t = np.arange(int(seconds * 20)) / 20
    x = -45.0 + np.cumsum(np.where((t > begin_s) & (t < end_s), 8.0, 1.0)) / 20
    place = {"pos_x_m": x, "pos_y_m": np.zeros(len(t))}
    return block_of(Kind.LPS, row, np.arange(len(t)), T0 + (t * SECOND).astype(np.int64), place)


def calm_blocks(seconds: float = SPAN_S) -> list[SampleBlock]:
    t_heart = T0 + np.arange(int(seconds)) * SECOND
    rest = np.arange(int(50 * seconds))
    ball = {"pos_x_m": np.full(len(rest), 30.0), "pos_y_m": np.full(len(rest), 30.0)}
    return [
        motion(Kind.IMU, 0, 100.0, seconds), stroll(1, seconds),
        block_of(Kind.HEART, 2, np.arange(int(seconds)), t_heart, {"hr_bpm": 120.0}),
        motion(Kind.BOOT, 3, 500.0, seconds),
        block_of(Kind.BALL_POS, 4, rest, T0 + rest * 20 * MS, ball),
        motion(Kind.BALL_IMU, 5, 500.0, seconds),
    ]


def spacing_hz(rows: SampleBlock, begin_s: float, end_s: float) -> float:
    t_ns = np.sort(rows.t_event_ns)
    t_ns = t_ns[(t_ns >= at(begin_s)) & (t_ns < at(end_s))]
    return 1e9 / float(np.median(np.diff(t_ns)))


def knocked_down(hit_g: float) -> SampleBlock:
    """Stands, is hit at 4 s, lies on the back from 4.3 s on, for 16 s."""
    t = np.arange(2000) / 100
    lies, hit = t > 4.3, np.abs(t - 4.0) < 0.03
    turned = np.where(np.abs(t - 4.0) < 0.1, 8.0, 0.0)
    g = np.where(lies, 0.1, np.where(hit, hit_g, 1.0))
    channels = {
        "acc_x_mps2": np.where(lies, 9.81, 0.0), "acc_y_mps2": np.zeros(len(t)),
        "acc_z_mps2": 9.81 * g, "gyr_x_radps": turned, "gyr_y_radps": turned * 0.0,
        "gyr_z_radps": turned * 0.0,
    }
    noise = np.random.default_rng(0).normal(0.0, 0.01, (6, len(t)))
    known = {name: values + noise[n] for n, (name, values) in enumerate(channels.items())}
    return block_of(Kind.IMU, 0, np.arange(len(t)), at(0) + (t * SECOND).astype(np.int64), known)


# -- thin ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def usual() -> Result:
    return play(CALM, calm_blocks())[1]


@pytest.mark.parametrize("level", [1, 2, 3])
def test_a_level_lowers_the_rates_of_calm_athletes_and_of_nothing_else(
    usual: Result, level: int
) -> None:
    kernel, result = play(CALM, calm_blocks(), orders=[(T0 - SECOND, thin(level))])
    assert spacing_hz(result.rows(Kind.IMU), 5, 55) == pytest.approx(INERTIAL_HZ[level - 1])
    assert spacing_hz(result.rows(Kind.LPS), 5, 55) == pytest.approx(POSITION_HZ[level - 1])
    assert (result.rows(Kind.LPS).flags & int(Flag.MERGED)).all()
    for kind in (Kind.HEART, Kind.BOOT, Kind.BALL_POS, Kind.BALL_IMU):
        ours, theirs = result.rows(kind), usual.rows(kind)
        assert ours.t_event_ns.tolist() == theirs.t_event_ns.tolist(), kind
        np.testing.assert_array_equal(ours.values, theirs.values)
    account = kernel.account()
    assert account.holds()
    assert account.kinds[Kind.LPS].thinned == 1200 - len(result.rows(Kind.LPS))


@pytest.mark.parametrize("level", [1, 2, 3])
def test_player_load_peaks_and_distance_of_a_calm_flow_survive_every_level(
    usual: Result, level: int
) -> None:
    _, result = play(CALM, calm_blocks(), orders=[(T0 - SECOND, thin(level))])
    ours, theirs = result.rows(Kind.IMU).values, usual.rows(Kind.IMU).values
    assert np.isclose(ours[LOAD].sum(), theirs[LOAD].sum(), rtol=1e-5)
    assert ours[MERGED].sum() == theirs[MERGED].sum() == 6000
    assert ours[PEAK].max() == theirs[PEAK].max()

    def metrics(of: Result) -> dict[str, float]:
        everybody = np.arange(len(CALM.subjects), dtype=np.int32)
        return last_row(FlowKernel(CALM).handle(of.records, everybody))

    thinned, whole_rate = metrics(result), metrics(usual)
    assert whole_rate["distance_m"] == pytest.approx(90.0, rel=0.06)
    assert thinned["distance_m"] == pytest.approx(whole_rate["distance_m"], rel=0.03)
    assert thinned["player_load_au"] == pytest.approx(whole_rate["player_load_au"], rel=1e-4)


def test_every_level_has_an_anti_alias_filter_of_its_own_rate() -> None:
    roster = roster_of(Device("imu", Kind.IMU, "a0", 100.0))
    block = motion(Kind.IMU, 0, 100.0, 30.0)
    t = np.arange(3000) / 100.0
    for level, hz in ((1, 20.0), (2, 8.0), (3, 4.0)):
        for tone_hz, low, high in ((0.5, 0.95, 1.05), (hz, 0.0, 0.07)):
            block.values[0] = 3.0 * np.sin(2 * np.pi * tone_hz * t)
            # The level changes twice: the filter of the last one is what counts.
            orders = [(at(2), thin(4 - level)), (at(5), thin(level))]
            _, result = play(roster, [block], orders=orders)
            rows = result.rows(Kind.IMU)
            x = rows.values[0, rows.t_event_ns > at(8)]
            gain = x.std() * np.sqrt(2) / 3.0
            assert low <= gain <= high, (level, tone_hz, gain)


def test_a_filter_that_changes_its_level_does_not_ring() -> None:
    """Gravity stays gravity through every change: a filter never meets another one's state."""
    roster = roster_of(Device("imu", Kind.IMU, "a0", 100.0))
    n = np.arange(3000)
    wobble = 0.01 * np.sin(n / 3.0)
    still = {"acc_x_mps2": wobble, "acc_y_mps2": wobble, "acc_z_mps2": 9.81 + wobble}
    block = block_of(Kind.IMU, 0, n, T0 + n * 10 * MS, still)
    orders = [(at(2 + k), thin(k % 4)) for k in range(25)]
    _, result = play(roster, [block], orders=orders)
    assert np.abs(result.rows(Kind.IMU).values[2] - 9.81).max() < 0.03


def test_thinning_is_taken_back_by_level_0_and_lapses_by_itself() -> None:
    blocks = calm_blocks()
    orders = [(at(10.01), thin(2)), (at(20.01), thin(0)), (at(30.01), thin(3, at(40)))]
    kernel, result = play(CALM, blocks, orders=orders)
    for begin_s, end_s, hz in (
        (2, 9.7, 50), (11, 19.7, 10), (21, 29.7, 50), (31, 40, 5), (41, 60, 50)
    ):
        assert spacing_hz(result.rows(Kind.IMU), begin_s, end_s) == pytest.approx(hz), begin_s
    said = [(a.outcome, a.order.level, (a.t_ns - T0) / SECOND) for a in result.orders]
    assert said == [
        (Outcome.APPLIED, 2, 9.8), (Outcome.APPLIED, 0, 19.8), (Outcome.APPLIED, 3, 29.8),
        (Outcome.LAPSED, 3, 40.0),
    ]
    assert kernel.orders.level == 0
    assert result.rows(Kind.IMU).values[MERGED].sum() >= 6000 - 1, "a pair may be open at the end"
    back = result.rows(Kind.LPS)
    assert spacing_hz(back, 41, 60) == pytest.approx(20)
    assert not (back.flags[back.t_event_ns > at(41)] & int(Flag.MERGED)).any()


@pytest.mark.parametrize(("level", "ends_s"), [(1, 20.5), (2, 20.5), (3, 15.5)])
def test_a_hot_flow_keeps_its_full_rate_and_pre_roll_and_below_the_highest_level_its_post_roll(
    level: int, ends_s: float
) -> None:
    roster = roster_of(Device("imu", Kind.IMU, "a0", 100.0), Device("lps", Kind.LPS, "a0", 20.0))
    blocks = [motion(Kind.IMU, 0, 100.0, 30.0), run(1, 30.0, 10, 14)]
    _, usual = play(roster, blocks)
    _, result = play(roster, blocks, orders=[(T0 - SECOND, thin(level))])
    for kind, pre_roll in ((Kind.IMU, 200), (Kind.LPS, 40)):
        rows = result.rows(kind)
        full = rows.t_event_ns[rows.flags & int(Flag.MERGED) == 0]
        assert at(9.9) < full[1] < at(10.8)
        assert at(ends_s) < full[-1] < at(ends_s + 2)
        pre = result.supplements(kind)
        # The row that ended a merged one just before it turned hot went on already.
        assert pre_roll - 1 <= len(pre) <= pre_roll
        assert (pre.flags & int(Flag.PRE_ROLL)).all()
    theirs = usual.rows(Kind.IMU)
    hot = theirs.t_event_ns[(theirs.values[MERGED] == 1) & (theirs.t_event_ns < at(ends_s))]
    ours = set(result.rows(Kind.IMU).t_event_ns.tolist())
    assert set(hot.tolist()) <= ours, "nothing that is kept as usual is thinned by the level"


def test_post_roll_comes_back_with_a_lower_level() -> None:
    roster = roster_of(Device("imu", Kind.IMU, "a0", 100.0), Device("lps", Kind.LPS, "a0", 20.0))
    blocks = [motion(Kind.IMU, 0, 100.0, 30.0), run(1, 30.0, 10, 14)]
    orders = [(T0 - SECOND, thin(3)), (at(18), thin(2))]
    rows = play(roster, blocks, orders=orders)[1].rows(Kind.IMU)
    full = rows.t_event_ns[rows.flags & int(Flag.MERGED) == 0]
    assert not ((full > at(17.5)) & (full < at(17.8))).any()
    assert ((full > at(18.2)) & (full < at(20))).sum() > 150


def test_levels_do_nothing_where_thinning_is_off() -> None:
    config = EdgeConfig(thin=False)
    _, plain = play(CALM, calm_blocks(10.0), (), config)
    _, result = play(CALM, calm_blocks(10.0), (), config, [(T0, thin(3))])
    assert result.canonical() | {"orders": []} == plain.canonical()


# -- whole -----------------------------------------------------------------------------------------


def test_a_subject_that_is_ordered_whole_keeps_its_full_rate_until_then() -> None:
    roster = roster_of(
        Device("i0", Kind.IMU, "a0", 100.0), Device("i1", Kind.IMU, "a1", 100.0),
    )
    blocks = [motion(Kind.IMU, 0, 100.0, 30.0), motion(Kind.IMU, 1, 100.0, 30.0, seed=1)]
    both = SampleBlock(
        Kind.IMU, *(np.concatenate([getattr(b, name) for b in blocks]) for name in (
            "device", "boot", "seq", "t_event_ns", "t_ingest_ns", "flags")),
        np.concatenate([b.values for b in blocks], axis=1),
    )
    both = both.take(np.argsort(both.t_ingest_ns, kind="stable"))
    orders = [(at(5), thin(3)), (at(8), whole("a0", at(15))), (at(20), whole("a0", at(28))),
              (at(22), whole("a0", 0))]
    _, result = play(roster, [both], orders=orders)
    rows = result.rows(Kind.IMU)
    mine, other = (rows.take(np.flatnonzero(rows.device == d)) for d in (0, 1))
    for begin_s, end_s, hz in ((1, 4.7, 50), (6, 7.7, 5), (8, 15, 100), (15.2, 19.7, 5),
                               (20, 21.7, 100), (22.2, 29, 5)):
        assert spacing_hz(mine, begin_s, end_s) == pytest.approx(hz), begin_s
    assert spacing_hz(other, 8, 15) == pytest.approx(5)
    assert mine.values[MERGED].sum() == other.values[MERGED].sum() == 3000


# -- demote ----------------------------------------------------------------------------------------

TWO = roster_of(
    Device("lps", Kind.LPS, "a0", 20.0), Device("gps", Kind.GNSS, "a0", 10.0, source_rank=1)
)


def believed_s(result: Result, kind: Kind) -> list[float]:
    return ((result.rows(kind).t_event_ns - T0) / SECOND).tolist()


def test_a_demoted_source_gives_way_at_once_and_comes_back_when_it_may() -> None:
    blocks = [stroll(0, 30.0), stroll(1, 30.0, 10.0, Kind.GNSS)]
    taken_back = [(at(20), demote("lps", 0))]
    for until_ns, more, last_s in ((at(20), [], 19.9), (at(29), taken_back, 19.7)):
        orders = [(at(10), demote("lps", until_ns)), *more]
        kernel, result = play(TWO, blocks, [at(k) for k in range(31)], None, orders)
        gps = believed_s(result, Kind.GNSS)
        assert (min(gps), max(gps)) == (9.8, last_s)
        assert not [t for t in believed_s(result, Kind.LPS) if 9.8 < t < last_s]
        assert set(kernel.account().rejected) == {"not_truth_source"}
        assert [a.outcome for a in result.orders] == [Outcome.APPLIED] * len(orders)


def test_a_demoted_source_is_believed_as_long_as_there_is_no_other() -> None:
    lps, gps = stroll(0, 30.0), stroll(1, 30.0, 10.0, Kind.GNSS)
    late = gps.take(np.flatnonzero(gps.t_event_ns >= at(15)))
    _, result = play(TWO, [lps, late], orders=[(at(5), demote("lps", at(30)))])
    assert max(believed_s(result, Kind.LPS)) == pytest.approx(16.0)
    assert min(believed_s(result, Kind.GNSS)) == pytest.approx(16.0), "alive for a second first"
    _, alone = play(TWO, [lps], orders=[(at(5), demote("lps", at(30)))])
    assert len(alone.rows(Kind.LPS)) == len(lps)


def test_with_its_source_demoted_in_time_an_athlete_is_never_lost() -> None:
    """The LPS dies at 15 s. Without the order nobody is believed until it is known to be dead."""
    lps, gps = stroll(0, 30.0), stroll(1, 30.0, 10.0, Kind.GNSS)
    lps = lps.take(np.flatnonzero(lps.t_event_ns < at(15)))

    def longest_gap_s(orders: list[tuple[int, Order]]) -> float:
        _, result = play(TWO, [lps, gps], [at(k / 2) for k in range(61)], None, orders)
        t = np.sort(believed_s(result, Kind.LPS) + believed_s(result, Kind.GNSS))
        return float(np.diff(t).max())

    assert longest_gap_s([]) > 0.9
    assert longest_gap_s([(at(12), demote("lps", at(30)))]) < 0.11


# -- bounds and answers ----------------------------------------------------------------------------


def test_every_order_gets_its_answer() -> None:
    kernel = EdgeKernel(CALM)
    blocks = {b.kind: b for b in calm_blocks(3.0)}
    asked = (
        thin(1), thin(1, match="last week"), whole("nobody", at(9)), demote("none", at(9)),
        demote("lps", at(9)), whole("a0", at(9)),
    )
    result = Result()
    result.take(kernel.handle(RawBatch("orders", 1, T0, {}, orders=asked, unread={"oversize": 2})))
    assert result.orders == [], "not before their tick"
    result.take(kernel.handle(RawBatch("s", 1, at(3), blocks)))
    assert [a.outcome for a in result.orders] == [
        Outcome.APPLIED, Outcome.OTHER_MATCH, Outcome.UNKNOWN_SUBJECT, Outcome.UNKNOWN_DEVICE,
        Outcome.NO_OTHER_SOURCE, Outcome.APPLIED,
    ]
    assert kernel.orders.counts["oversize"] == 2
    result.take(kernel.handle(RawBatch("orders", 2, at(9), {}, orders=(thin(2),), end=True)))
    assert result.orders[-1].outcome == Outcome.TOO_LATE
    assert kernel.orders.level == 1


def test_orders_that_wait_for_their_tick_have_a_bound() -> None:
    kernel = EdgeKernel(CALM)
    orders = (thin(1),) * (MAX_WAITING + 3)
    effects = kernel.handle(RawBatch("orders", 1, T0, {}, orders=orders))
    assert [a.outcome for a in effects.orders] == [Outcome.TOO_MANY] * 3


def test_a_level_lapses_when_nobody_says_it_again() -> None:
    held_s, n = LONGEST_THIN_NS / SECOND, 1500
    times = T0 + np.arange(n) * SECOND
    beats = block_of(Kind.HEART, 2, np.arange(n), times, {"hr_bpm": np.full(n, 90.0)})
    _, result = play(CALM, [beats], orders=[(at(10), thin(2)), (at(500), thin(2))])
    said = [(a.outcome, a.order.level, (a.t_ns - T0) / SECOND) for a in result.orders]
    assert said == [
        (Outcome.APPLIED, 2, 9.8), (Outcome.APPLIED, 2, 499.8),
        (Outcome.LAPSED, 2, 499.8 + held_s),
    ]


def test_no_order_holds_for_ever() -> None:
    kernel = EdgeKernel(TWO)
    orders = (demote("lps", T0 + 10**16), whole("a0", T0 + 10**16))
    kernel.handle(RawBatch("orders", 1, T0, {}, orders=orders))
    kernel.handle(RawBatch("s", 1, at(3), {Kind.LPS: stroll(0, 3.0)}))
    state, heard_ns = kernel._state.orders, T0 - 200 * MS
    assert state.demoted_until.tolist() == [heard_ns + LONGEST_NS, 0]
    assert state.whole_until.tolist() == [[heard_ns + LONGEST_NS, 0]]


def test_taking_back_what_was_for_a_device_leaves_the_subjects_own() -> None:
    kernel = EdgeKernel(CALM)
    own, device = whole("a0", at(60)), Order(
        "d", "m", OrderVerb.WHOLE, "test", T0, subject_id="a0", device_id="imu", until_ns=at(90)
    )
    block = motion(Kind.IMU, 0, 100.0, 6.0)
    for second, orders, left in (
        (0, (own, device), [at(60), at(90)]), (3, (replace(device, until_ns=0),), [at(60), 0]),
    ):
        now = block.take((block.t_event_ns >= at(second)) & (block.t_event_ns < at(second + 3)))
        kernel.handle(RawBatch("orders", 1, at(second), {}, orders=orders))
        kernel.handle(RawBatch("s", 1, at(second + 3), {Kind.IMU: now}))
        assert kernel._state.orders.whole_until[0].tolist() == left


@pytest.mark.parametrize("level", [0, 1, 2, 3])
@pytest.mark.parametrize("hit_g", [6.5, 12.0])
def test_a_man_who_is_down_is_found_at_every_level(level: int, hit_g: float) -> None:
    t = np.arange(400) / 20
    stays = {"pos_x_m": 0.02 * np.sin(7 * t), "pos_y_m": 0.02 * np.cos(5 * t)}
    place = block_of(Kind.LPS, 1, np.arange(400), T0 + (t * SECOND).astype(np.int64), stays)
    result = play(CALM, [knocked_down(hit_g), place], orders=[(T0, thin(level))])[1]
    kernel, everyone = FlowKernel(CALM), np.arange(len(CALM.subjects), dtype=np.int32)
    found = [
        event.type for record in result.records
        for event in kernel.handle([record], everyone).events
    ]
    assert found.count("man_down") == 1
