"""What happened in a run: a digest over all of it, and its last lines in words."""

import hashlib
from collections import deque
from typing import Final

LINES: Final = 80


class Violation(AssertionError):  # noqa: N818 - it is what an invariant says, not a fault of ours
    """An invariant does not hold; `rule` names it."""

    def __init__(self, rule: str, detail: str) -> None:
        super().__init__(rule, detail)
        self.rule, self.detail = rule, detail

    def __str__(self) -> str:
        return f"{self.rule}: {self.detail}"


class Story:
    """`say` is called for every step and every fault, with virtual time in seconds."""

    def __init__(self) -> None:
        self.lines: deque[str] = deque(maxlen=LINES)
        self.faults: list[str] = []
        self.step = 0
        self.time_s = 0.0
        self._digest = hashlib.sha256()

    def say(self, text: str) -> None:
        line = f"{self.step:5d} {self.time_s:8.3f}s  {text}"
        self._digest.update(line.encode())
        self.lines.append(line)

    def fault(self, kind: str, text: str) -> None:
        self.faults.append(f"{self.step:5d} {self.time_s:8.3f}s  {kind}: {text}")
        self.say(f"!! {kind}: {text}")

    def digest(self) -> str:
        return self._digest.hexdigest()[:16]
