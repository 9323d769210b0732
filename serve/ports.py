"""What the HTTP interface needs from the rest of the system, as ports; and how it fails.

Owns no behaviour: `serve.ray_ports` binds the ports to named actors, tests bind them to objects of
their own process. Every call may raise `AwayError` within its time limit, and never waits longer.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn, Protocol

from models.errors import AccessError, TouchlineError
from models.policies.access import Principal
from models.policies.sight import Sight


class AwayError(TouchlineError):
    """Another part of the system does not answer now; asking again later may help."""

    def __init__(self, part: str, reason: str) -> None:
        super().__init__(part, reason)
        self.part = part
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.part}: {self.reason}"


class BusyError(TouchlineError):
    """The part is alive and full: the caller is to slow down and to send again."""

    def __init__(self, part: str, retry_after_s: int = 1) -> None:
        super().__init__(part, retry_after_s)
        self.part = part
        self.retry_after_s = retry_after_s


class TwinPort(Protocol):
    """The twin store's questions, by the names of its methods."""

    async def ask(self, method: str, *args: Any) -> Any:
        """The answer. Raises AwayError; KeyError for what is not known."""
        ...


class StadiumPort(Protocol):
    """The stadium of a venue."""

    async def ingest(
        self, venue_id: str, payload: bytes, content_type: str, identity: str
    ) -> list[dict[str, Any]]:
        """A verdict per packet. Raises AwayError, BusyError."""
        ...

    async def stats(self, venue_id: str) -> dict[str, Any]:
        """How the stadium stands. Raises AwayError."""
        ...


class PoolPort(Protocol):
    """The coordinator of the flow pool."""

    async def status(self) -> dict[str, Any]:
        """Workers, assignments, lag and decisions. Raises AwayError."""
        ...


class Gatekeeper(Protocol):
    """Identity, policy and audit behind one door; `serve.gate` binds the real ones."""

    def verify(self, token: str) -> Principal:
        """The caller. Raises AccessError for a token that is not good now."""
        ...

    def allow(self, caller: Principal, action: str, resource: str, venue_id: str = "") -> None:
        """Raises DeniedError when policy denies; the denial is in the audit log by then."""
        ...

    def refuse(self, caller: Principal, action: str, resource: str, why: str) -> NoReturn:
        """Audit a denial of a resource as a whole, and raise it as DeniedError."""
        ...

    def sight(self, caller: Principal, venue_id: str = "") -> Sight:
        """What the caller may see in a venue."""
        ...


class DeniedError(AccessError):
    """The caller is known, and policy says no."""


@dataclass(frozen=True, slots=True)
class ApiLimits:
    """Bounds of the interface: bytes per request, live streams per replica, times in seconds."""

    max_body_bytes: int = 16 << 20
    max_live: int = 64
    live_period_s: float = 0.25
    heartbeat_s: float = 5.0
    reverify_s: float = 30.0
    max_events: int = 1000


@dataclass(frozen=True, slots=True)
class Ports:
    """All that `build_api` is given. `now_ns` is the wall clock; `tiers` sizes of storage tiers."""

    twin: TwinPort
    stadium: StadiumPort
    pool: PoolPort
    gate: Gatekeeper
    now_ns: Callable[[], int]
    tiers: Callable[[], dict[str, Any]] = dict
    limits: ApiLimits = ApiLimits()
