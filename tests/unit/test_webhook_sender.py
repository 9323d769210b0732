"""The HTTP side of webhooks against a real server on loopback."""

import socket
from dataclasses import replace

import pytest

from actors.webhook_ports import Message, Shipment
from actors.webhook_sender import HttpSender
from models.policies.delivery import Outcome
from tests.unit.fakes_webhook import SECRET, subscription
from tests.webhook_receiver import Receiver

BODY = b'{"specversion":"1.0","id":"e1","type":"io.touchline.shot.v1"}'


def shipment(url: str, event_id: str = "e1", number: int = 1) -> Shipment:
    to = replace(subscription("a"), url=url)
    return Shipment(("a", "v1"), number, to, Message(0, event_id, BODY, 0))


@pytest.fixture
def sender():
    made = HttpSender(timeout_s=1.0)
    yield made
    made.close()


def test_a_message_is_signed_and_the_receiver_can_verify_it(sender):
    with Receiver(SECRET) as receiver:
        answer = sender.attempt(shipment(receiver.url))
        assert answer == replace(answer, outcome=Outcome.TAKEN, detail="HTTP 204", number=1)
        ((path, headers, body),) = receiver.requests
    assert (path, body) == ("/hook", BODY)
    assert headers["content-type"] == "application/cloudevents+json"
    assert headers["webhook-id"] == "e1"
    assert (receiver.ids(), receiver.forged) == (["e1"], 0)


def test_a_receiver_with_another_secret_does_not_believe_it(sender):
    with Receiver(b"other" * 8) as receiver:
        assert sender.attempt(shipment(receiver.url)).outcome is Outcome.REFUSED
        assert receiver.forged == 1


@pytest.mark.parametrize(("status", "outcome"), [
    (200, "taken"), (400, "refused"), (410, "gone"), (429, "away"), (500, "away"), (503, "away"),
])
def test_statuses(sender, status, outcome):
    with Receiver(SECRET, [status], body=b"<p>a page that nobody reads</p>") as receiver:
        answer = sender.attempt(shipment(receiver.url))
    assert (str(answer.outcome), answer.detail) == (outcome, f"HTTP {status}")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(sender, status):
    with Receiver(SECRET) as other, Receiver(SECRET, [status]) as receiver:
        receiver.extra = {"location": other.url}
        assert sender.attempt(shipment(receiver.url)).outcome is Outcome.AWAY
        assert (len(receiver.requests), other.requests) == (1, [])


@pytest.mark.parametrize(("said", "wait_s"), [
    ("17", 17.0), ("0", 0.0), ("-5", 0.0), ("Fri, 27 Nov 2026 23:00:00 GMT", 0.0),
    ("9" * 40, 0.0), ("٣", 0.0), ("", 0.0),
])
def test_how_long_a_receiver_asks_to_wait(sender, said, wait_s):
    with Receiver(SECRET, [429], {"retry-after": said.encode().decode("latin-1")}) as receiver:
        assert sender.attempt(shipment(receiver.url)).wait_s == wait_s


def test_one_that_does_not_answer_or_is_not_there_is_away(sender):
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        port = deaf.getsockname()[1]
        silent = sender.attempt(shipment(f"http://127.0.0.1:{port}/"))
    gone = sender.attempt(shipment(f"http://127.0.0.1:{port}/"))
    assert silent.outcome is gone.outcome is Outcome.AWAY
    assert str(port) not in silent.detail + gone.detail


def test_connections_serve_again_where_the_answer_has_no_body(sender):
    with Receiver(SECRET) as receiver:
        for n in range(5):
            sender.attempt(shipment(receiver.url, f"e{n}"))
        assert len(receiver.peers) == 1
        receiver.body, receiver.answers = b"x" * 100, [200] * 5
        for n in range(5):
            assert sender.attempt(shipment(receiver.url, f"f{n}")).outcome is Outcome.TAKEN
        assert len(receiver.peers) == 5


def test_what_was_sent_has_one_answer_each(sender):
    with Receiver(SECRET) as receiver:
        for n in range(40):
            sender.send(shipment(receiver.url, f"e{n}", n))
        sender._threads.shutdown(wait=True)
        answers = sender.poll()
    assert sorted(one.number for one in answers) == list(range(40))
    assert sender.poll() == []
    sent = [headers["webhook-id"] for _, headers, _ in receiver.requests]
    assert sorted(sent) == sorted(f"e{n}" for n in range(40))
