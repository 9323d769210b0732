"""Webhook messages as Standard Webhooks 1.0.0 has them: id, timestamp and signature in headers.

The signature is HMAC-SHA256 over `id.timestamp.body` with a secret that only sender and receiver
know; a receiver recomputes it, refuses timestamps that are minutes off, and remembers ids, since a
message may come more than once. Source: standardwebhooks.com, "Signature scheme".
"""

import hmac
from base64 import b64decode, b64encode
from hashlib import sha256
from typing import Final

from models.errors import AccessError

SECRET_PREFIX: Final = "whsec_"  # noqa: S105 - what a secret begins with
LEAST_SECRET_BYTES, MOST_SECRET_BYTES = 24, 64
ID, TIMESTAMP, SIGNATURE = "webhook-id", "webhook-timestamp", "webhook-signature"
TOLERANCE_S: Final = 300
"""So far may a receiver's clock be off."""


def secret_text(secret: bytes) -> str:
    """The form in which a secret of 24 to 64 bytes is handed to the receiver."""
    assert LEAST_SECRET_BYTES <= len(secret) <= MOST_SECRET_BYTES, len(secret)
    return SECRET_PREFIX + b64encode(secret).decode()


def secret_from(text: str) -> bytes:
    """The secret in `secret_text`. Raises AccessError, which does not tell what was read."""
    try:
        secret = b64decode(text.strip().removeprefix(SECRET_PREFIX), validate=True)
    except ValueError:
        secret = b""
    if not LEAST_SECRET_BYTES <= len(secret) <= MOST_SECRET_BYTES:
        raise AccessError("a webhook's secret is 24 to 64 bytes in base64, behind whsec_")
    return secret


def signed(secret: bytes, message_id: str, at_s: int, body: bytes) -> dict[str, str]:
    """The headers that go with `body`. at_s: seconds UTC of this attempt."""
    return {
        ID: message_id, TIMESTAMP: str(at_s), SIGNATURE: _signature(secret, message_id, at_s, body)
    }


def verified(secret: bytes, headers: dict[str, str], body: bytes, now_s: int) -> str:
    """The id of a message that is genuine and of these minutes. Raises AccessError.

    headers: with names in lower case.
    """
    try:
        message_id, at_s = headers[ID], int(headers[TIMESTAMP])
        told = headers[SIGNATURE].split()
    except (KeyError, ValueError) as error:
        raise AccessError("a webhook header is missing or not what it should be") from error
    if abs(now_s - at_s) > TOLERANCE_S:
        raise AccessError("the message was signed at another time")
    wanted = _signature(secret, message_id, at_s, body)
    if not any(hmac.compare_digest(wanted.encode(), one.encode()) for one in told):
        raise AccessError("the signature is not that of the message")
    return message_id


def _signature(secret: bytes, message_id: str, at_s: int, body: bytes) -> str:
    content = f"{message_id}.{at_s}.".encode() + body
    return "v1," + b64encode(hmac.new(secret, content, sha256).digest()).decode()
