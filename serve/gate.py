"""The door of the API: a verified caller for every call, and what that caller may see.

Owns how a token is carried (only the `Authorization` header: a token in a URL ends in logs) and how
decisions are kept for the length of a request or stream. Deciding is `models.policies.access`, and
every denial goes to the audit log: of a resource each time, of columns once per token and venue.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Annotated, Final, NoReturn

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from models.errors import AccessError
from models.policies.access import Principal, may
from models.policies.sight import PolicySight, Sight, granted, withheld
from serve.ports import DeniedError, Ports

READ, LIVE, INGEST = "read", "live", "ingest"
MAX_TOLD: Final = 1_024

Verify = Callable[[str], Principal]
Audit = Callable[[Principal, str, str, str], None]
"""Records a denial: (caller, action, resource, reason)."""

_bearer = HTTPBearer(auto_error=False, description="Ed25519 JWT from `touchline token`")


class Gate:
    """The gatekeeper of `serve.ports`: identity, policy and audit."""

    def __init__(self, verify: Verify, audit: Audit) -> None:
        self._verify, self._audit = verify, audit
        self._told: OrderedDict[tuple[str, str], None] = OrderedDict()

    def verify(self, token: str) -> Principal:
        return self._verify(token)

    def allow(self, caller: Principal, action: str, resource: str, venue_id: str = "") -> None:
        decision = may(caller, action, venue_id)
        if not decision.allow:
            self.refuse(caller, action, resource, decision.reason)

    def refuse(self, caller: Principal, action: str, resource: str, why: str) -> NoReturn:
        self._audit(caller, action, resource, why)
        raise DeniedError(f"{caller.role} may not {action} {resource}: {why}")

    def sight(self, caller: Principal, venue_id: str = "") -> Sight:
        self._tell_withheld(caller, venue_id)
        return PolicySight(caller, venue_id)

    def _tell_withheld(self, caller: Principal, venue_id: str) -> None:
        """Audit once per token and venue which classes are cut out of all its answers."""
        key = (caller.token_id, venue_id)
        classes = withheld(caller)
        if key in self._told or not classes:
            return
        self._told[key] = None
        if len(self._told) > MAX_TOLD:
            self._told.popitem(last=False)
        self._audit(caller, READ, f"columns of {venue_id or 'all venues'}", ", ".join(classes))


def ports_of(request: Request) -> Ports:
    ports: Ports = request.app.state.ports
    return ports


def caller_of(
    request: Request,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
) -> Principal:
    """The verified caller. Raises AccessError without a token, or with one that is not good."""
    if credentials is None:
        raise AccessError("no bearer token; get one with `touchline token`")
    return ports_of(request).gate.verify(credentials.credentials)


Here = Annotated[Ports, Depends(ports_of)]
Who = Annotated[Principal, Depends(caller_of)]


def allow(
    ports: Ports, caller: Principal, action: str, resource: str, venue_id: str = "",
    wanted: frozenset[str] = frozenset(),
) -> Sight:
    """What a caller may see who may do `action` on `resource`. Raises DeniedError.

    wanted: data classes of which the caller must have one, for a resource of these classes only.
    """
    ports.gate.allow(caller, action, resource, venue_id)
    if wanted and not wanted & granted(caller):
        ports.gate.refuse(caller, action, resource, "needs " + " or ".join(sorted(wanted)))
    return ports.gate.sight(caller, venue_id)
