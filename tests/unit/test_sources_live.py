"""Live sources: bounded inbox, arrival stamps, and an answer for every packet."""

from dataclasses import replace
from threading import Event

import numpy as np

from actors.sources.arrival import ArrivalClock
from actors.sources.inbox import Inbox
from actors.sources.live import Arrival
from actors.sources.push import MAX_PAYLOAD_BYTES, PushSource
from models.telemetry.block import concat_blocks
from models.telemetry.devices import index_of
from models.telemetry.ingest import encode_blocks
from models.telemetry.json_codec import encode_json
from models.telemetry.kinds import KINDS, Kind
from models.telemetry.packet import encode_packets
from models.telemetry.raw import RawBatch
from models.telemetry.reasons import Reason
from tests.unit import source_world as world

ARROW, BINARY = "application/vnd.apache.arrow.stream", "application/octet-stream"
NOW = world.START_NS


def push(bound: int = 8, wall: list[int] | None = None, virtual: bool = False) -> PushSource:
    times = iter(wall or range(NOW, NOW + 10**9, 1000))
    clock = ArrivalClock(lambda: NOW, virtual)
    return PushSource("http", world.index(), clock, lambda: None, lambda: next(times), bound)


def accept_all(source: PushSource) -> RawBatch:
    batch = source.next_batch(NOW)
    verdicts = {kind: np.zeros(len(block), np.uint8) for kind, block in batch.blocks.items()}
    source.settled(batch, verdicts)
    return batch


def test_a_full_inbox_refuses_and_counts_by_items_and_by_bytes() -> None:
    woken: list[int] = []
    inbox: Inbox[str] = Inbox(2, 10, lambda: woken.append(1))
    assert inbox.offer("a", 50)  # a lone item may be larger than the bound
    assert not inbox.offer("b", 1)
    assert inbox.take() == "a"
    assert inbox.offer("c", 5)
    assert inbox.offer("d", 5)
    assert not inbox.offer("e", 0)
    assert (inbox.refused, inbox.depth, inbox.size_bytes, len(woken)) == (2, 2, 10, 3)
    assert inbox.close() == ["c", "d"]
    assert not inbox.offer("f", 1)


def test_arrival_time_never_goes_back_when_the_wall_clock_does() -> None:
    clock = ArrivalClock(lambda: 50, virtual=False)
    assert [clock.stamp(100), clock.stamp(90), clock.now_ns(), clock.stamp(120)] == [
        100, 100, 100, 120,
    ]


def test_during_a_replay_a_pushed_packet_arrives_at_the_time_of_the_replay() -> None:
    source = push(virtual=True)
    source._clock.advance(NOW + 5)
    source.offer(encode_packets([world.packet()]), BINARY, "gateway-1")
    batch = source.next_batch(NOW + 10**15)
    assert set(batch.blocks[Kind.LPS].t_ingest_ns.tolist()) == {NOW + 5}


def test_packets_of_all_content_types_are_answered_once_settled() -> None:
    source = push()
    packets = [world.packet("tag_0", 0), world.packet("tag_1", 0), world.packet("tag_0", 4)]
    tickets = [
        source.offer(encode_packets(packets[:1]), BINARY, "a"),
        source.offer(encode_json(packets[1:2]), "application/json; charset=utf-8", "a"),
        source.offer(
            encode_blocks({Kind.LPS: world.block(6)}, world.index().device_ids),
            "application/vnd.apache.arrow.stream", "a",
        ),
    ]
    assert not any(ticket.done() for ticket in tickets)
    batch = accept_all(source)
    assert batch.rows == 4 + 4 + 6
    for ticket, rows in zip(tickets, (4, 4, 6), strict=True):
        (answer,) = ticket.result(0)
        assert answer["accepted"]
        assert answer["reason"] == "none"
        assert answer["rows"] == answer["accepted_rows"] == rows


def test_the_edges_reasons_reach_the_packet_that_they_concern() -> None:
    source = push()
    first = [world.packet("tag_0", 0), world.packet("tag_1", 0)]
    second = [world.packet("tag_0", 4), world.packet("tag_0", 0)]
    one = source.offer(encode_packets(first), BINARY, "a")
    two = source.offer(encode_packets(second), BINARY, "a")
    batch = source.next_batch(NOW)
    block = batch.blocks[Kind.LPS]
    reasons = np.zeros(len(block), np.uint8)
    seen: set[tuple[int, int]] = set()
    for row, key in enumerate(zip(block.device.tolist(), block.seq.tolist(), strict=True)):
        reasons[row] = Reason.DUPLICATE if key in seen else Reason.NONE
        seen.add(key)
    source.settled(batch, {Kind.LPS: reasons})
    assert [a["reason"] for a in one.result(0)] == ["none", "none"]
    assert [a["reason"] for a in two.result(0)] == ["none", "duplicate"]
    assert [a["accepted_rows"] for a in two.result(0)] == [4, 0]


def test_a_sender_that_finds_the_queue_full_is_told_to_try_again() -> None:
    source = push(bound=2)
    payload = encode_packets([world.packet()])
    tickets = [source.offer(payload, BINARY, "a") for _ in range(3)]
    assert [ticket.done() for ticket in tickets] == [False, False, True]
    assert tickets[2].result(0)[0]["reason"] == "retry"
    assert source.progress()["queue_refused"] == 1


def test_ten_megabytes_of_noise_are_one_counted_refusal_with_their_head() -> None:
    source = push()
    noise = np.random.default_rng(7).bytes(10 << 20)
    for content_type in (BINARY, "application/json", "application/vnd.apache.arrow.stream"):
        ticket = source.offer(noise, content_type, "a")
        batch = source.next_batch(NOW)
        source.settled(batch, {})
        assert batch.rows == 0
        assert sum(batch.refused.values()) >= 1, content_type
        assert not any(answer["accepted"] for answer in ticket.result(0))
        assert all(len(r.payload) <= 4096 for r in source.take_refusals())


def test_a_payload_over_the_limit_is_refused_as_oversize() -> None:
    source = push()
    ticket = source.offer(b"\0" * (MAX_PAYLOAD_BYTES + 1), BINARY, "a")
    batch = source.next_batch(NOW)
    source.settled(batch, {})
    assert batch.refused == {"oversize": 1}
    assert ticket.result(0)[0]["reason"] == "oversize"


def test_a_decoder_that_fails_costs_one_payload_and_no_more() -> None:
    def broken(_: int) -> None:
        raise RuntimeError("decoder")

    source = push()
    source.inbox.offer(Arrival(broken, NOW), 1)  # type: ignore[arg-type]
    source.offer(encode_packets([world.packet()]), BINARY, "a")
    batch = source.next_batch(NOW)
    assert batch.refused == {"decoder": 1}
    assert batch.rows == 4


def test_closing_tells_everybody_who_waits_to_try_again() -> None:
    source = push()
    handed = source.offer(encode_packets([world.packet()]), BINARY, "a")
    source.next_batch(NOW)
    queued = source.offer(encode_packets([world.packet(seq=4)]), BINARY, "a")
    done = Event()
    queued.add_done_callback(lambda _: done.set())
    source.close()
    assert handed.result(0)[0]["reason"] == queued.result(0)[0]["reason"] == "retry"
    assert done.is_set()
    assert source.done


def test_a_verdict_is_about_its_own_kind_where_one_device_has_several() -> None:
    """Counters of the kinds overlap in a body of a second, and its rows are interleaved."""
    roster = world.roster()
    devices = tuple(replace(one, device_id=one.device_id.split("_")[1]) for one in roster.devices)
    roster = replace(roster, devices=devices)
    clock = ArrivalClock(lambda: NOW, False)
    source = PushSource("http", index_of(roster), clock, lambda: None, lambda: NOW, 8)
    order = np.argsort(np.tile(np.arange(40), 2), kind="stable")
    many = {
        kind: concat_blocks([
            replace(world.block(40, device=device, seq=seq), kind=kind, values=values(kind, 40))
            for device in (first, first + 2)
        ]).take(order)
        for kind, first, seq in ((Kind.IMU, 1, 5), (Kind.LPS, 0, 0))
    }
    many[Kind.LPS] = many[Kind.LPS].take(slice(0, 20))
    late = many[Kind.IMU].take(np.r_[2:80, 0:2])  # the first of each came last
    ids = [device.device_id for device in roster.devices]
    ticket = source.offer(
        encode_blocks({Kind.LPS: many[Kind.LPS], Kind.IMU: late}, ids), ARROW, "gateway"
    )
    batch = source.next_batch(NOW)
    verdicts = {kind: np.zeros(len(block), np.uint8) for kind, block in batch.blocks.items()}
    verdicts[Kind.IMU][:] = Reason.DUPLICATE
    source.settled(batch, verdicts)
    found = [(v["rows"], v["accepted_rows"], v["reason"]) for v in ticket.result(0)]
    assert found == [(10, 10, "none")] * 2 + [(40, 0, "duplicate")] * 2


def values(kind: Kind, rows: int) -> np.ndarray:
    return np.zeros((len(KINDS[kind].channels), rows), np.float32)
