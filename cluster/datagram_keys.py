"""Keys by which a gateway signs its datagrams: HMAC-SHA256, one secret file per venue and gateway.

The signature (32 bytes) covers the venue's and the gateway's names too, so that a datagram cannot
be moved to another venue. Replayed datagrams are caught by sequence numbers, not here.
"""

import hashlib
import hmac
import re
import secrets
from pathlib import Path
from typing import Final

from cluster.private_files import secret_file
from models.errors import AccessError

SIGNATURE_BYTES: Final = 32
_KEY_BYTES: Final = 32
_DOMAIN: Final = b"touchline-datagram-1"
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


class DatagramKey:
    """Signs and verifies the datagrams of one gateway of one venue."""

    def __init__(self, secret: bytes, venue_id: str, gateway: str) -> None:
        if len(secret) != _KEY_BYTES:
            raise AccessError(f"the key of gateway {gateway} is not {_KEY_BYTES} bytes long")
        prefix = b"\0".join((_DOMAIN, venue_id.encode(), gateway.encode(), b""))
        self._mac = hmac.new(secret, prefix, hashlib.sha256)

    def sign(self, payload: bytes) -> bytes:
        """The signature to put behind `payload`."""
        mac = self._mac.copy()
        mac.update(payload)
        return mac.digest()

    def verify(self, payload: bytes, signature: bytes) -> bool:
        """Whether the gateway has signed `payload`; takes the same time whatever the answer."""
        return hmac.compare_digest(self.sign(payload), signature)


def open_datagram_key(key_dir: Path | str, venue_id: str, gateway: str) -> DatagramKey:
    """The key of a gateway; made on first use. Raises AccessError."""
    if not _NAME.fullmatch(venue_id) or not _NAME.fullmatch(gateway):
        raise AccessError(f"{venue_id!r}, {gateway!r}: not names of a venue and a gateway")
    path = Path(key_dir) / "gateways" / venue_id / f"{gateway}.key"
    try:
        secret = secret_file(path, lambda: secrets.token_bytes(_KEY_BYTES))
    except OSError as error:
        raise AccessError(f"{path}: {error.strerror}") from error
    return DatagramKey(secret, venue_id, gateway)
