"""The HTTP side of webhooks: posts shipments from threads of its own, and says what came of each.

Follows no redirect, reads no more than the head of an answer, and gives up after `timeout_s`. What
an answer means is `models.policies.delivery`'s to say.
"""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from queue import Empty, SimpleQueue
from typing import Final

import urllib3

from actors.webhook_ports import Answer, Shipment
from models.events.envelope import EVENT_TYPE
from models.policies.delivery import Outcome, outcome_of

TIMEOUT_S: Final = 5.0
THREADS: Final = 64
"""As many as there may be webhooks: one that fails has one attempt under way."""
AGENT: Final = "touchline-webhooks/1"


class HttpSender:
    """`now_s` is the wall clock, which receivers compare with theirs."""

    def __init__(
        self, timeout_s: float = TIMEOUT_S, now_s: Callable[[], float] = time.time
    ) -> None:
        self._timeout = urllib3.Timeout(total=timeout_s)
        self._now_s = now_s
        self._http = urllib3.PoolManager(num_pools=THREADS, maxsize=THREADS)
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="webhook")
        self._answers: SimpleQueue[Answer] = SimpleQueue()

    def send(self, shipment: Shipment) -> None:
        """See `Sender`. What waits is bounded: a lane has one shipment on its way."""
        self._threads.submit(self._post, shipment)

    def poll(self) -> list[Answer]:
        """See `Sender`."""
        found: list[Answer] = []
        while True:
            try:
                found.append(self._answers.get_nowait())
            except Empty:
                return found

    def close(self) -> None:
        """End the threads without waiting for receivers that hang."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._http.clear()

    def _post(self, shipment: Shipment) -> None:
        self._answers.put(self.attempt(shipment))

    def attempt(self, shipment: Shipment) -> Answer:
        """One attempt, here and now. Never raises."""
        key, number = shipment.key, shipment.number
        try:
            response = self._http.request(
                "POST", shipment.subscription.url, body=shipment.message.body,
                headers={
                    **shipment.headers(int(self._now_s())), "content-type": EVENT_TYPE,
                    "user-agent": AGENT,
                },
                timeout=self._timeout, retries=False, redirect=False, preload_content=False,
            )
        except Exception as error:  # whatever a network throws; the URL is nobody else's business
            return Answer(key, number, Outcome.AWAY, type(error).__name__)
        try:
            status = response.status
            wait_s = _seconds(response.headers.get("retry-after", ""))
        finally:
            _let_go(response)
        return Answer(key, number, outcome_of(status), f"HTTP {status}", wait_s)


def _let_go(response: urllib3.BaseHTTPResponse) -> None:
    """What a receiver says in a body is never read, so its connection can serve no other attempt;
    that of an answer without any can."""
    if response.status == 204 or response.headers.get("content-length") == "0":
        response.drain_conn()
    else:
        response.close()


def _seconds(text: str) -> float:
    """A `Retry-After` in seconds; a date, or what is neither, counts as none."""
    return float(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0.0
