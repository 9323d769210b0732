"""A gateway that keeps every packet until it is acknowledged, whatever happens to the venue.

It posts one packet after the other over HTTP, in a thread, and tries again after an error, a
timeout or a "retry", as a device gateway must. `acknowledged` is what it may forget.
"""

import http.client
import threading
import time
from collections import deque

from models.telemetry.packet import encode_packet
from tests.e2e.live_world import LiveVenue
from tests.unit import source_world as world

ROWS = 2
EVERY_S = 0.1
TAKEN = ("none", "duplicate")


class SpoolingGateway:
    """Sends a packet of `device` every `EVERY_S`."""

    def __init__(self, venue: LiveVenue, device: str = "tag_0") -> None:
        self.venue, self.device = venue, device
        self.acknowledged: list[tuple[int, int]] = []
        """(first counter of the packet, ns at which it was acknowledged)."""
        self.refused: list[tuple[int, str]] = []
        self.errors = 0
        self._spool: deque[tuple[int, bytes]] = deque()
        self._made = 0
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=run, daemon=True) for run in (self._make, self._send)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def finish(self, limit_s: float = 90.0) -> None:
        """Make no more packets, and wait until all of them are acknowledged."""
        self._stop.set()
        for thread in self._threads:
            thread.join(limit_s)
        assert not any(thread.is_alive() for thread in self._threads), len(self._spool)

    def counters(self) -> set[int]:
        """Counters of all acknowledged rows."""
        return {seq + row for seq, _ in self.acknowledged for row in range(ROWS)}

    def _make(self) -> None:
        while not self._stop.wait(EVERY_S):
            packet = world.packet(self.device, self._made, ROWS, time.time_ns())
            self._spool.append((self._made, encode_packet(packet)))
            self._made += ROWS

    def _send(self) -> None:
        while self._spool or not self._stop.is_set():
            if not self._spool:
                time.sleep(0.01)
                continue
            seq, payload = self._spool[0]
            reason = self._offer(payload)
            if reason in TAKEN:
                self.acknowledged.append((seq, time.time_ns()))
                self._spool.popleft()
            elif reason:
                self.refused.append((seq, reason))
                self._spool.popleft()
            else:
                self.errors += 1
                time.sleep(0.1)

    def _offer(self, payload: bytes) -> str:
        """The verdict's reason; empty when the packet is to be tried again."""
        try:
            status, found = self.venue.post(payload)
        except (OSError, http.client.HTTPException, ValueError):
            return ""
        if status != 202:
            return ""
        (verdict,) = found["verdicts"]
        return "" if verdict["reason"] == "retry" else str(verdict["reason"])


