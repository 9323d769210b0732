"""DueFlows: when the flows of a worker are to be stored next, without looking at all of them."""

from collections.abc import Callable
from heapq import heapify, heappop, heappush

from models.policies.assignment import Flow


class DueFlows:
    """Times are ns of one clock. Holds one entry a flow; those of flows that were set again or
    dropped stay in the heap until they are due, or until they are more than half of it."""

    def __init__(self) -> None:
        self._due_ns: dict[Flow, int] = {}
        self._heap: list[tuple[int, Flow]] = []

    def __len__(self) -> int:
        return len(self._due_ns)

    def set(self, key: Flow, due_ns: int) -> None:
        """Store the flow at `due_ns`, whatever was said before."""
        self._due_ns[key] = due_ns
        if len(self._heap) > 2 * len(self._due_ns) + 64:
            self._heap = [(at_ns, one) for one, at_ns in self._due_ns.items()]
            heapify(self._heap)
        else:
            heappush(self._heap, (due_ns, key))

    def drop(self, key: Flow) -> None:
        """The flow is another's; unknown ones are no fault."""
        self._due_ns.pop(key, None)

    def take(self, now_ns: int, may_wait: Callable[[Flow, int], bool]) -> Flow | None:
        """The flow that is most overdue and need not wait, if there is any. It keeps its time:
        `set` it anew. `may_wait` is told the flow and for how long it has been due."""
        passed: list[tuple[int, Flow]] = []
        found = None
        while found is None and self._heap and self._heap[0][0] <= now_ns:
            due_ns, key = entry = heappop(self._heap)
            if self._due_ns.get(key) != due_ns:
                continue
            passed.append(entry)
            if not may_wait(key, now_ns - due_ns):
                found = key
        for entry in passed:
            heappush(self._heap, entry)
        return found
