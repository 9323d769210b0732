"""Webhook signatures: those of the standard's own library (standardwebhooks 1.1.0), no others."""

import pytest

from models.errors import AccessError
from models.events.webhook import (
    ID,
    SIGNATURE,
    TIMESTAMP,
    secret_from,
    secret_text,
    signed,
    verified,
)

SECRET = bytes(range(32))
EVENT_ID, AT_S, BODY = "4f0c2b1de9a84c3b8f0f5e6d7c8b9a01", 1614265330, b'{"test": 2432232314}'
VECTORS = [
    (SECRET, EVENT_ID, AT_S, BODY, "v1,bla36BNERB2enpYk5D7oINTlEcwIeK1Cz5XsUEy04Ck="),
    (b"k" * 24, "ping-1", 1767376800, b"", "v1,kArn5PdpX/vzQ+QhhKvugqUxofbjgmkR7ygZRroeByc="),
]


@pytest.mark.parametrize(("secret", "message_id", "at_s", "body", "wanted"), VECTORS)
def test_signatures_are_those_of_the_reference(secret, message_id, at_s, body, wanted):
    headers = signed(secret, message_id, at_s, body)
    assert headers == {ID: message_id, TIMESTAMP: str(at_s), SIGNATURE: wanted}
    assert verified(secret, headers, body, at_s + 299) == message_id


def test_a_secret_comes_back_from_its_text_and_the_text_is_the_standards():
    assert secret_text(SECRET) == "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
    assert secret_from(secret_text(SECRET) + "\n") == SECRET


@pytest.mark.parametrize("text", ["", "whsec_", "whsec_AAEC", "whsec_" + "A" * 400, "whsec_é*"])
def test_what_is_no_secret_is_refused_and_not_repeated(text):
    with pytest.raises(AccessError) as refused:
        secret_from(text)
    assert len(text) < 8 or text[6:] not in str(refused.value)


@pytest.mark.parametrize("change", [
    {ID: "other"}, {TIMESTAMP: str(AT_S + 1)}, {TIMESTAMP: "soon"}, {SIGNATURE: ""},
    {SIGNATURE: "v1,AAAA v1a,BBBB"}, {SIGNATURE: "é"},
])
def test_a_changed_header_is_noticed(change):
    with pytest.raises(AccessError):
        verified(SECRET, signed(SECRET, EVENT_ID, AT_S, BODY) | change, BODY, AT_S)


def test_another_body_another_secret_and_another_time_are_noticed():
    headers = signed(SECRET, EVENT_ID, AT_S, BODY)
    for secret, body, now_s in (
        (SECRET, BODY + b" ", AT_S), (b"k" * 24, BODY, AT_S), (SECRET, BODY, AT_S + 301),
        (SECRET, BODY, AT_S - 301),
    ):
        with pytest.raises(AccessError):
            verified(secret, headers, body, now_s)


def test_of_several_signatures_one_is_enough():
    """While a secret is replaced a sender signs with both."""
    headers = signed(SECRET, EVENT_ID, AT_S, BODY)
    other = signed(b"k" * 24, EVENT_ID, AT_S, BODY)[SIGNATURE]
    both = headers | {SIGNATURE: f"{other} {headers[SIGNATURE]}"}
    assert verified(SECRET, both, BODY, AT_S) == EVENT_ID
