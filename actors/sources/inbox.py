"""A bounded queue between the threads that receive and the one loop that makes durable.

Bounded by items and by bytes; what does not fit is refused at once, so that the sender learns it.
"""

import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Inbox(Generic[Item]):
    """First in, first out. `refused` counts what found it full."""

    def __init__(self, max_items: int, max_bytes: int, wake: Callable[[], None]) -> None:
        assert min(max_items, max_bytes) > 0, (max_items, max_bytes)
        self._max_items = max_items
        self._max_bytes = max_bytes
        self._wake = wake
        self._lock = threading.Lock()
        self._items: deque[tuple[Item, int]] = deque()
        self._bytes = 0
        self._open = True
        self.refused = 0

    def offer(self, item: Item, size_bytes: int) -> bool:
        """Queue `item`; False when it is full or closed. A lone item may exceed the byte bound."""
        with self._lock:
            full = len(self._items) >= self._max_items or (
                self._items and self._bytes + size_bytes > self._max_bytes
            )
            if full or not self._open:
                self.refused += 1
                return False
            self._items.append((item, size_bytes))
            self._bytes += size_bytes
        self._wake()
        return True

    def take(self) -> Item | None:
        """The oldest item, or None when empty."""
        with self._lock:
            if not self._items:
                return None
            item, size_bytes = self._items.popleft()
            self._bytes -= size_bytes
            return item

    def close(self) -> list[Item]:
        """Refuse everything from now on; what was still waiting."""
        with self._lock:
            self._open = False
            left = [item for item, _ in self._items]
            self._items.clear()
            self._bytes = 0
            return left

    @property
    def full(self) -> bool:
        return len(self._items) >= self._max_items or self._bytes >= self._max_bytes

    @property
    def depth(self) -> int:
        return len(self._items)

    @property
    def size_bytes(self) -> int:
        return self._bytes
