"""How a pool is: `SFUPool.status`, written by the operator alone.

Without defaults in the CRD: what the operator has not said is not there.
"""

from enum import StrEnum
from typing import Literal

from pydantic import Field

from kcs_contracts.resources.v1alpha1.common import Condition, Resource, keyed_by


class PodState(StrEnum):
    """Where a pod is in its life."""

    STARTING = "Starting"
    READY = "Ready"
    DRAINING = "Draining"
    FAILED = "Failed"


class PoolPod(Resource):
    """One pod of the pool."""

    name: str
    """The pod, and its name in placement."""
    role: Literal["sfu", "turn"] = "sfu"
    """What it is."""
    state: PodState
    """Where it is in its life."""
    address: str = ""
    """What browsers are told."""
    meetings: int = 0
    """Meetings that it hosts."""
    participants: int = 0
    """People in them; relayed connections of a coturn pod."""
    load: str = "0"
    """Its load, 1 is full."""
    current: bool = True
    """It is as the template says."""


class PoolCapacity(Resource):
    """Participants that the pool carries, as placement counts them."""

    total: int = 0
    """With all pods that are ready."""
    used: int = 0
    """By load."""
    reserved: int = 0
    """Promised to meetings whose people have not come yet."""
    free: int = 0
    """Left."""


class RoleCounts(Resource):
    """Pods by state."""

    starting: int = 0
    """Not serving yet."""
    ready: int = 0
    """Serving."""
    draining: int = 0
    """Leaving: no new meetings."""
    failed: int = 0
    """Lost, and about to be replaced."""


class SFUPoolStatus(Resource):
    """How it is."""

    observed_generation: int | None = None
    """The generation of the spec that the operator has seen."""
    replicas: int = 0
    """SFU pods that there are, without those that drain."""
    ready_replicas: int = 0
    """SFU pods that take meetings."""
    desired_replicas: int = 0
    """SFU pods that there should be."""
    selector: str = ""
    """The SFU pods, as a label selector for the scale subresource."""
    sfu: RoleCounts = RoleCounts()
    """SFU pods by state."""
    turn: RoleCounts = RoleCounts()
    """coturn pods by state."""
    desired_turn_replicas: int = 0
    """coturn pods that there should be."""
    capacity: PoolCapacity = PoolCapacity()
    """Participants that the pool carries."""
    participants: int = 0
    """People in the pool's meetings."""
    meetings: int = 0
    """Meetings on the pool's pods."""
    start_seconds: int = 0
    """Measured time from a pod's creation to its being ready."""
    last_scale_reason: str = ""
    """Why the desired number is what it is."""
    last_scale_time: str | None = None
    """When it changed last."""
    pods: tuple[PoolPod, ...] = Field(
        default=(), max_length=100, json_schema_extra=keyed_by("name")
    )
    """The pods, 100 of them at most."""
    conditions: tuple[Condition, ...] = Field(
        default=(), max_length=20, json_schema_extra=keyed_by("type")
    )
    """Available, Progressing, ScalingLimited, CapacityExhausted, Degraded."""
