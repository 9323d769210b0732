"""The flow pool's part of the settings: its bounds, when it grows and shrinks, what a worker asks
of the cluster."""

from typing import Self

from pydantic import Field, model_validator

from cluster.settings_section import Section


class PoolSettings(Section):
    """The flow pool."""

    min_workers: int = Field(
        default=1, ge=1, le=1024, description="The pool never shrinks below this"
    )
    max_workers: int = Field(
        default=4, ge=1, le=1024, description="The pool never grows beyond this"
    )
    busy_high: float = Field(
        default=0.85, gt=0, le=1,
        description="Busier workers than this want one more; flows move a little below it",
    )
    busy_low: float = Field(
        default=0.50, gt=0, lt=1, description="One goes if the others stay below this share"
    )
    down_after_s: float = Field(
        default=30.0, ge=0, description="A pool at ease so long gives up a worker"
    )
    worker_cpus: float = Field(
        default=0.05, gt=0, le=64, description="CPUs that a worker takes of its node"
    )
    flow_nodes: bool | None = Field(
        default=None,
        description="Whether a worker takes one `flow` of a node; none: if any node offers it",
    )
    node_start_s: float = Field(
        default=240.0, ge=0, le=3_600,
        description="Time that a new node takes: it is asked for so long ahead; 0: never",
    )
    snapshot_s: float = Field(default=5.0, gt=0, description="Time between snapshots of flow state")
    thin_level: int = Field(
        default=3, ge=0, le=3,
        description="How far edges may thin calm flows that the pool is late with; 0: they wait",
    )
    thin_after_s: float = Field(
        default=0.5, gt=0, description="Calm flows wait so long before they are thinned"
    )
    poll_ms: float = Field(default=5.0, gt=0, description="Wait of a worker that found nothing new")

    @model_validator(mode="after")
    def _bounds(self) -> Self:
        if self.min_workers > self.max_workers:
            raise ValueError("min_workers must not exceed max_workers")
        if self.busy_low >= self.busy_high:
            raise ValueError("busy_low must be below busy_high")
        if self.worker_cpus > 1 and self.worker_cpus % 1:
            raise ValueError("worker_cpus above 1 must be whole: Ray shares out whole CPUs only")
        return self
