"""Room for workers, asked of the cluster's autoscaler before they are started.

Ray keeps one such request per cluster, absolute, until it is replaced: it holds nodes past their
idle time, so whoever asks must also take it back. One coordinator runs per cluster.
"""

from dataclasses import dataclass, field
from typing import Any, Protocol

from models.errors import TouchlineError
from models.policies.prewarm import PrewarmConfig, PrewarmPolicy, PrewarmReason, PrewarmSignals


class NodesAwayError(TouchlineError):
    """The cluster did not take the request."""


class NodePort(Protocol):
    """What the coordinator needs of the cluster's autoscaler."""

    def want(self, workers: int) -> None:
        """See to it that there is room for so many workers in all; 0 takes the request back.

        Raises NodesAwayError.
        """
        ...

    def alone(self) -> bool:
        """Whether there is no other machine for one more worker; False if it cannot be told."""
        ...


@dataclass(frozen=True, slots=True)
class WishChange:
    """What is asked of the cluster has changed."""

    reason: PrewarmReason
    detail: dict[str, float] = field(default_factory=dict)


class NodeWish:
    """What the cluster is asked for, by the policy. `workers`: room for so many in all."""

    def __init__(self, nodes: NodePort, config: PrewarmConfig) -> None:
        self._nodes = nodes
        self._policy = PrewarmPolicy(config)
        # A predecessor may have asked for something: its wish is replaced, whatever it was.
        self._told = False
        self.workers = 0

    def follow(self, signals: PrewarmSignals) -> WishChange | None:
        """Ask for what the policy wants now, if that is not asked for already.

        Raises NodesAwayError; the next call tries again.
        """
        wish = self._policy.decide(signals)
        if self._told and wish.workers == self.workers:
            return None
        self._nodes.want(wish.workers)
        before, self.workers, self._told = self.workers, wish.workers, True
        if before == wish.workers:
            return None
        detail = {
            "from": before, "to": wish.workers, "arrival_per_s": round(signals.arrival_per_s, 1),
            "rise_per_s": round(signals.rise_per_s, 1),
        }
        return WishChange(wish.reason, detail)

    def take_back(self) -> None:
        """Ask for nothing. Raises NodesAwayError."""
        self._nodes.want(0)
        self.workers = 0


class NoNodes:
    """Where no nodes can be had: one machine."""

    def want(self, workers: int) -> None:
        """Nothing to be done."""

    def alone(self) -> bool:
        """See `NodePort.alone`."""
        return True


class RayNodes:
    """`ray.autoscaler.sdk.request_resources`, for workers that ask for `bundle` each."""

    def __init__(self, bundle: dict[str, float]) -> None:
        self._bundle = dict(bundle)

    def want(self, workers: int) -> None:
        """See `NodePort.want`; without an autoscaler Ray only notes it."""
        import ray
        from ray.autoscaler.sdk import request_resources

        try:
            request_resources(bundles=[self._bundle] * workers)
        except (ray.exceptions.RayError, RuntimeError, OSError) as error:
            raise NodesAwayError(f"{type(error).__name__}: {error}"[:300]) from error

    def alone(self) -> bool:
        """Never: nodes come where workers wait for one."""
        return False


class GivenNodes(NoNodes):
    """A cluster without flow nodes: it has the machines that it has."""

    def alone(self) -> bool:
        """See `NodePort.alone`."""
        import ray

        try:
            return len(alive_nodes()) == 1
        except (ray.exceptions.RayError, RuntimeError, OSError):
            return False


def alive_nodes() -> list[dict[str, Any]]:
    """The cluster's nodes that are alive, as Ray tells of them."""
    import ray

    return [node for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]


def bundle_of(options: dict[str, Any]) -> dict[str, float]:
    """What an actor with these Ray options takes of its node."""
    return {"CPU": float(options["num_cpus"]), **options.get("resources", {})}
