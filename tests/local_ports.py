"""The API's ports over objects of this process, for tests: a real twin store, a stadium that
answers as the real one does, and a switch to take each of them away."""

import tempfile
import time

from cluster.identity import Issuer
from models.policies.access import Principal
from serve.gate import Gate
from serve.ports import ApiLimits, AwayError, Ports


class LocalTwin:
    def __init__(self, store):
        self.store, self.away = store, ""

    async def ask(self, method, *args):
        if self.away:
            raise AwayError("twin-store", self.away)
        return getattr(self.store, method)(*args)


class LocalStadium:
    """Answers `answer`; keeps what it was given."""

    def __init__(self, stats=None):
        self.answer, self.away, self.taken, self._stats = [], "", [], stats or {}

    async def ingest(self, venue_id, payload, content_type, identity):
        if self.away:
            raise AwayError(f"stadium/{venue_id}", self.away)
        self.taken.append((venue_id, payload, content_type, identity))
        return self.answer

    async def stats(self, venue_id):
        if self.away:
            raise AwayError(f"stadium/{venue_id}", self.away)
        return self._stats


class LocalPool:
    def __init__(self, status=None):
        self.away, self._status = "", status or {}

    async def status(self):
        if self.away:
            raise AwayError("coordinator", self.away)
        return self._status


class World:
    """Ports, and handles on what is behind them. Tokens are real, audits are kept in a list."""

    def __init__(self, store, stats=None, pool=None, tiers=None, limits=None, now_ns=time.time_ns):
        self.twin, self.stadium, self.pool = LocalTwin(store), LocalStadium(stats), LocalPool(pool)
        self.keys = tempfile.TemporaryDirectory()
        self.issuer = Issuer(self.keys.name, clock=lambda: now_ns() / 1e9)
        self.denials: list[tuple[Principal, str, str, str]] = []
        gate = Gate(self.issuer.verify, lambda *denial: self.denials.append(denial))
        self.ports = Ports(
            self.twin, self.stadium, self.pool, gate, now_ns, lambda: tiers or {},
            limits or ApiLimits(),
        )

    def token(self, role="performance", **claims):
        claims.setdefault("team", "*")
        return self.issuer.mint(f"{role}-user", role, claims=claims)

    def auth(self, role="performance", **claims):
        return {"Authorization": f"Bearer {self.token(role, **claims)}"}
