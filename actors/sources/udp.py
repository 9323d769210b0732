"""Datagrams of device packets, signed by the venue's gateway.

A datagram is binary packets followed by the 32 bytes of HMAC-SHA256 over them. What is not signed
with the venue's key is refused as a whole (`Reason.IDENTITY`) before anything in it is read. UDP
has no back-pressure: a full inbox drops and counts, and so does the kernel's socket buffer, whose
drops are read from the socket itself.
"""

import socket
import struct
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from actors.sources.arrival import ArrivalClock
from actors.sources.inbox import Inbox
from actors.sources.live import MAX_INBOX_BYTES, Arrival, LiveSource
from models.errors import ConfigError
from models.telemetry.decoded import Decoded, refused_whole
from models.telemetry.devices import DeviceIndex
from models.telemetry.packet import decode_packets
from models.telemetry.raw import RawBatch
from models.telemetry.reasons import Reason

SIGNATURE_BYTES: Final = 32
MAX_DATAGRAM: Final = 65_535
RECEIVE_BUFFER: Final = 8 << 20
POLL_S: Final = 0.2
# Linux names this option only in its headers: each datagram then carries the drops so far.
_SO_RXQ_OVFL: Final = 40


class UdpSource(LiveSource):
    """`verify(payload, signature) -> bool` holds the venue's key."""

    type_name = "udp"

    def __init__(
        self, source_id: str, index: DeviceIndex, clock: ArrivalClock, wake: Callable[[], None],
        verify: Callable[[bytes, bytes], bool], host: str = "127.0.0.1", port: int = 0,
        queue_packets: int = 8_192, cursor: int = 0,
    ) -> None:
        inbox: Inbox[Arrival] = Inbox(queue_packets, MAX_INBOX_BYTES, wake)
        super().__init__(source_id, index, clock, inbox, cursor)
        self._verify = verify
        self._address = (host, port)
        self._socket: socket.socket | None = None
        self._thread: threading.Thread | None = None
        self._overflow_told = 0
        self.kernel_drops = 0
        self.datagrams = 0

    def start(self) -> None:
        """Bind and receive; ConfigError when the address cannot be had."""
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
            sock.setsockopt(socket.SOL_SOCKET, _SO_RXQ_OVFL, 1)
            sock.settimeout(POLL_S)
            sock.bind(self._address)
        except OSError as error:
            sock.close()
            host, port = self._address
            raise ConfigError(f"udp {host}:{port}: {error.strerror}") from error
        # Noted now: a closed socket does not say it, and `progress` is asked after the end too.
        self._address = sock.getsockname()
        self._socket = sock
        self._thread = threading.Thread(target=self._receive, name=self.source_id, daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        """host:port that it is bound to."""
        host, port = self._address
        return f"{host}:{port}"

    def next_batch(self, now_ns: int) -> RawBatch | None:
        batch = super().next_batch(now_ns)
        dropped = self.inbox.refused - self._overflow_told
        if batch is None or not dropped:
            return batch
        # Datagrams that found the inbox full were never read: each counts as one.
        self._overflow_told += dropped
        label = Reason.RATE.label
        refused = {**batch.refused, label: batch.refused.get(label, 0) + dropped}
        return RawBatch(batch.source_id, batch.cursor, batch.now_ns, batch.blocks, refused)

    def progress(self) -> dict[str, Any]:
        return {
            **super().progress(), "address": self.address, "datagrams": self.datagrams,
            "kernel_drops": self.kernel_drops,
        }

    def close(self) -> None:
        super().close()
        if self._thread is not None:
            self._thread.join(2 * POLL_S + 1.0)
        if self._socket is not None:
            self._socket.close()

    def _receive(self) -> None:
        sock = self._socket
        assert sock is not None
        while not self._closed:
            try:
                data, ancillary, _, _ = sock.recvmsg(MAX_DATAGRAM, 64)
            except TimeoutError:
                continue
            except OSError:
                # Loopback reports a peer's closed port here; only our own closing ends the feed.
                continue
            arrived_ns = time.time_ns()
            for level, kind, value in ancillary:
                if level == socket.SOL_SOCKET and kind == _SO_RXQ_OVFL:
                    self.kernel_drops = struct.unpack("I", value[:4])[0]
            self.datagrams += 1
            self.inbox.offer(Arrival(partial(self.decode, data), arrived_ns), len(data))

    def decode(self, data: bytes, t_ingest_ns: int) -> Decoded:
        """The packets of one datagram, or one refusal of it all."""
        if len(data) <= SIGNATURE_BYTES:
            return refused_whole(Reason.TRUNCATED, f"datagram of {len(data)} bytes", data)
        payload, signature = data[:-SIGNATURE_BYTES], data[-SIGNATURE_BYTES:]
        if not self._verify(payload, signature):
            return refused_whole(Reason.IDENTITY, "signature is not the venue's", data)
        return decode_packets(payload, self.index, t_ingest_ns)

