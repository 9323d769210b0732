"""The API's ports bound to named Ray actors. Owns time limits, and how a dead actor looks.

An actor is looked up once and kept until it fails: Ray's handle follows a restarted one by itself.
Every wait has a limit; what fails is `AwayError` with a reason, never a hang and never a Ray error.
"""

import asyncio
from typing import Any, Final

import ray
from ray.exceptions import GetTimeoutError, RayActorError, RayError, RayTaskError

from cluster.names import COORDINATOR, RAY_NAMESPACE, TWIN_STORE, stadium_actor
from models.errors import TouchlineError
from serve.ports import AwayError, BusyError

ASK_S: Final = 2.0
INGEST_S: Final = 15.0
ENDED: Final = frozenset({"finished", "stopped", "fenced", "failed"})
"""Reasons by which a stadium says that it takes nothing any more."""
MAX_INGESTS: Final = 64
"""Payloads under way per replica: beyond it callers are told to slow down."""


class Actors:
    """Handles of named actors, and calls on them within a time limit."""

    def __init__(self, namespace: str = RAY_NAMESPACE) -> None:
        self._namespace = namespace
        self._handles: dict[str, Any] = {}

    async def call(self, name: str, method: str, *args: Any, limit_s: float = ASK_S) -> Any:
        """The answer of `name`.`method`. Raises AwayError; KeyError and our own as they are."""
        try:
            handle = await asyncio.wait_for(self._handle(name), limit_s)
            return await asyncio.wait_for(_answer(handle, method, args), limit_s)
        except TimeoutError as error:
            raise AwayError(name, f"no answer within {limit_s:g} s") from error
        except GetTimeoutError as error:
            raise AwayError(name, f"no answer within {limit_s:g} s") from error
        except RayTaskError as error:
            cause = getattr(error, "cause", None)
            if isinstance(cause, KeyError | TouchlineError):
                raise cause from None
            raise AwayError(name, f"failed: {type(cause or error).__name__}") from error
        except RayActorError as error:
            self._handles.pop(name, None)
            raise AwayError(name, "is down; it is being restarted") from error
        except RayError as error:
            self._handles.pop(name, None)
            raise AwayError(name, type(error).__name__) from error

    async def _handle(self, name: str) -> Any:
        handle = self._handles.get(name)
        if handle is None:
            try:
                # Asks the GCS, which may be away: in a thread, so that nothing else waits for it.
                handle = await asyncio.to_thread(ray.get_actor, name, self._namespace)
            except ValueError as error:
                raise AwayError(name, "is not running") from error
            self._handles[name] = handle
        return handle


async def _answer(handle: Any, method: str, args: tuple[Any, ...]) -> Any:
    return await getattr(handle, method).remote(*args)


class RayTwin:
    """The twin store."""

    def __init__(self, actors: Actors) -> None:
        self._actors = actors

    async def ask(self, method: str, *args: Any) -> Any:
        return await self._actors.call(TWIN_STORE, method, *args)


class RayStadium:
    """Stadiums, one named actor per venue."""

    def __init__(self, actors: Actors) -> None:
        self._actors = actors
        self._under_way = 0

    async def ingest(
        self, venue_id: str, payload: bytes, content_type: str, identity: str
    ) -> list[dict[str, Any]]:
        name = stadium_actor(venue_id)
        if self._under_way >= MAX_INGESTS:
            raise BusyError(name, 1)
        self._under_way += 1
        try:
            answer: list[dict[str, Any]] = await self._actors.call(
                name, "ingest", payload, content_type, identity, limit_s=INGEST_S
            )
        finally:
            self._under_way -= 1
        if len(answer) == 1 and answer[0].get("reason") in ENDED:
            raise AwayError(name, f"takes nothing any more: {answer[0]['reason']}")
        return answer

    async def stats(self, venue_id: str) -> dict[str, Any]:
        stats: dict[str, Any] = await self._actors.call(stadium_actor(venue_id), "stats")
        return stats


class RayPool:
    """The coordinator."""

    def __init__(self, actors: Actors) -> None:
        self._actors = actors

    async def status(self) -> dict[str, Any]:
        status, latency = await asyncio.gather(
            self._actors.call(COORDINATOR, "status"), self._actors.call(COORDINATOR, "latency")
        )
        return {**status, "latency": latency}
