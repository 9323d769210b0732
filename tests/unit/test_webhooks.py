"""Webhooks: at least once, in order, each receiver by itself, and only what it may see."""

import json
from dataclasses import replace

import pytest

from models.policies.delivery import Outcome
from tests.unit.fakes_webhook import CONFIG, Hooks, Receivers, subscription


def hooks_of(*names: str, **more) -> Hooks:
    return Hooks([subscription(name, **more) for name in names])


def test_each_receiver_gets_every_event_once_and_in_order():
    hooks = hooks_of("a", "b")
    ids = hooks.put("sprint", 150)
    hooks.run(12)
    assert hooks.receivers.ids("a") == hooks.receivers.ids("b") == ids
    assert hooks.cursor("a") == hooks.cursor("b") == 150
    assert hooks.webhooks.settled()
    assert hooks.webhooks.latency.count == 300


def test_a_receiver_gets_what_its_role_may_see_and_the_types_that_it_wants():
    hooks = Hooks([
        subscription("board", "medical"), subscription("risk", "betting"),
        subscription("desk", "medical", types=frozenset({"shot"})),
    ])
    seen = [hooks.put(kind)[0] for kind in ("sprint", "fatigue_red", "shot", "man_down")]
    hooks.run()
    assert hooks.receivers.ids("board") == seen
    assert hooks.receivers.ids("risk") == [seen[0], seen[2]]
    assert hooks.receivers.ids("desk") == [seen[2]]
    assert [hooks.cursor(name) for name in ("board", "risk", "desk")] == [4, 4, 4]
    assert hooks.webhooks.stats()["webhooks"]["risk"]["passed_over"] == 2


def test_health_is_cut_out_of_what_betting_gets():
    hooks = Hooks([subscription("risk", "betting"), subscription("board", "medical")])
    hooks.put("sprint", metrics={"length_m": 12.0, "hr_bpm": 171.0})
    hooks.run()
    ((_, risk),), ((_, board),) = hooks.receivers.taken["risk"], hooks.receivers.taken["board"]
    assert risk["data"]["metrics"] == {"length_m": 12.0}
    assert board["data"]["metrics"] == {"length_m": 12.0, "hr_bpm": 171.0}
    assert risk["specversion"] == "1.0"
    assert "171" not in json.dumps(risk)


def test_only_venues_of_the_receiver_are_sent():
    hooks = Hooks([subscription("a", venues=("v2",)), subscription("b")])
    one, two = hooks.put("shot", venue="v1"), hooks.put("shot", venue="v2")
    hooks.run()
    assert hooks.receivers.ids("a", "v1") == []
    assert hooks.receivers.ids("a", "v2") == hooks.receivers.ids("b", "v2") == two
    assert hooks.receivers.ids("b", "v1") == one


def test_one_that_is_away_is_tried_ever_more_seldom_and_the_others_go_on():
    hooks = hooks_of("up", "down")
    hooks.receivers.says["down"] = Outcome.AWAY
    ids = hooks.put("sprint", 20)
    hooks.run(30)
    assert hooks.receivers.ids("up") == ids
    tries = [one for one in hooks.receivers.sent if one.key[0] == "down"]
    assert len(tries) == 6  # after 0, 1, 3, 7, 15 and 23 s
    assert {one.message.event_id for one in tries} == {ids[0]}
    assert hooks.cursor("down") == 0
    assert hooks.webhooks.settled()
    hooks.receivers.says.clear()
    hooks.run(15)
    assert hooks.receivers.ids("down") == ids
    assert hooks.notes() == ["webhook_failing", "webhook_recovered"]


def test_what_a_receiver_asks_to_wait_is_waited():
    hooks = hooks_of("a")
    hooks.receivers.says["a"], hooks.receivers.wait_s = Outcome.AWAY, 25.0
    hooks.put("shot")
    hooks.run(24)
    assert len(hooks.receivers.sent) == 1
    hooks.run(2)
    assert len(hooks.receivers.sent) == 2


def test_a_refused_event_is_dead_after_its_tries_and_what_follows_comes_through():
    hooks = hooks_of("a")
    ids = hooks.put("sprint", 3)
    hooks.receivers.refuses = {ids[1]}
    hooks.run(20)
    assert hooks.receivers.ids("a") == [ids[0], ids[2]]
    (dead,) = hooks.dead("a")
    assert (dead["event_id"], dead["offset"], dead["tries"]) == (ids[1], 1, 3)
    assert dead["reason"].startswith("refused")
    assert "ath_1" not in json.dumps(dead)
    assert hooks.notes() == ["webhook_dead_letter"]


def test_one_that_refuses_is_not_waited_for():
    hooks = hooks_of("a", "b")
    ids = hooks.put("sprint", 2)
    hooks.receivers.refuses = {ids[0]}
    hooks.webhooks.step()
    assert not hooks.webhooks.settled()
    hooks.run(0.5)
    assert hooks.dead("a") == []
    assert hooks.webhooks.settled()


def test_an_event_at_which_a_receiver_fails_for_too_long_is_dead():
    hooks = hooks_of("a")
    ids = hooks.put("sprint", 2)
    hooks.receivers.says["a"] = Outcome.AWAY
    hooks.run(CONFIG.give_up_s + 10)
    hooks.receivers.says.clear()
    hooks.run(10)
    assert [one["event_id"] for one in hooks.dead("a")] == [ids[0]]
    assert hooks.receivers.ids("a") == [ids[1]]


def test_one_that_is_gone_is_told_nothing_more_and_an_operator_is():
    hooks = hooks_of("a")
    hooks.receivers.says["a"] = Outcome.GONE
    hooks.put("sprint", 3)
    hooks.run(10)
    assert len(hooks.receivers.sent) == 1
    assert hooks.notes() == ["webhook_stopped"]
    assert hooks.webhooks.stats()["webhooks"]["a"]["state"] == "stopped"
    assert hooks.cursor("a") == 0
    hooks.receivers.says.clear()
    hooks.start()
    hooks.run()
    assert len(hooks.receivers.ids("a")) == 3


@pytest.mark.parametrize("at", [0, 1, 3])
def test_a_life_that_ends_anywhere_repeats_at_most_what_had_no_cursor_yet(at):
    hooks = hooks_of("a")
    ids = hooks.put("sprint", 40)
    for _ in range(12):
        hooks.run(at * 0.05)
        hooks.start()
    hooks.run(5)
    got = hooks.receivers.ids("a")
    assert list(dict.fromkeys(got)) == ids
    assert hooks.cursor("a") == 40


def test_a_log_that_is_away_is_asked_again_and_nothing_is_lost():
    hooks = hooks_of("a")
    ids = hooks.put("sprint", 3)
    hooks.receivers.refuses = {ids[0]}
    hooks.log.down = True
    hooks.run(10)
    assert hooks.dead("a") == []
    assert hooks.receivers.ids("a") == []
    assert "LogError" in hooks.webhooks.error
    assert not hooks.webhooks.settled()
    hooks.log.down = False
    hooks.run(5)
    assert [one["event_id"] for one in hooks.dead("a")] == [ids[0]]
    assert hooks.receivers.ids("a") == ids[1:]


def test_a_dead_letter_is_written_once_whatever_the_log_says():
    """Its append works, the answer is lost, and the life ends before the cursor is moved."""
    hooks = hooks_of("a")
    ids = hooks.put("sprint", 2)
    hooks.receivers.refuses = {ids[0]}
    hooks.log.lossy = True
    hooks.run(8)
    hooks.log.lossy = False
    hooks.start()
    hooks.run(8)
    assert len(hooks.dead("a")) == 1
    assert hooks.receivers.ids("a") == [ids[1]]


def test_an_attempt_without_an_answer_is_given_up_and_a_late_answer_is_not_heard():
    hooks = Hooks([subscription("a")], replace(CONFIG, give_up_s=600.0))
    ids = hooks.put("sprint", 2)
    hooks.receivers.holds = True
    hooks.run(62)
    assert len(hooks.receivers.sent) == 2
    hooks.receivers.says["a"] = Outcome.GONE
    hooks.receivers.deliver()
    hooks.run(1)
    assert hooks.webhooks.stats()["webhooks"]["a"]["state"] == "failing"
    hooks.receivers.says.clear()
    hooks.receivers.holds = False
    hooks.receivers.deliver()
    hooks.run(3)
    assert hooks.receivers.ids("a") == ids


def test_what_is_on_its_way_to_one_receiver_is_bounded_and_venues_take_turns():
    hooks = hooks_of("a")
    for venue in ("v1", "v2", "v3"):
        hooks.put("sprint", 5, venue=venue)
    hooks.receivers.holds = True
    hooks.run(2)
    assert len(hooks.receivers.held) == CONFIG.abreast
    order = []
    for _ in range(15):
        order.append(hooks.receivers.held[0].key[1])
        hooks.receivers.deliver()
        hooks.run(0.2)
    assert sorted(order[:3]) == ["v1", "v2", "v3"]
    assert all(len(hooks.receivers.ids("a", venue)) == 5 for venue in ("v1", "v2", "v3"))


def test_events_that_were_trimmed_unread_are_counted_and_told_with_their_range():
    hooks = hooks_of("a")
    hooks.receivers.says["a"] = Outcome.AWAY
    hooks.put("sprint", 10)
    hooks.run(3)
    hooks.log.trim("events/v1", 6)
    hooks.receivers.says.clear()
    hooks.start()
    hooks.run(3)
    assert len(hooks.receivers.ids("a")) == 4
    (told,) = [d for d in hooks.webhooks.decisions.recent if d["action"] == "webhook_missed"]
    assert told["detail"] == {"webhook": "a", "venue": "v1", "from": 0, "to": 6}
    assert hooks.webhooks.stats()["webhooks"]["a"]["missed"] == 6


@pytest.mark.parametrize("payload", [
    b"", b"{", b"[]", b"null", b'{"data": {}}', b'{"data": 3}', b"[" * 20_000, b"\xff\xfe",
])
def test_a_record_that_is_no_event_is_passed_over_and_counted(payload):
    from cluster.eventlog.port import Record

    hooks = hooks_of("a")
    hooks.log.append("events/v1", [Record("odd", 0, 0, payload)], 0)
    ids = hooks.put("shot")
    hooks.run()
    assert hooks.receivers.ids("a") == ids
    assert hooks.webhooks.stats()["webhooks"]["a"]["unreadable"] == 1
    assert hooks.cursor("a") == 2


def test_neither_address_nor_secret_is_in_what_is_told():
    hooks = hooks_of("a")
    hooks.receivers.says["a"] = Outcome.AWAY
    hooks.put("shot")
    hooks.run(10)
    told = json.dumps(hooks.webhooks.stats()) + repr(hooks.subscriptions) + repr(
        hooks.receivers.sent
    )
    assert "127.0.0.1" not in told
    assert "sssss" not in told


def test_without_venues_there_is_nothing_to_do():
    hooks = Hooks([subscription("a")])
    hooks.run()
    assert isinstance(hooks.receivers, Receivers)
    assert hooks.webhooks.settled()
    assert hooks.receivers.sent == []
