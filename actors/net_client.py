"""NetClient: windows of many flows to the served nets and back; the caller never waits.

Batches per net, a bounded number of calls in flight, a bounded queue. A call that fails is repeated
once; then, and whatever does not fit, is answered by the rules (`models.nets.fallback`), marked
"fallback". A net that keeps failing is left alone for a while. Calls run in threads of the client;
everything else on the caller's.
"""

import json
from collections import Counter, deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from cluster.names import SERVE_APP
from models.latency import LatencyHistogram
from models.nets.contract import INPUT_SHAPES, NET_NAMES, OUTPUT_NAMES
from models.nets.fallback import fallback_predict

NetCall = Callable[[str, NDArray[np.float32]], NDArray[np.float32]]
"""(net name, inputs (B, *shape)) -> outputs (B, n). Blocks; any exception means that it failed."""


# `json.dumps` makes an encoder a call, unless all is as usual.
_AS_JSON: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode


@dataclass(frozen=True, slots=True)
class NetConfig:
    """Bounds. `waiting` counts tasks not yet in a call, over all nets."""

    batch: int = 64
    in_flight: int = 2
    waiting: int = 1024
    attempts: int = 2
    timeout_s: float = 2.0
    trip_after: int = 3
    tripped_s: float = 5.0


@dataclass(frozen=True, slots=True)
class NetTask:
    """One row for the net `name`. `owner` groups tasks for `busy` and `settle`."""

    name: str
    venue_id: str
    key: tuple[str, str]
    t_ns: int
    data: NDArray[np.float32]
    event_id: str = ""
    owner: Hashable = None
    extra: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a net (or, source "fallback", a rule) says. `key` is e.g. ("subject_id", "ath_1")."""

    task: NetTask
    scores: dict[str, float]
    source: str

    def encode(self) -> bytes:
        task = self.task
        body: dict[str, Any] = {
            "kind": task.name, task.key[0]: task.key[1], "t_ns": task.t_ns,
            "event_id": task.event_id, "scores": self.scores, "source": self.source,
            "model": f"{task.name}-{'net' if self.source == 'net' else 'rule'}", **task.extra,
        }
        return _AS_JSON(body).encode()


@dataclass(slots=True)
class _Call:
    name: str
    tasks: list[tuple[NetTask, int]]
    future: "Future[NDArray[np.float32]]"
    attempt: int
    started_ns: int


class NetClient:
    """Not thread-safe: one caller. With `call` None every task is answered by the rules."""

    def __init__(
        self, call: NetCall | None, clock_ns: Callable[[], int], config: NetConfig | None = None,
        pool: Any = None,
    ) -> None:
        self.config = config or NetConfig()
        self._call = call
        self._clock_ns = clock_ns
        self._pool = pool
        self._waiting: dict[str, deque[tuple[NetTask, int]]] = {n: deque() for n in NET_NAMES}
        self._calls: list[_Call] = []
        self._ready: list[Prediction] = []
        self._owners: Counter[Hashable] = Counter()
        self._failed: Counter[str] = Counter()
        self._tripped_ns: dict[str, int] = {}
        self.counters: Counter[str] = Counter()
        self.latency = LatencyHistogram()

    def submit(self, tasks: Sequence[NetTask]) -> None:
        """Take tasks; answers come from `poll`."""
        if not tasks:
            return
        now_ns = self._clock_ns()
        by_rule: list[tuple[NetTask, int]] = []
        for task in tasks:
            self._owners[task.owner] += 1
            room = sum(len(queue) for queue in self._waiting.values()) < self.config.waiting
            if self._call is None or not room or self._tripped(task.name, now_ns):
                if not room:
                    self.counters["net_queue_full"] += 1
                by_rule.append((task, now_ns))
            else:
                self._waiting[task.name].append((task, now_ns))
        # Together, since a rule costs about the same for one as for all of them; in their order.
        for _, alike in groupby(by_rule, key=lambda entry: entry[0].name):
            self._fall_back(list(alike))

    def poll(self) -> list[Prediction]:
        """Start what can be started, and give what is answered by now."""
        overdue_ns = self._clock_ns() - int(3e9 * self.config.timeout_s) if self._calls else 0
        for call in list(self._calls):
            if call.future.done():
                self._calls.remove(call)
                self._finish(call)
            elif call.started_ns < overdue_ns:
                # Its thread hangs beyond the call's own timeout: it is not waited for.
                self._calls.remove(call)
                self._failure(call, TimeoutError(call.name))
        for name, queue in self._waiting.items():
            while queue and len(self._calls) < self.config.in_flight:
                count = min(len(queue), self.config.batch)
                self._start(name, [queue.popleft() for _ in range(count)], 1)
        ready, self._ready = self._ready, []
        return ready

    def busy(self, owner: Hashable) -> bool:
        """Whether a task of `owner` is not yet answered and collected."""
        return self._owners[owner] > 0 or any(p.task.owner == owner for p in self._ready)

    def settle(self, owners: set[Hashable]) -> None:
        """Have the rules answer now what is open for `owners`; later answers are left out."""
        for queue in self._waiting.values():
            open_tasks = [entry for entry in queue if entry[0].owner in owners]
            if open_tasks:
                kept = [entry for entry in queue if entry[0].owner not in owners]
                queue.clear()
                queue.extend(kept)
                self._fall_back(open_tasks)
        for call in self._calls:
            late = [entry for entry in call.tasks if entry[0].owner in owners]
            call.tasks = [
                (task, -1 if task.owner in owners else since) for task, since in call.tasks
            ]
            self._fall_back([entry for entry in late if entry[1] >= 0])

    def drain(self, timeout_s: float) -> None:
        """Wait for calls in flight, at most `timeout_s`; for the way out, not for the loop."""
        for call in list(self._calls):
            try:
                call.future.result(timeout_s)
            except Exception:  # judged by poll, as any other failure
                self.counters["net_drain_failed"] += 1

    def close(self) -> None:
        """End the threads without waiting for a net that hangs."""
        if isinstance(self._pool, ThreadPoolExecutor):
            self._pool.shutdown(wait=False, cancel_futures=True)

    # -- inside ------------------------------------------------------------------------------------

    def _start(self, name: str, tasks: list[tuple[NetTask, int]], attempt: int) -> None:
        assert self._call is not None
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self.config.in_flight, thread_name_prefix="nets")
        inputs = np.stack([task.data for task, _ in tasks]).astype(np.float32, copy=False)
        future = self._pool.submit(self._call, name, inputs)
        self._calls.append(_Call(name, tasks, future, attempt, self._clock_ns()))
        self.counters["net_calls"] += 1

    def _finish(self, call: _Call) -> None:
        try:
            answer = np.asarray(call.future.result(0), np.float32)
            if answer.shape != (len(call.tasks), len(OUTPUT_NAMES[call.name])):
                raise ValueError(f"{call.name} answered {answer.shape}")
            if not np.isfinite(answer).all():
                raise ValueError(f"{call.name} answered with NaN")
        except Exception as error:  # whatever a remote call raises: counted, repeated, then rules
            self._failure(call, error)
            return
        self._failed[call.name] = 0
        now_ns = self._clock_ns()
        self.latency.record([now_ns - since for _, since in call.tasks if since >= 0])
        self._answer(call.name, call.tasks, answer, "net")

    def _failure(self, call: _Call, error: Exception) -> None:
        self.counters[f"net_failed_{type(error).__name__}"] += 1
        self._failed[call.name] += 1
        if self._failed[call.name] >= self.config.trip_after:
            self._tripped_ns[call.name] = self._clock_ns() + int(self.config.tripped_s * 1e9)
            self.counters["net_tripped"] += 1
        elif call.attempt < self.config.attempts:
            self._start(call.name, call.tasks, call.attempt + 1)
            return
        self._fall_back([entry for entry in call.tasks if entry[1] >= 0])

    def _tripped(self, name: str, now_ns: int) -> bool:
        until_ns = self._tripped_ns.get(name)
        if until_ns is None:
            return False
        if now_ns >= until_ns:
            # One failure is enough to leave it alone again.
            del self._tripped_ns[name]
            self._failed[name] = self.config.trip_after - 1
            return False
        return True

    def _fall_back(self, tasks: list[tuple[NetTask, int]]) -> None:
        for name in sorted({task.name for task, _ in tasks}):
            mine = [entry for entry in tasks if entry[0].name == name]
            inputs = np.stack([task.data for task, _ in mine]).astype(np.float32, copy=False)
            self._answer(name, mine, fallback_predict(name, inputs), "fallback")

    def _answer(
        self, name: str, tasks: list[tuple[NetTask, int]], rows: NDArray[np.float32], source: str
    ) -> None:
        for (task, since), row in zip(tasks, rows.tolist(), strict=True):
            if since < 0:
                continue
            self._owners[task.owner] -= 1
            if self._owners[task.owner] <= 0:
                del self._owners[task.owner]
            scores = {k: round(v, 6) for k, v in zip(OUTPUT_NAMES[name], row, strict=True)}
            self._ready.append(Prediction(task, scores, source))
            self.counters[f"predictions_{source}"] += 1


def fits(name: str, data: NDArray[np.float32]) -> bool:
    """Whether `data` is one input row of the net `name`."""
    return name in INPUT_SHAPES and data.shape == INPUT_SHAPES[name]


def served_nets(timeout_s: float = 2.0, app: str = SERVE_APP) -> NetCall:
    """Calls the Serve deployments "<name>-net"; each handle is looked up when first used."""
    handles: dict[str, Any] = {}

    def call(name: str, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        from ray import serve

        if name not in handles:
            handles[name] = serve.get_deployment_handle(f"{name}-net", app_name=app)
        answer: NDArray[np.float32] = handles[name].predict.remote(inputs).result(
            timeout_s=timeout_s
        )
        return answer

    return call
