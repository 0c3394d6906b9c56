"""Settings of an SFU node, read once at start from `KCS_*` environment variables.

A group's field is `KCS_<GROUP>__<FIELD>`, such as `KCS_MEDIA__PORT`.
"""

import math
import os
import socket
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

_CGROUP_CPU = Path("/sys/fs/cgroup/cpu.max")


def usable_cores() -> float:
    """Cores that this process may use: affinity, and the container's CPU limit (cgroup v2)."""
    cores = float(len(os.sched_getaffinity(0)))
    try:
        quota, period = _CGROUP_CPU.read_text().split()
        return cores if quota == "max" else min(cores, int(quota) / int(period))
    except (OSError, ValueError):
        return cores


class _Group(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class NodeSettings(_Group):
    """Who the node is and how much it carries."""

    name: str = Field(default_factory=socket.gethostname, min_length=1, max_length=253)
    """Name in placement: the pod's name. A second process of that name replaces the first."""
    region: str = ""
    """Region, for the choice of a node."""
    pool: str = Field(default="", max_length=63)
    """The SFUPool that it belongs to, for meetings that keep to one."""
    workers: int = Field(default_factory=lambda: max(1, math.floor(usable_cores())), ge=1, le=256)
    """mediasoup workers: one per core."""
    worker_bin: Path | None = None
    """The worker's binary; None: `MEDIASOUP_WORKER_BIN`, else the cache that `make run` fills."""
    consumers_per_worker: int = Field(default=500, ge=1)
    """Consumers that a worker carries: the node's capacity, and where a room spans to another."""
    egress_mbps: float = Field(default=0, ge=0)
    """What the node's network carries out, in Mbit/s: it counts as load. 0: no limit."""
    transports_per_participant: int = Field(default=8, ge=4)
    """Transports of one participant: two that live, and those that are being made instead."""
    producers_per_participant: int = Field(default=8, ge=1)
    """Streams that one participant may send."""
    consumers_per_participant: int = Field(default=1000, ge=1)
    """Streams that one participant may receive."""
    idle_room_seconds: float = Field(default=60, gt=0)
    """A room that is empty for so long closes."""
    idle_transport_seconds: float = Field(default=30, gt=0)
    """A transport whose ICE is disconnected for so long closes."""


class ControlSettings(_Group):
    """The control API, for signaling alone."""

    host: str = "127.0.0.1"
    """Address to listen on."""
    port: int = Field(default=0, ge=0, le=65535)
    """TCP port to listen on; 0 takes a free one."""
    advertised_url: str | None = None
    """How signaling reaches the node; None: `http://<host>:<port>`."""


class MediaSettings(_Group):
    """Where browsers' media arrives: one UDP and one TCP port per worker."""

    listen_ip: str = "127.0.0.1"
    """Address to listen on."""
    announced_address: str | None = None
    """Address or host name in the ICE candidates, when browsers reach the node by another one."""
    port: int = Field(default=0, ge=0, le=65535)
    """Worker i listens on `port` + i; 0 takes free ports."""
    tcp: bool = True
    """Whether browsers may come by TCP too, on the same ports."""


class RedisSettings(_Group):
    """Placement and the bus."""

    url: SecretStr = SecretStr("redis://127.0.0.1:6379/0")
    """URL of the Redis server."""


class TicketSettings(_Group):
    """Who may control the node."""

    jwks: str
    """Signaling's public keys: a file, or `http(s)://.../.well-known/jwks.json`."""


class DrainSettings(_Group):
    """How the node stops on SIGTERM."""

    deadline_seconds: float = Field(default=30, ge=0)
    """How long rooms may run on; 0 closes them at once."""


class Settings(BaseSettings):
    """All settings of an SFU node."""

    model_config = SettingsConfigDict(
        env_prefix="KCS_", env_nested_delimiter="__", frozen=True, extra="ignore"
    )

    tickets: TicketSettings
    node: NodeSettings = Field(default_factory=NodeSettings)
    control: ControlSettings = ControlSettings()
    media: MediaSettings = MediaSettings()
    redis: RedisSettings = RedisSettings()
    drain: DrainSettings = DrainSettings()

    @model_validator(mode="after")
    def _ports_fit(self) -> Self:
        if self.media.port + self.node.workers - 1 > 65535:
            raise ValueError("KCS_MEDIA__PORT plus the number of workers passes 65535")
        return self
