"""Orders reach the edge once, whatever dies on the way, and every one of them is answered."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from actors.order_writer import REMEMBERED, OrderWriter
from actors.sources.arrival import ArrivalClock
from actors.sources.orders import MAX_ORDERS, POLL_NS, OrderSource
from cluster import names
from cluster.eventlog.port import Record, StoredRecord
from models.edge.kernel import EdgeKernel
from models.errors import FencedError, LogError
from models.telemetry.flags import Flag
from models.telemetry.ipc_write import StreamWriter
from models.telemetry.kinds import Kind
from models.telemetry.orders import Order, OrderVerb
from models.telemetry.packet import encode_packets
from models.telemetry.raw import RawBatch, decode_raw
from models.telemetry.record import decode_record, encode_record
from models.telemetry.roster import Roster
from tests.unit import source_world as world
from tests.unit.fakes_log import Clock, FakeLog
from tests.unit.stadium_world import (
    VENUE,
    Killed,
    Wall,
    kill_at,
    live,
    opened,
    play,
    records,
    simulated,
    telemetry,
)

TOPIC = names.orders_topic(VENUE)


def thin(level: int, order_id: str = "", match: str = "m1") -> Order:
    return Order(
        order_id or f"thin/{level}", match, OrderVerb.THIN, "backlog", 5, level=level
    )


def send(log: Any, *orders: Order) -> None:
    writer = OrderWriter(log, "coordinator")
    for order in orders:
        assert writer.send(VENUE, order)


def actions(log: Any) -> list[dict[str, Any]]:
    bodies = [json.loads(s.record.payload) for s in records(log, names.ACTIONS_TOPIC)]
    return [body for body in bodies if body["action"].startswith("order_")]


def raw_batches(log: Any) -> tuple[Roster, list[RawBatch]]:
    roster = Roster.from_json(records(log, names.roster_topic(VENUE))[-1].record.payload)
    rows_of = {
        (device.device_id, device.kind): row
        for row, device in reversed(list(enumerate(roster.devices)))
    }
    stored = records(log, names.raw_topic(VENUE))
    return roster, [decode_raw(one.record.payload, rows_of) for one in stored]


def replayed(log: Any) -> list[bytes]:
    """What a fresh kernel makes of the raw topic, as the telemetry topic has it."""
    roster, batches = raw_batches(log)
    kernel, made = EdgeKernel(roster), []
    ids = [device.device_id for device in roster.devices]
    writer = StreamWriter(ids, [device.kind for device in roster.devices])
    for batch in batches:
        made += [encode_record(r, ids, writer) for r in kernel.handle(batch).records]
    return made


def bodies(payloads: Sequence[bytes]) -> list[bytes]:
    """Payloads without their headers, which hold wall-clock marks."""
    return [p[8 + int.from_bytes(p[4:8], "little"):] for p in payloads]


def test_an_order_changes_what_goes_on_and_is_visible(tmp_path: Path) -> None:
    made, log = opened(tmp_path, simulated(12, 10.0), wall=(wall := Wall()))
    for step in range(400):
        if step == 20:
            send(log, thin(2))
        wall.now_ns += 5_000_000
        made.run_step()
    stats = made.stats()
    assert stats["orders"]["level"] == 2
    assert stats["orders"]["counts"] == {"applied/thin": 1}
    assert stats["orders"]["taken"] == stats["orders"]["cursor"] == 1
    (action,) = actions(log)
    assert (action["action"], action["reason"]) == ("order_applied", "backlog")
    assert action["detail"]["level"] == 2
    assert action["actor"] == names.stadium_actor(VENUE)
    roster, _ = raw_batches(log)
    rows_of = {
        (d.device_id, d.kind): row for row, d in reversed(list(enumerate(roster.devices)))
    }
    merged = {True: 0, False: 0}
    for stored in records(log, names.telemetry_topic(VENUE)):
        record = decode_record(stored.record.payload, rows_of)
        block = record.blocks.get(Kind.LPS)
        if block is not None:
            flagged = block.t_event_ns[(block.flags & int(Flag.MERGED)) != 0] >= action["t_ns"]
            merged[True] += int(flagged.sum())
            merged[False] += int((~flagged).sum())
    assert merged[False] == 0
    assert merged[True] > 0


@pytest.fixture(scope="module")
def ordered(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Any], dict[str, Any]]:
    """An uninterrupted match that is thinned from its begin."""
    made, log = opened(tmp_path_factory.mktemp("ordered"), simulated())
    send(log, thin(1))
    play(made)
    return telemetry(log), made.stats()


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("call", [2, 3, 4, 5, 6])
def test_killed_at_any_append_an_order_is_followed_once(
    tmp_path: Path, ordered: tuple[list[Any], dict[str, Any]], call: int, after: bool
) -> None:
    first, log = opened(tmp_path, simulated())
    send(log, thin(1))
    kill_at(log, log.calls + call - 1, after)
    with pytest.raises(Killed):
        play(first)
    second, log = opened(tmp_path, simulated())
    play(second)
    assert telemetry(log) == ordered[0]
    assert second.stats()["account"] == ordered[1]["account"]
    assert second.stats()["orders"]["counts"] == {"applied/thin": 1}
    assert [a["action"] for a in actions(log)] == ["order_applied"]
    assert sum(len(batch.orders) for batch in raw_batches(log)[1]) == 1


def test_a_replay_of_the_raw_records_follows_the_same_orders(tmp_path: Path) -> None:
    """Orders in the middle, restarts without a word: the raw topic alone makes the same stream."""
    wall = Wall()
    made, log = opened(tmp_path, simulated(6, 10.0), wall=wall)
    for step in range(500):
        if step % 60 == 10:
            send(log, thin(1 + step // 60 % 3, f"o{step}"))
        if step % 90 == 45:
            made, log = opened(tmp_path, simulated(6, 10.0), wall=wall)
        wall.now_ns += 5_000_000
        made.run_step()
    assert made.done()
    logged = [s.record.payload for s in records(log, names.telemetry_topic(VENUE))]
    assert bodies(replayed(log)) == bodies(logged)
    given = [order.order_id for batch in raw_batches(log)[1] for order in batch.orders]
    assert len(given) == len(set(given)) >= 2
    assert [a["detail"]["order_id"] for a in actions(log)] == given


def test_what_is_no_order_is_counted_and_skipped_for_good(tmp_path: Path) -> None:
    made, log = opened(tmp_path, live(tmp_path), wall=(wall := Wall()))
    junk = (b"", b"\xff\x00", b"[]", b'{"schema_v":1,"verb":"burn"}', b"x" * 5000)
    log.append(TOPIC, [Record("x", n, 0, payload) for n, payload in enumerate(junk)], 0)
    send(log, thin(1, "old", "m0"), thin(1))
    for _ in range(3):
        made.ingest(encode_packets([world.packet(t_ns=wall.now_ns)]), "application/octet-stream")
        wall.now_ns += POLL_NS
        made.run_step()
    assert made.stats()["state"] == "running"
    counts = made.stats()["orders"]["counts"]
    junk_counts = {"wrong_format": 2, "unknown_version": 1, "unknown_verb": 1, "oversize": 1}
    assert counts == junk_counts | {"applied/thin": 1}
    assert made.stats()["orders"]["passed_over"] == 1
    made.stop()
    again, log = opened(tmp_path, live(tmp_path), wall=wall)
    for _ in range(20):
        wall.now_ns += POLL_NS
        again.run_step()
    stats = again.stats()["orders"]
    assert stats["counts"] == counts, "and nothing is applied again"
    assert (stats["cursor"], stats["taken"], stats["level"]) == (7, 0, 1)


def test_the_next_match_begins_without_the_orders_of_the_last(tmp_path: Path) -> None:
    first, log = opened(tmp_path, simulated(2, match="m1"))
    send(log, thin(3))
    play(first)
    assert first.stats()["orders"]["level"] == 3
    second, log = opened(tmp_path, simulated(2, match="m2"))
    play(second)
    stats = second.stats()["orders"]
    assert (stats["level"], stats["counts"], stats["passed_over"]) == (0, {}, 1)


# -- the source by itself --------------------------------------------------------------------------


class Counting(FakeLog):
    """Counts looks at the topic; `deaf`: reading fails."""

    looks = 0
    deaf = False

    def read(self, topic: str, offset: int, *rest: int) -> list[StoredRecord]:
        self.looks += 1
        if self.deaf:
            raise LogError("deaf")
        return super().read(topic, offset, *rest)


def source(log: FakeLog, cursor: int | None = None) -> OrderSource:
    return OrderSource(log, VENUE, "m1", ArrivalClock(Clock(), virtual=False), cursor)


def test_the_topic_is_looked_at_ten_times_a_second_at_most() -> None:
    log = Counting(Clock())
    orders = source(log)
    for step in range(1000):
        assert orders.next_batch(10**18 + step * POLL_NS // 10) is None
    assert log.looks == 100


def test_a_round_takes_a_bounded_number_of_orders_and_the_rest_later() -> None:
    log = Counting(Clock())
    send(log, *(thin(1, f"o{n}") for n in range(MAX_ORDERS + 5)))
    orders = source(log)
    sizes = []
    for step in range(4):
        batch = orders.next_batch(10**18 + step * POLL_NS)
        sizes.append(len(batch.orders) if batch is not None else 0)
    assert sizes == [MAX_ORDERS, 5, 0, 0]


def test_a_log_that_cannot_be_read_is_asked_again() -> None:
    log = Counting(Clock())
    send(log, thin(1))
    orders, log.deaf = source(log), True
    assert orders.next_batch(10**18) is None
    assert "deaf" in orders.progress()["error"]
    log.deaf = False
    batch = orders.next_batch(10**18 + POLL_NS)
    assert batch is not None
    assert [order.level for order in batch.orders] == [1]


def test_orders_that_were_trimmed_away_are_counted() -> None:
    log = Counting(Clock())
    send(log, *(thin(1, f"o{n}") for n in range(5)))
    log.trim(TOPIC, 3)
    orders = source(log, cursor=1)
    batch = orders.next_batch(10**18)
    assert batch is not None
    assert [order.order_id for order in batch.orders] == ["o3", "o4"]
    assert orders.progress()["trimmed"] == 2


# -- the writer ------------------------------------------------------------------------------------


def said(log: FakeLog) -> list[tuple[str, int, str]]:
    return [
        (r.stream, r.seq, json.loads(r.payload)["order_id"]) for r in log.all(TOPIC)
    ]


def test_a_writer_that_was_started_again_repeats_nothing() -> None:
    log = FakeLog(Clock())
    first = OrderWriter(log, "supervisor")
    assert first.send(VENUE, thin(1, "a"))
    assert not first.send(VENUE, thin(1, "a"))
    assert OrderWriter(log, "coordinator", 7).send(VENUE, thin(2, "a")), "another's id is no matter"
    second = OrderWriter(log, "supervisor")
    assert not second.send(VENUE, thin(1, "a"))
    assert second.send(VENUE, thin(0, "b"))
    assert said(log) == [
        ("supervisor", 0, "a"), ("coordinator", 0, "a"), ("supervisor", 1, "b"),
    ]
    with pytest.raises(FencedError):
        first.send(VENUE, thin(3, "c"))
    with pytest.raises(FencedError):
        first.send(VENUE, thin(3, "c"))
    assert second.send(VENUE, thin(2, "d")), "one that was fenced fences nobody"


def test_an_order_whose_append_went_unanswered_is_in_the_log_once() -> None:
    log = FakeLog(Clock())
    writer = OrderWriter(log, "supervisor")
    writer.send(VENUE, thin(1, "a"))
    log.lossy = True
    with pytest.raises(LogError):
        writer.send(VENUE, thin(2, "b"))
    log.lossy = False
    assert not writer.send(VENUE, thin(2, "b"))
    assert writer.send(VENUE, thin(3, "c"))
    assert [order_id for _, _, order_id in said(log)] == ["a", "b", "c"]


def test_the_writers_memory_has_a_bound() -> None:
    log = FakeLog(Clock())
    writer = OrderWriter(log, "supervisor")
    for n in range(REMEMBERED + 10):
        writer.send(VENUE, thin(1, f"o{n}"))
    assert len(writer._said[VENUE]) == REMEMBERED
    assert not OrderWriter(log, "supervisor").send(VENUE, thin(1, f"o{REMEMBERED}"))
