"""SFUPool: SFU pods, and coturn pods beside them, that follow the load.

Defaults stand here and are kept by the API server. The operator reads the spec and writes the
status, at most every 5 s and only when something changed.
"""

from enum import StrEnum
from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints

from kcs_contracts.resources.v1alpha1.common import (
    DURATION,
    SET,
    Duration,
    ObjectName,
    Port,
    PortRange,
    Region,
    Resource,
    Rule,
    Says,
    TlsHost,
    keyed_by,
)
from kcs_contracts.resources.v1alpha1.sfupool_status import (
    PodState,
    PoolCapacity,
    PoolPod,
    RoleCounts,
    SFUPoolStatus,
)
from kcs_contracts.resources.v1alpha1.template import EnvVar, PodTemplate, Resources

__all__ = [
    "AnnouncedAddressFrom",
    "Autoscaling",
    "Capacity",
    "Day",
    "Drain",
    "EnvVar",
    "Exposure",
    "ExposureMode",
    "Placement",
    "PodState",
    "PodTemplate",
    "PoolCapacity",
    "PoolPod",
    "PoolReplicas",
    "PoolSchedule",
    "Replicas",
    "Resources",
    "RoleCounts",
    "SFUPool",
    "SFUPoolSpec",
    "SFUPoolStatus",
    "TimeOfDay",
    "Turn",
    "TurnReplicas",
    "TurnTls",
    "Update",
]

Placement = Literal["Packed", "Spread", "ConsistentHash"]
TimeOfDay = Annotated[
    str,
    StringConstraints(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$", max_length=5),
    Says("a time of day is written as 07:45, from 00:00 to 23:59"),
]
TimeZone = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*$", max_length=64),
    Says("a time zone has its IANA name, such as Europe/Berlin or Etc/UTC"),
]
Address = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9.:-]+$", max_length=253),
    Says("an address is an IPv4 or IPv6 address or a host name, without a port"),
]
Realm = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9.-]+$", max_length=253),
    Says("a realm has letters, digits, dots and -, such as meetings.example.org"),
]
Day = Literal["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]


class Replicas(Resource):
    """How many pods there may be."""

    rules = (
        Rule(
            "self.max >= self.min",
            "max must not be below min",
            at=".max",
            detail="'max (%d) must not be below min (%d)'.format([self.max, self.min])",
        ),
    )

    min: int = Field(default=1, ge=0, le=1000)
    """Pods that there are at least."""
    max: int = Field(default=3, ge=1, le=1000)
    """Pods that there are at most."""


class PoolReplicas(Replicas):
    """How many SFU pods there may be."""

    desired: int | None = Field(default=None, ge=0, le=1000)
    """How many there should be, instead of what the load asks for, within min and max. It is what
    `kubectl scale` and a HorizontalPodAutoscaler write; remove it to let the load decide again.
    Without it the scale cannot be read (error 500), so a HorizontalPodAutoscaler does nothing until
    it has a first number from you (kubectl scale sfup/NAME --replicas=1)."""


class TurnReplicas(Replicas):
    """How many coturn pods there may be."""

    max: int = Field(default=2, ge=1, le=1000)
    """Pods that there are at most."""


class Capacity(Resource):
    """What one SFU pod carries."""

    workers: int = Field(default=1, ge=1, le=64)
    """mediasoup workers: give the pod as many CPU cores."""
    consumers_per_worker: int = Field(default=500, ge=1, le=10000)
    """Streams that one worker sends out at full load."""
    egress_mbps: int = Field(default=0, ge=0, le=400000)
    """What the pod's network carries out, in Mbit/s; 0: it does not count."""


class ExposureMode(StrEnum):
    """How browsers reach the pods."""

    HOST_PORT = "HostPort"
    HOST_NETWORK = "HostNetwork"
    NODE_PORT = "NodePort"
    LOAD_BALANCER = "LoadBalancer"


class AnnouncedAddressFrom(StrEnum):
    """Where the address in the ICE candidates comes from."""

    HOST_IP = "HostIP"
    POD_IP = "PodIP"
    LOAD_BALANCER = "LoadBalancer"
    FIXED = "Fixed"


class Exposure(Resource):
    """How browsers' media reaches the pods."""

    rules = (
        Rule(
            "self.announcedAddressFrom != 'Fixed' || has(self.announcedAddress)",
            "announcedAddressFrom: Fixed needs an announcedAddress",
        ),
        Rule(
            "!has(self.announcedAddress) || self.announcedAddressFrom == 'Fixed'",
            "announcedAddress counts with announcedAddressFrom: Fixed only",
        ),
        Rule(
            "(self.announcedAddressFrom == 'LoadBalancer') == (self.mode == 'LoadBalancer')",
            "announcedAddressFrom: LoadBalancer and mode: LoadBalancer go together",
        ),
        Rule(
            "self.mode != 'NodePort' || (self.portRange.first >= 30000 && "
            "self.portRange.last <= 32767)",
            "mode: NodePort takes ports from 30000 to 32767, the cluster's range of node ports",
            at=".portRange",
        ),
        Rule(
            "self.mode == oldSelf.mode",
            "mode cannot be changed: make a second pool and delete this one",
            at=".mode",
        ),
    )

    mode: ExposureMode = ExposureMode.HOST_PORT
    """HostPort: the pod's ports on its Kubernetes node. HostNetwork: the node's network itself.
    NodePort: a Service with node ports per pod. LoadBalancer: a Service with an external address
    per pod."""
    port_range: PortRange = PortRange(first=40000, last=40999)
    """Ports of the pods' media: each pod takes as many as it has workers."""
    announced_address_from: AnnouncedAddressFrom = AnnouncedAddressFrom.HOST_IP
    """Where the address that browsers are told comes from: HostIP (the Kubernetes node's), PodIP
    (pods that browsers reach directly), LoadBalancer (the Service's), Fixed."""
    announced_address: Address | None = None
    """The address of `announcedAddressFrom: Fixed`, such as that of a NAT in front of all."""
    tcp: bool = True
    """Browsers may come by TCP too, on the same ports."""


class PoolSchedule(Resource):
    """Pods that there are at certain times, before the load comes."""

    rules = (Rule("self.start != self.end", "start and end must differ", at=".end"),)

    name: ObjectName
    """What the schedule is called in events and in the status."""
    days: tuple[Day, ...] = Field(
        default=("Mon", "Tue", "Wed", "Thu", "Fri"),
        min_length=1,
        max_length=7,
        json_schema_extra=SET,
    )
    """The days on which it starts."""
    start: TimeOfDay
    """When it starts, such as 07:45."""
    end: TimeOfDay
    """When it ends; a time before `start` is on the next day."""
    time_zone: TimeZone = "Etc/UTC"
    """The IANA time zone of the times, such as Europe/Berlin."""
    replicas: int = Field(ge=0, le=1000)
    """Pods that there are at least meanwhile."""


class Autoscaling(Resource):
    """How the number of pods follows the load."""

    target_utilization: float = Field(default=0.7, ge=0.1, le=1.0)
    """How full a pod shall be, as a share of its capacity."""
    buffer: int = Field(default=0, ge=0, le=100)
    """Pods that are kept ready beyond what the load asks for."""
    schedules: tuple[PoolSchedule, ...] = Field(
        default=(), max_length=20, json_schema_extra=keyed_by("name")
    )
    """Times at which more pods are ready."""
    scale_down_stabilization: Duration = "10m"
    """A pod goes only when fewer were enough for so long."""


class Drain(Resource):
    """How a pod leaves that has meetings."""

    rules = (
        Rule(
            f"!self.migrateAfter.matches(r'{DURATION}') || "
            f"!self.deadline.matches(r'{DURATION}') || "
            "duration(self.migrateAfter) <= duration(self.deadline)",
            "migrateAfter must not be longer than deadline",
            at=".migrateAfter",
            detail="'migrateAfter (%s) must not be longer than deadline (%s)'"
            ".format([self.migrateAfter, self.deadline])",
        ),
    )

    deadline: Duration = "1h"
    """An occupied pod is deleted after so long, its meetings moved by force."""
    migrate_after: Duration = "5m"
    """Meetings that have not ended by then move to other pods."""
    max_concurrent: int = Field(default=1, ge=1, le=100)
    """Pods that drain at the same time."""


class Update(Resource):
    """How pods are replaced when the template changes."""

    rules = (
        Rule(
            "self.maxSurge > 0 || self.maxUnavailable > 0",
            "one of maxSurge and maxUnavailable must be above 0, or no pod could ever be replaced",
        ),
    )

    max_surge: int = Field(default=1, ge=0, le=100)
    """Pods beyond the desired number while replacing."""
    max_unavailable: int = Field(default=0, ge=0, le=100)
    """Pods that may be missing while replacing."""


class TurnTls(Resource):
    """TURN over TLS."""

    secret_name: ObjectName
    """The Secret with `tls.crt` and `tls.key`."""
    host: TlsHost | None = None
    """The certificate's name, by which browsers reach the pods over TLS: one for all of them, or
    `*.turn.example.org`, where `203-0-113-7.turn.example.org` leads to the pod at 203.0.113.7.
    Without it browsers are told the pod's address, which the certificate must name then."""
    port: Port = 5349
    """TCP port; 443 passes the strictest networks. With HostNetwork a port below 1024 is not the
    pod's to take, unless its node lets everybody have it (net.ipv4.ip_unprivileged_port_start)."""


class Turn(Resource):
    """coturn pods for people who cannot reach the SFU pods."""

    rules = (
        Rule(
            "self.portRange.last - self.portRange.first >= 99",
            "a coturn pod needs 100 ports at least: each relayed connection takes one",
            at=".portRange",
        ),
        Rule(
            "!has(self.tls) || self.tls.port != self.port",
            "tls.port must be another one than port",
            at=".tls.port",
        ),
    )

    replicas: TurnReplicas = TurnReplicas()
    """How many coturn pods there may be."""
    realm: Realm = "kcs-meetings.local"
    """The realm of the credentials, usually the domain."""
    port: Port = 3478
    """UDP and TCP port of STUN and TURN."""
    tls: TurnTls | None = None
    """TURN over TLS; without it there is none."""
    port_range: PortRange = PortRange(first=49152, last=50151)
    """UDP ports from which coturn relays."""
    user_quota: int = Field(default=12, ge=1, le=1000)
    """Relayed connections of one person at a time."""
    target_allocations: int = Field(default=500, ge=1, le=100000)
    """Relayed connections that one pod shall carry."""
    target_egress_mbps: int = Field(default=500, ge=1, le=400000)
    """What one pod shall send, in Mbit/s."""


def _outside(port: str) -> str:
    """In CEL: the port lies in neither range."""
    ranges = ("self.exposure.portRange", "self.turn.portRange")
    return " && ".join(f"({port} < {each}.first || {port} > {each}.last)" for each in ranges)


class SFUPoolSpec(Resource):
    """What is wanted."""

    rules = (
        Rule(
            "self.region == oldSelf.region",
            "region cannot be changed: make a second pool and delete this one",
            at=".region",
        ),
        Rule(
            "self.exposure.portRange.last < self.exposure.portRange.first || "
            "self.exposure.portRange.last - self.exposure.portRange.first + 1 >= "
            "self.capacity.workers * (self.replicas.max + self.update.maxSurge)",
            "exposure.portRange needs capacity.workers x (replicas.max + update.maxSurge) ports",
            at=".exposure.portRange",
            detail="'%d ports are too few: %d workers x (%d pods at most + %d while updating) need "
            "%d'.format([self.exposure.portRange.last - self.exposure.portRange.first + 1, "
            "self.capacity.workers, self.replicas.max, self.update.maxSurge, "
            "self.capacity.workers * (self.replicas.max + self.update.maxSurge)])",
        ),
        Rule(
            "!has(self.turn) || self.turn.portRange.last < self.exposure.portRange.first || "
            "self.turn.portRange.first > self.exposure.portRange.last",
            "turn.portRange and exposure.portRange must not overlap",
            at=".turn.portRange",
            detail="'turn.portRange must not overlap with exposure.portRange, %d to %d'"
            ".format([self.exposure.portRange.first, self.exposure.portRange.last])",
        ),
        Rule(
            f"!has(self.turn) || ({_outside('self.turn.port')} && (!has(self.turn.tls) || "
            f"{_outside('self.turn.tls.port')}))",
            "turn.port and turn.tls.port must lie outside of both port ranges",
            at=".turn",
        ),
    )

    replicas: PoolReplicas = PoolReplicas()
    """How many SFU pods there may be."""
    placement: Placement = "Packed"
    """How meetings choose a pod: Packed (the fullest below 0.7), Spread (the least loaded),
    ConsistentHash (by the meeting's id)."""
    region: Region = ""
    """The people that the pool is near to; empty: all. Meetings of the same region come here
    first."""
    capacity: Capacity = Capacity()
    """What one SFU pod carries."""
    exposure: Exposure = Exposure()
    """How browsers' media reaches the pods."""
    autoscaling: Autoscaling = Autoscaling()
    """How the number of pods follows the load."""
    drain: Drain = Drain()
    """How a pod leaves that has meetings."""
    update: Update = Update()
    """How pods are replaced when the template changes."""
    turn: Turn | None = None
    """coturn pods; without it there are none."""
    template: PodTemplate = PodTemplate()
    """What differs from the pods that the operator makes by itself."""
    paused: bool = False
    """The operator makes, drains and deletes no pod until this is false again."""


class SFUPool(Resource):
    """SFU pods, and coturn pods beside them, that follow the load of meetings."""

    kind_name: ClassVar[str] = "SFUPool"
    rules = (
        Rule(
            "self.metadata.name.matches(r'^[a-z]([-a-z0-9]*[a-z0-9])?$') && "
            "self.metadata.name.size() <= 40",
            "a pool's name has at most 40 small letters, digits and - and begins with a letter: "
            "its pods' and services' names begin with it",
            at=".metadata.name",
        ),
    )

    spec: SFUPoolSpec = SFUPoolSpec()
    """What is wanted."""
    status: SFUPoolStatus = SFUPoolStatus()
    """How it is."""
