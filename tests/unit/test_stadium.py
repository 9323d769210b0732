"""The stadium: what is durable when, what a restart repeats, what an outage costs."""

import shutil
from pathlib import Path

import pytest

from actors.stadium_journal import MOST_PATIENT, PATIENCE_NS, edge_stream
from cluster import names
from models.errors import ConfigError, FencedError
from models.telemetry.kinds import Kind
from models.telemetry.packet import encode_packets
from models.telemetry.quarantine import REFUSALS_TYPE, REJECTED_TYPE, decode_refusals
from models.telemetry.record import decode_header
from models.telemetry.roster import Roster
from tests.unit import source_world as world
from tests.unit.stadium_world import (
    VENUE,
    Killed,
    Wall,
    kill_at,
    live,
    no_space,
    opened,
    play,
    records,
    simulated,
    stadium,
    telemetry,
)

BINARY = "application/octet-stream"
Stream = list[tuple[str, int, dict, bytes]]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Stream, dict]:
    """An uninterrupted match: its telemetry, and the account at its end."""
    made, log = opened(tmp_path_factory.mktemp("whole"), simulated())
    play(made)
    return telemetry(log), made.stats()


def holds(account: dict) -> bool:
    out = account["forwarded"] + account["thinned"] + account["buffered"]
    return account["in"] == out + sum(account["rejected"].values())


def test_a_match_ends_with_a_final_record_and_every_row_accounted_for(
    whole: tuple[Stream, dict],
) -> None:
    stream, stats = whole
    assert [seq for _, seq, _, _ in stream] == list(range(len(stream)))
    assert [head["final"] for _, _, head, _ in stream] == [False] * (len(stream) - 1) + [True]
    assert {name for name, _, _, _ in stream} == {edge_stream("m1")}
    assert stats["done"]
    assert stats["state"] == "finished"
    assert holds(stats["account"])
    assert stats["account"]["buffered"] == 0
    assert stats["account"]["in"] == stats["raw_rows"] > 10_000
    (source, _) = stats["sources"]
    assert source["cursor"] == source["total"] == 80
    assert sum(stats["latency"]["edge"]["counts"]) == len(stream)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("call", [2, 3, 4, 5, 6])
def test_killed_at_any_append_the_stream_ends_as_if_nothing_had_been(
    tmp_path: Path, whole: tuple[Stream, dict], call: int, after: bool
) -> None:
    first, log = opened(tmp_path, simulated())
    kill_at(log, call, after)
    with pytest.raises(Killed):
        play(first)
    second, log = opened(tmp_path, simulated())
    play(second)
    assert telemetry(log) == whole[0]
    assert second.stats()["account"] == whole[1]["account"]
    assert second.stats()["raw_rows"] == whole[1]["raw_rows"]


def test_many_restarts_at_a_slow_speed_change_nothing(tmp_path: Path) -> None:
    def run(root: Path, lives: list[int]) -> tuple[Stream, dict]:
        wall = Wall()
        for rounds in lives:
            made, log = opened(root, simulated(2, 4.0), wall=wall)
            for _ in range(rounds):
                wall.now_ns += 25_000_000
                made.run_step()
        assert made.done()
        return telemetry(log), made.stats()["account"]

    assert run(tmp_path / "a", [400]) == run(tmp_path / "b", [3, 2, 7, 1, 400])


def test_a_finished_match_stays_finished_after_a_restart(
    tmp_path: Path, whole: tuple[Stream, dict]
) -> None:
    first, _ = opened(tmp_path, simulated())
    play(first)
    first.stop()
    again, log = opened(tmp_path, simulated())
    assert again.done()
    assert telemetry(log) == whole[0]
    assert again.ingest(b"x", BINARY)[0]["reason"] == "finished"


def test_while_the_log_is_down_nothing_is_read_and_nothing_is_lost(
    tmp_path: Path, whole: tuple[Stream, dict]
) -> None:
    made, log = opened(tmp_path, simulated(speed=20.0), wall=(wall := Wall()))
    for _ in range(60):
        made.run_step()
    log.fault = no_space
    for _ in range(50):
        wall.now_ns += 100_000_000
        made.run_step()
    stats = made.stats()
    assert stats["state"] == "log_down"
    assert "no space left" in stats["log"]["error"]
    assert stats["log"]["down_s"] > 4.0
    assert 2 <= stats["log"]["retries"] < 20  # waits grow, up to a bound
    held = stats["sources"][0]["cursor"]
    log.fault = lambda call, topic: None
    for _ in range(300):
        wall.now_ns += 50_000_000
        made.run_step()
    assert held < 80
    assert made.done()
    assert made.stats()["account"] == whole[1]["account"]
    actions = [s.record.payload for s in records(log, names.ACTIONS_TOPIC)]
    assert b'"action": "stop_reading"' in actions[0]
    assert b'"action": "resume_reading"' in actions[1]


def test_a_stadium_that_was_replaced_stops_at_once(tmp_path: Path) -> None:
    old, _ = opened(tmp_path, simulated(), wall=Wall())
    new, log = opened(tmp_path, simulated(), wall=Wall())
    before = len(records(log, names.raw_topic(VENUE)))
    with pytest.raises(FencedError):
        play(old)
    assert old.stats()["state"] == "fenced"
    assert len(records(log, names.raw_topic(VENUE))) == before
    play(new)
    assert new.done()
    assert new.stats()["restarts"] == 1


def test_the_roster_is_published_when_it_says_something_new(tmp_path: Path) -> None:
    for athletes, match, published in ((2, "m1", 1), (2, "m1", 1), (3, "m2", 2)):
        made, log = opened(tmp_path, live(tmp_path, athletes, match))
        made.stop()
        newest = records(log, names.roster_topic(VENUE))
        assert len(newest) == published
        assert newest[-1].record.seq == published - 1
        roster = Roster.from_json(newest[-1].record.payload)
        assert (roster.venue_id, roster.match_id) == (VENUE, match)
        assert len(roster.subjects) == athletes


def test_a_match_does_not_go_on_with_another_roster(tmp_path: Path) -> None:
    made, _ = opened(tmp_path, live(tmp_path, 2))
    made.stop()
    with pytest.raises(ConfigError, match="another id"):
        opened(tmp_path, live(tmp_path, 3))


def test_a_log_that_was_replaced_under_its_snapshots_is_a_clear_error(tmp_path: Path) -> None:
    made, _ = opened(tmp_path, simulated(2))
    play(made)
    shutil.rmtree(tmp_path / "log")
    with pytest.raises(ConfigError, match="do not belong together"):
        opened(tmp_path, simulated(2))


def test_the_next_match_begins_where_the_raw_records_of_the_last_one_end(tmp_path: Path) -> None:
    first, _ = opened(tmp_path, simulated(2, match="m1"))
    play(first)
    second, log = opened(tmp_path, simulated(2, match="m2"))
    play(second)
    assert second.done()
    both = telemetry(log)
    assert [head["match_id"] for _, _, head, _ in both if head["final"]] == ["m1", "m2"]
    assert second.stats()["account"]["in"] == first.stats()["account"]["in"]


def test_pushed_packets_are_durable_before_they_are_answered(tmp_path: Path) -> None:
    made, log = opened(tmp_path, live(tmp_path), wall=(wall := Wall()))
    packets = [world.packet("tag_0", 0), world.packet("nobody", 0), world.packet("tag_1", 0)]
    answers = made.ingest(encode_packets(packets), BINARY, "gateway-1")
    assert [a["reason"] for a in answers] == ["none", "unknown_device", "none"]
    raw = records(log, names.raw_topic(VENUE))
    assert len(raw) == 1
    again = made.ingest(encode_packets(packets[:1]), BINARY, "gateway-1")
    assert [(a["reason"], a["accepted_rows"]) for a in again] == [("duplicate", 0)]
    account = made.stats()["account"]
    assert holds(account)
    assert account["in"] == 16
    assert made.stats()["refused"] == {"unknown_device": 4}
    quarantine = names.quarantine_topic(VENUE)
    (kept,) = records(log, quarantine)
    assert kept.record.content_type == REFUSALS_TYPE
    (refusal,) = decode_refusals(kept.record.payload)
    assert (refusal.device_id, refusal.rows) == ("nobody", 4)
    # The rows that the edge refused are in the raw topic, and follow within a second.
    assert made._parts.journal.staged == 1
    wall.now_ns += PATIENCE_NS
    made.run_step()
    assert made._parts.journal.staged == 0
    assert records(log, quarantine)[-1].record.content_type == REJECTED_TYPE


def test_refused_rows_do_not_wait_for_long_nor_for_a_snapshot(tmp_path: Path) -> None:
    made, log = opened(tmp_path, live(tmp_path), wall=(wall := Wall()))
    made._parts.snapshot_every_ns = 1 << 62
    quarantine = names.quarantine_topic(VENUE)
    payload = encode_packets([world.packet("tag_0", 0)])
    made.ingest(payload, BINARY)
    for n in range(MOST_PATIENT - 1):
        made.ingest(payload, BINARY)
        assert made._parts.journal.staged == n + 1
    assert not records(log, quarantine)
    made.ingest(payload, BINARY)
    assert len(records(log, quarantine)) == MOST_PATIENT
    made.ingest(payload, BINARY)
    # One that is killed now replays the raw records from the snapshot on, and makes them anew.
    wall.now_ns += PATIENCE_NS // 2
    made._parts.snapshot_every_ns = 0
    made.run_step()
    assert made._parts.snapshot_offset == made._parts.journal.counters.raw_offset
    assert len(records(log, quarantine)) == MOST_PATIENT + 1
    # A clock that is set back lets nothing wait anew.
    made._parts.snapshot_every_ns = 1 << 62
    made.ingest(payload, BINARY)
    wall.now_ns -= 10 * PATIENCE_NS
    made.run_step()
    assert len(records(log, quarantine)) == MOST_PATIENT + 2


def test_a_push_during_an_outage_is_told_to_try_again_and_counted_once_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actors.sources.push.ANSWER_TIMEOUT_S", 0.01)
    made, log = opened(tmp_path, live(tmp_path), wall=(wall := Wall()))
    payload = encode_packets([world.packet()])
    log.fault = no_space
    assert made.ingest(payload, BINARY)[0]["reason"] == "retry"
    log.fault = lambda call, topic: None
    wall.now_ns += 10**10
    made.run_step()
    assert made.ingest(payload, BINARY)[0]["reason"] == "duplicate"
    assert made.stats()["account"]["forwarded"] + made.stats()["account"]["buffered"] == 4


def test_event_time_passes_on_a_quiet_live_venue_often_only_while_rows_wait(
    tmp_path: Path,
) -> None:
    made, log = opened(tmp_path, live(tmp_path), wall=(wall := Wall()))
    made.ingest(encode_packets([world.packet(t_ns=wall.now_ns)]), BINARY)
    for _ in range(100):
        wall.now_ns += 20_000_000
        made.run_step()
    stats = made.stats()
    assert stats["account"]["buffered"] == 0
    assert stats["account"]["forwarded"] == 4
    assert 2 <= len(records(log, names.raw_topic(VENUE))) <= 5
    before = len(records(log, names.raw_topic(VENUE)))
    for _ in range(500):  # ten seconds in which nobody sends: a tick a second shows the outage
        wall.now_ns += 20_000_000
        made.run_step()
    assert 9 <= len(records(log, names.raw_topic(VENUE))) - before <= 11


def test_a_live_match_ends_when_it_is_told_to(tmp_path: Path) -> None:
    made, log = opened(tmp_path, live(tmp_path))
    made.ingest(encode_packets([world.packet()]), BINARY)
    made.finish()
    play(made, 10)
    assert made.done()
    header, _ = decode_header(records(log, names.telemetry_topic(VENUE))[-1].record.payload)
    assert header["final"]


def test_the_loop_runs_in_its_own_thread_and_stops(tmp_path: Path) -> None:
    made, _ = stadium(tmp_path, simulated(2))
    made.start()
    made._thread.join(30.0)
    assert made.stats()["state"] == "finished", made.stats()
    made.stop()
    live_one, _ = stadium(tmp_path / "live", live(tmp_path / "live"))
    live_one.start()
    while live_one.state in ("new", "recovering"):
        live_one._thread.join(0.005)
    assert live_one.ingest(encode_packets([world.packet()]), BINARY)[0]["accepted"]
    live_one.stop()
    assert live_one.stats()["state"] == "stopped"
    assert live_one.ingest(encode_packets([world.packet()]), BINARY)[0]["reason"] == "stopped"


def test_a_fault_in_the_settings_is_visible_and_does_not_hang(tmp_path: Path) -> None:
    venue = {"id": VENUE, "sources": [{"type": "udp"}]}
    made, _ = stadium(tmp_path, venue)
    made.start()
    made._thread.join(10.0)
    stats = made.stats()
    assert stats["state"] == "failed"
    assert "live sources need a roster file" in stats["error"]
    assert made.ingest(b"", BINARY)[0]["reason"] == "failed"


def test_kinds_keep_their_rows_through_raw_and_telemetry(whole: tuple[Stream, dict]) -> None:
    kinds = {part["kind"] for _, _, head, _ in whole[0] for part in head["parts"]}
    assert {Kind.LPS, Kind.IMU, Kind.BALL_IMU, Kind.HEART} <= kinds
