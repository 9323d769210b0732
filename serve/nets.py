"""The nets as Serve deployments: "event-net", "fatigue-net", "failure-net", each `predict(array)`.

Owns batching and placement, no arithmetic: calls that arrive together become one forward pass of
`models.nets`. A call with a bad shape fails alone, never with its batch. One torch thread per
replica: parallelism comes from replicas, and two thread pools on one core only fight.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

import numpy as np
from ray import serve
from ray.serve.config import AutoscalingConfig

from cluster.placement import OFF_FLOW_NODES
from models.errors import ModelError
from models.nets.contract import INPUT_SHAPES, NET_NAMES

Floats = np.ndarray[Any, np.dtype[np.float32]]
MAX_ROWS: Final = 4096
"""Rows of one call; a caller with more sends several."""


@dataclass(frozen=True, slots=True)
class NetOptions:
    """How the nets are served; times in ms and s. Batches are counted in calls, not in rows."""

    net_batch_max: int = 16
    net_batch_wait_ms: float = 4.0
    net_replicas_min: int = 1
    net_replicas_max: int = 2
    net_ongoing_target: float = 8.0
    net_queue_max: int = 256
    net_cpus: float = 0.1

    @staticmethod
    def of(section: Mapping[str, Any]) -> "NetOptions":
        """From the settings' section `serve`; keys that it lacks keep their defaults."""
        ours = {field.name for field in fields(NetOptions)}
        return NetOptions(**{key: value for key, value in section.items() if key in ours})


def deployment_name(net: str) -> str:
    """ "event" -> "event-net"."""
    return f"{net}-net"


class NetReplica:
    """One replica of one net. `alias` names the weights: champion, or canary."""

    def __init__(self, net: str, options: NetOptions, alias: str = "champion") -> None:
        import torch

        from cluster.model_store import default_store
        from models.nets.registry import load_net

        torch.set_num_threads(1)
        self._name = net
        self._shape = INPUT_SHAPES[net]
        self._net = load_net(net, default_store(), alias)
        self._calls = self._rows = self._batches = 0
        together: Any = self._together
        together.set_max_batch_size(options.net_batch_max)
        together.set_batch_wait_timeout_s(options.net_batch_wait_ms / 1e3)
        # The first pass allocates and picks kernels: not at the expense of a caller.
        self._net.predict(np.zeros((1, *self._shape), np.float32))

    async def predict(self, inputs: Floats) -> Floats:
        """(B, *INPUT_SHAPES[net]) float32 -> (B, outputs) float32, B <= MAX_ROWS; rows in order.

        Raises ModelError for another shape, or when the net's answer is not finite.
        """
        if not isinstance(inputs, np.ndarray) or inputs.shape[1:] != self._shape:
            shape = getattr(inputs, "shape", type(inputs).__name__)
            raise ModelError(f"{self._name}: input is {shape}, not (B, {self._shape})")
        if len(inputs) > MAX_ROWS:
            raise ModelError(f"{self._name}: {len(inputs)} rows in one call, at most {MAX_ROWS}")
        answer = await self._together(inputs)
        if isinstance(answer, ModelError):
            raise answer
        return answer

    @serve.batch(max_batch_size=16, batch_wait_timeout_s=0.004)
    async def _together(self, calls: list[Floats]) -> list[Floats | ModelError]:
        """One forward pass for all `calls`; in a thread, so that health checks are answered."""
        self._batches += 1
        self._calls += len(calls)
        sizes = [len(call) for call in calls]
        self._rows += sum(sizes)
        try:
            joined = await asyncio.to_thread(self._net.predict, np.concatenate(calls))
        except ModelError:
            # One call's values may have spoilt the batch: each answers for itself.
            return [await asyncio.to_thread(self._alone, call) for call in calls]
        return np.split(joined, np.cumsum(sizes)[:-1])

    def _alone(self, call: Floats) -> Floats | ModelError:
        try:
            return self._net.predict(call)
        except ModelError as error:
            return error

    async def info(self) -> dict[str, Any]:
        """Name, version and card of the weights, and what this replica has done."""
        return {
            "net": self._name, "version": self._net.version, "card": dict(self._net.card),
            "calls": self._calls, "rows": self._rows, "batches": self._batches,
        }


def net_applications(options: NetOptions) -> dict[str, serve.Application]:
    """One bound deployment per net, by deployment name."""
    return {
        deployment_name(net): net_deployment(net, options).bind(net, options) for net in NET_NAMES
    }


def net_deployment(net: str, options: NetOptions) -> serve.Deployment:
    """The deployment of `net`: batched, autoscaled within the options' bounds."""
    scaling = AutoscalingConfig(
        min_replicas=options.net_replicas_min, max_replicas=options.net_replicas_max,
        initial_replicas=options.net_replicas_min,
        target_ongoing_requests=options.net_ongoing_target,
        # The default waits 30 s, which is longer than any burst of a match.
        upscale_delay_s=2.0, downscale_delay_s=60.0,
    )
    return serve.deployment(
        name=deployment_name(net), autoscaling_config=scaling,
        max_ongoing_requests=max(4 * options.net_batch_max, 32),
        max_queued_requests=options.net_queue_max, health_check_period_s=1,
        health_check_timeout_s=5, graceful_shutdown_timeout_s=5,
        ray_actor_options={"num_cpus": options.net_cpus, **OFF_FLOW_NODES},
    )(NetReplica)
