"""The three ways into a live venue, from the sender's side: HTTP, signed UDP, Flight with mTLS.

Each takes the rows of one slice and returns the venue's verdicts on them, one per packet; UDP has
no answers. What finds the venue full is sent again, a bounded number of times.
"""

import http.client
import json
import socket
import time
from collections.abc import Callable
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

import pyarrow.flight as flight
from pyarrow import ArrowException

from jobs.gateway import Gateway
from jobs.send_packets import DATAGRAM_BYTES, datagrams_of, packets_of
from models.errors import AccessError, TouchlineError
from models.policies.link_policy import Body
from models.telemetry.arrow import to_arrow
from models.telemetry.block import SampleBlock
from models.telemetry.dense import ENCODING, densified
from models.telemetry.ingest import encode_blocks
from models.telemetry.json_codec import encode_json
from models.telemetry.kinds import Kind
from models.telemetry.packet import encode_packets
from models.telemetry.roster import Roster

Blocks = dict[Kind, SampleBlock]
Answer = list[dict[str, Any]]

TRIES: Final = 10
WAIT_S: Final = 1.0
TIMEOUT_S: Final = 30.0
BURST: Final = 32
_CONTENT: Final = {
    "arrow": "application/vnd.apache.arrow.stream", "json": "application/json",
    "binary": "application/octet-stream",
}


class SendError(TouchlineError):
    """The venue could not be reached, or refused a payload as a whole."""


class NotTakenError(SendError):
    """The venue could not be reached, or stayed full: what was sent may be taken later."""


class Way(Protocol):
    """`retries` counts payloads that were sent again because the venue was full; `sent_bytes` what
    was sent and taken, `plain_bytes` what that would have been in plain bodies."""

    retries: int
    sent_bytes: int
    plain_bytes: int

    def send(self, blocks: Blocks, body: Body = Body.PLAIN) -> Answer:
        """Verdicts in the order of the packets. Only HTTP has dense bodies. Raises NotTakenError,
        SendError, AccessError."""
        ...

    def close(self) -> None: ...


class HttpWay:
    """One connection that is kept; `speed` scales the rates of packets (json and binary)."""

    def __init__(
        self, url: str, gateway: Gateway, roster: Roster, form: str = "arrow", speed: float = 1.0,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise SendError(f"{url!r} is no address such as http://127.0.0.1:8000")
        kind = http.client.HTTPSConnection if parts.scheme == "https" else (
            http.client.HTTPConnection
        )
        self._url = url
        self._connection = kind(parts.hostname, parts.port, timeout=TIMEOUT_S)
        self._path = f"{parts.path.rstrip('/')}/v1/ingest/{roster.venue_id}"
        self._gateway, self._roster, self._speed = gateway, roster, speed
        self._form, self._wait = form, wait
        self._token = gateway.token()
        self.retries = self.sent_bytes = self.plain_bytes = 0

    def send(self, blocks: Blocks, body: Body = Body.PLAIN) -> Answer:
        plain = self._encode(blocks)
        payload = densified(plain) if body == Body.DENSE else plain
        renewed = False
        for _ in range(TRIES):
            status, after_s, found = self._post(payload, body)
            if status == 202:
                self.sent_bytes += len(payload)
                self.plain_bytes += len(plain)
                return list(found["verdicts"])
            detail = f"{self._url}{self._path}: {status} {found.get('detail', '')}".strip()
            if status == 401 and not renewed:
                self._token, renewed = self._gateway.token(), True
            elif status in (401, 403):
                raise AccessError(detail)
            elif status in (429, 503):
                self.retries += 1
                self._wait(after_s)
            else:
                raise SendError(detail)
        raise NotTakenError(f"{detail} (given up after {TRIES} tries)")

    def close(self) -> None:
        self._connection.close()

    def _encode(self, blocks: Blocks) -> bytes:
        if self._form == "arrow":
            ids = [device.device_id for device in self._roster.devices]
            return encode_blocks(blocks, ids)
        packets = [p for b in blocks.values() for p in packets_of(b, self._roster, self._speed)]
        return encode_json(packets) if self._form == "json" else encode_packets(packets)

    def _post(self, payload: bytes, body: Body) -> tuple[int, float, dict[str, Any]]:
        """(status, seconds to wait, document); one more connection when the kept one is gone."""
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": _CONTENT[self._form]}
        if body == Body.DENSE:
            headers["Content-Encoding"] = ENCODING
        for again in (True, False):
            try:
                self._connection.request("POST", self._path, payload, headers)
                answer = self._connection.getresponse()
                text = answer.read()
                break
            except (OSError, http.client.HTTPException) as error:
                self._connection.close()
                if not again:
                    detail = f"{self._url}: {error or type(error).__name__}"
                    raise NotTakenError(detail) from error
        after = answer.getheader("Retry-After") or ""
        try:
            found = json.loads(text)
        except ValueError:
            found = {"detail": text[:200].decode(errors="replace")}
        return answer.status, float(after) if after.isdecimal() else WAIT_S, found


class UdpWay:
    """Signed datagrams. Nobody answers: what came of them is in the venue's account."""

    retries = 0

    def __init__(
        self, address: str, gateway: Gateway, roster: Roster, speed: float = 1.0,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        self._address = host_port(address)
        self._key = gateway.datagram_key()
        self._roster, self._speed, self._wait = roster, speed, wait
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._sent = self.sent_bytes = self.plain_bytes = 0

    def send(self, blocks: Blocks, body: Body = Body.PLAIN) -> Answer:
        packets = [p for b in blocks.values() for p in packets_of(b, self._roster, self._speed)]
        room = DATAGRAM_BYTES - len(self._key.sign(b""))
        for datagram in datagrams_of(packets, room):
            try:
                self._socket.sendto(datagram + self._key.sign(datagram), self._address)
            except OSError as error:
                raise SendError(f"udp {self._address}: {error.strerror}") from error
            self._sent += 1
            self.sent_bytes += len(datagram)
            self.plain_bytes += len(datagram)
            if self._sent % BURST == 0:
                # The receiver's socket buffer is small, and full speed is faster than any reader.
                self._wait(0.001)
        return []

    def close(self) -> None:
        self._socket.close()


class FlightWay:
    """One stream per kind, all of them open as long as this is."""

    def __init__(
        self, address: str, gateway: Gateway, roster: Roster,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        self._address = address
        own = gateway.certificate()
        host, port = host_port(address)
        self._client = flight.connect(
            flight.Location.for_grpc_tls(host, port), tls_root_certs=own.ca,
            cert_chain=own.certificate, private_key=own.key,
        )
        self._ids = [device.device_id for device in roster.devices]
        self._descriptor = flight.FlightDescriptor.for_path(roster.venue_id)
        self._streams: dict[Kind, tuple[Any, Any]] = {}
        self._wait = wait
        self.retries = self.sent_bytes = self.plain_bytes = 0

    def send(self, blocks: Blocks, body: Body = Body.PLAIN) -> Answer:
        left, found = dict(blocks), []
        try:
            for _ in range(TRIES):
                answers = self._put(left)
                full = [kind for kind, answer in answers.items() if _full(answer)]
                found += [v for kind, a in answers.items() if kind not in full for v in a]
                left = {kind: left[kind] for kind in full}
                if not left:
                    return found
                self.retries += len(left)
                self._wait(WAIT_S)
        except (flight.FlightUnauthorizedError, flight.FlightUnauthenticatedError) as error:
            raise AccessError(f"flight {self._address}: {_first_line(error)}") from error
        except (flight.FlightError, ArrowException, OSError) as error:
            raise SendError(f"flight {self._address}: {_first_line(error)}") from error
        raise NotTakenError(f"flight {self._address}: no room for {TRIES} tries")

    def close(self) -> None:
        for writer, _ in self._streams.values():
            try:
                writer.close()
            except (flight.FlightError, ArrowException, OSError):
                continue  # the venue is gone already
        self._client.close()

    def _put(self, blocks: Blocks) -> dict[Kind, Answer]:
        """Write to all streams first, then read: the venue works on all of them at once."""
        for kind, block in blocks.items():
            batch = to_arrow(block, self._ids)
            if kind not in self._streams:
                self._streams[kind] = self._client.do_put(self._descriptor, batch.schema)
            self._streams[kind][0].write_batch(batch)
            self.sent_bytes += batch.nbytes
            self.plain_bytes += batch.nbytes
        return {kind: self._read(self._streams[kind][1]) for kind in blocks}

    def _read(self, reader: Any) -> Answer:
        answer = reader.read()
        if answer is None:
            raise SendError(f"flight {self._address}: the venue has closed the stream")
        return list(json.loads(answer.to_pybytes())["verdicts"])


def host_port(address: str) -> tuple[str, int]:
    """`host:port`. Raises SendError."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65_535:
        raise SendError(f"{address!r} is no address such as 127.0.0.1:5600")
    return host, int(port)


def _full(answer: Answer) -> bool:
    return len(answer) == 1 and answer[0].get("reason") == "retry"


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0][:300]
