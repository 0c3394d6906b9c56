"""Pools that the API server must refuse, for `test_crds_refused`."""

from typing import Any, NamedTuple

from tests.support.resources import pool


class Wrong(NamedTuple):
    """An object that must not come in, the field that is at fault and what is said about it."""

    what: str
    object: dict[str, Any]
    field: str
    says: str


def ports(first: int, last: int) -> dict[str, int]:
    return {"first": first, "last": last}


def exposed(**fields: Any) -> dict[str, Any]:
    return pool({"exposure": fields})


def with_turn(**fields: Any) -> dict[str, Any]:
    return pool({"turn": fields})


def with_template(**fields: Any) -> dict[str, Any]:
    return pool({"template": fields})


def scheduled_pool(**fields: Any) -> dict[str, Any]:
    morning = {"name": "morning", "start": "07:45", "end": "10:00", "replicas": 2, **fields}
    return pool({"autoscaling": {"schedules": [morning]}})


TWICE = [
    {"name": "morning", "start": "07:45", "end": "10:00", "replicas": 2},
    {"name": "morning", "start": "17:45", "end": "20:00", "replicas": 2},
]
DURATION = "a length of time is written as 90s, 10m or 1h30m"
SMALL = "small letters, digits and -"

WRONG_POOLS = (
    Wrong(
        "more pods at least than at most",
        pool({"replicas": {"min": 5}}),
        "spec.replicas.max",
        "max (3) must not be below min (5)",
    ),
    Wrong(
        "less than no pod",
        pool({"replicas": {"min": -1}}),
        "spec.replicas.min",
        "should be greater than or equal to 0",
    ),
    Wrong(
        "no pod at most",
        pool({"replicas": {"min": 0, "max": 0}}),
        "spec.replicas.max",
        "should be greater than or equal to 1",
    ),
    Wrong(
        "more pods than there can be",
        pool({"replicas": {"max": 1001}, "exposure": {"portRange": ports(10000, 20000)}}),
        "spec.replicas.max",
        "should be less than or equal to 1000",
    ),
    Wrong(
        "a number in words",
        pool({"replicas": {"max": "three"}}),
        "spec.replicas.max",
        'must be of type integer: "string"',
    ),
    Wrong(
        "an unknown placement",
        pool({"placement": "Random"}),
        "spec.placement",
        'supported values: "Packed", "Spread", "ConsistentHash"',
    ),
    Wrong("a region in capitals", pool({"region": "EU West"}), "spec.region", SMALL),
    Wrong("a region that is too long", pool({"region": "a" * 64}), "spec.region", "Too long"),
    Wrong(
        "a pod without workers",
        pool({"capacity": {"workers": 0}}),
        "spec.capacity.workers",
        "should be greater than or equal to 1",
    ),
    Wrong(
        "too few ports for the workers",
        pool({"capacity": {"workers": 4}, "exposure": {"portRange": ports(40000, 40009)}}),
        "spec.exposure.portRange",
        "10 ports are too few: 4 workers x (3 pods at most + 1 while updating) need 16",
    ),
    Wrong(
        "a range that ends before it begins",
        exposed(portRange=ports(40999, 40000)),
        "spec.exposure.portRange.last",
        "last must not be below first",
    ),
    Wrong(
        "a range without an end",
        exposed(portRange={"first": 40000}),
        "spec.exposure.portRange.last",
        "Required value",
    ),
    Wrong(
        "a port that is none",
        exposed(portRange=ports(0, 100)),
        "spec.exposure.portRange.first",
        "should be greater than or equal to 1",
    ),
    Wrong(
        "node ports out of the cluster's range",
        exposed(mode="NodePort"),
        "spec.exposure.portRange",
        "mode: NodePort takes ports from 30000 to 32767",
    ),
    Wrong(
        "an unknown mode",
        exposed(mode="Ingress"),
        "spec.exposure.mode",
        'supported values: "HostPort", "HostNetwork", "NodePort", "LoadBalancer"',
    ),
    Wrong(
        "a fixed address that is not said",
        exposed(announcedAddressFrom="Fixed"),
        "spec.exposure",
        "announcedAddressFrom: Fixed needs an announcedAddress",
    ),
    Wrong(
        "an address that does not count",
        exposed(announcedAddress="203.0.113.7"),
        "spec.exposure",
        "announcedAddress counts with announcedAddressFrom: Fixed only",
    ),
    Wrong(
        "an address with a port",
        exposed(announcedAddressFrom="Fixed", announcedAddress="http://203.0.113.7/"),
        "spec.exposure.announcedAddress",
        "an address is an IPv4 or IPv6 address or a host name",
    ),
    Wrong(
        "a load balancer without its address",
        exposed(mode="LoadBalancer"),
        "spec.exposure",
        "announcedAddressFrom: LoadBalancer and mode: LoadBalancer go together",
    ),
    Wrong(
        "a load balancer's address without one",
        exposed(announcedAddressFrom="LoadBalancer"),
        "spec.exposure",
        "announcedAddressFrom: LoadBalancer and mode: LoadBalancer go together",
    ),
    Wrong(
        "pods that shall be over-full",
        pool({"autoscaling": {"targetUtilization": 70}}),
        "spec.autoscaling.targetUtilization",
        "should be less than or equal to 1",
    ),
    Wrong(
        "a duration without a unit",
        pool({"autoscaling": {"scaleDownStabilization": "600"}}),
        "spec.autoscaling.scaleDownStabilization",
        DURATION,
    ),
    Wrong(
        "a duration of one digit",
        pool({"drain": {"deadline": "5"}}),
        "spec.drain.deadline",
        DURATION,
    ),
    Wrong(
        "an empty duration",
        pool({"drain": {"migrateAfter": ""}}),
        "spec.drain.migrateAfter",
        DURATION,
    ),
    Wrong(
        "a duration in days",
        pool({"drain": {"deadline": "1d"}}),
        "spec.drain.deadline",
        DURATION,
    ),
    Wrong(
        "a duration below zero",
        pool({"drain": {"deadline": "-5m"}}),
        "spec.drain.deadline",
        DURATION,
    ),
    Wrong(
        "a duration as a number",
        pool({"drain": {"deadline": 300}}),
        "spec.drain.deadline",
        'must be of type string: "integer"',
    ),
    Wrong(
        "meetings that move after the deadline",
        pool({"drain": {"deadline": "10m", "migrateAfter": "1h"}}),
        "spec.drain.migrateAfter",
        "migrateAfter (1h) must not be longer than deadline (10m)",
    ),
    Wrong(
        "an update that cannot go on",
        pool({"update": {"maxSurge": 0}}),
        "spec.update",
        "one of maxSurge and maxUnavailable must be above 0",
    ),
    Wrong(
        "a time of day with one digit",
        scheduled_pool(start="7:45"),
        "spec.autoscaling.schedules[0].start",
        "a time of day is written as 07:45",
    ),
    Wrong(
        "midnight as 24:00",
        scheduled_pool(end="24:00"),
        "spec.autoscaling.schedules[0].end",
        "from 00:00 to 23:59",
    ),
    Wrong(
        "a schedule of no length",
        scheduled_pool(end="07:45"),
        "spec.autoscaling.schedules[0].end",
        "start and end must differ",
    ),
    Wrong(
        "an unknown day",
        scheduled_pool(days=["Monday"]),
        "spec.autoscaling.schedules[0].days[0]",
        'supported values: "Mon", "Tue"',
    ),
    Wrong(
        "a day twice",
        scheduled_pool(days=["Mon", "Mon"]),
        "spec.autoscaling.schedules[0].days[1]",
        'Duplicate value: "Mon"',
    ),
    Wrong(
        "a schedule on no day",
        scheduled_pool(days=[]),
        "spec.autoscaling.schedules[0].days",
        "should have at least 1 items",
    ),
    Wrong(
        "a time zone with a space",
        scheduled_pool(timeZone="Central European"),
        "spec.autoscaling.schedules[0].timeZone",
        "a time zone has its IANA name, such as Europe/Berlin",
    ),
    Wrong(
        "two schedules of one name",
        pool({"autoscaling": {"schedules": TWICE}}),
        "spec.autoscaling.schedules[1]",
        'Duplicate value: {"name":"morning"}',
    ),
    Wrong(
        "too few ports to relay from",
        with_turn(portRange=ports(49152, 49200)),
        "spec.turn.portRange",
        "a coturn pod needs 100 ports at least",
    ),
    Wrong(
        "ports of SFU and TURN that overlap",
        with_turn(portRange=ports(40500, 41500)),
        "spec.turn.portRange",
        "turn.portRange must not overlap with exposure.portRange, 40000 to 40999",
    ),
    Wrong(
        "TURN's port among the media ports",
        with_turn(port=40000),
        "spec.turn",
        "turn.port and turn.tls.port must lie outside of both port ranges",
    ),
    Wrong(
        "TLS on the same port",
        with_turn(tls={"secretName": "turn-tls", "port": 3478}),
        "spec.turn.tls.port",
        "tls.port must be another one than port",
    ),
    Wrong(
        "a certificate's name with a port",
        with_turn(tls={"secretName": "turn-tls", "host": "turn.example.org:5349"}),
        "spec.turn.tls.host",
        "a name such as turn.example.org or *.turn.example.org",
    ),
    Wrong("TLS without a Secret", with_turn(tls={}), "spec.turn.tls.secretName", "Required value"),
    Wrong(
        "a realm with a space",
        with_turn(realm="our meetings"),
        "spec.turn.realm",
        "a realm has letters, digits, dots and -",
    ),
    Wrong(
        "more coturn pods at least than at most",
        with_turn(replicas={"min": 3}),
        "spec.turn.replicas.max",
        "max (2) must not be below min (3)",
    ),
    Wrong(
        "a variable's name with a dash",
        with_template(env=[{"name": "LOG-LEVEL", "value": "debug"}]),
        "spec.template.env[0].name",
        "a variable's name has letters, digits and _",
    ),
    Wrong(
        "a variable that the operator sets",
        with_template(env=[{"name": "KCS_NODE__NAME", "value": "other"}]),
        "spec.template.env[0].name",
        "the operator sets this variable itself",
    ),
    Wrong(
        "a variable twice",
        with_template(env=[{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]),
        "spec.template.env[1]",
        'Duplicate value: {"name":"A"}',
    ),
    Wrong(
        "memory with a unit that there is not",
        with_template(resources={"limits": {"memory": "1GB"}}),
        "spec.template.resources.limits",
        "quantities are written as 500m, 2, 1.5 or 1Gi",
    ),
    Wrong(
        "CPU below zero",
        with_template(resources={"requests": {"cpu": -1}}),
        "spec.template.resources.requests",
        "quantities are written as 500m, 2, 1.5 or 1Gi",
    ),
    Wrong(
        "a label of the operator's",
        with_template(labels={"meetings.kcs.dev/pool": "other"}),
        "spec.template.labels",
        "meetings.kcs.dev/ and app.kubernetes.io/ are the operator's own",
    ),
    Wrong(
        "a label that no pod may have",
        with_template(labels={"team": "video & audio"}),
        "spec.template.labels",
        "a label's value has at most 63 letters, digits, dots, _ and -",
    ),
    Wrong(
        "an annotation's key with a space",
        with_template(annotations={"my note": "hello"}),
        "spec.template.annotations",
        "a key is written as team or example.org/team",
    ),
    Wrong(
        "a pool's name with a dot",
        pool(name="eu.west"),
        "metadata.name",
        "a pool's name has at most 40 small letters, digits and -",
    ),
    Wrong(
        "a pool's name that is too long for its pods",
        pool(name="a" * 41),
        "metadata.name",
        "a pool's name has at most 40 small letters, digits and -",
    ),
    Wrong(
        "a misspelled field",
        pool({"replicas": {"maximum": 3}}),
        "spec.replicas.maximum",
        "unknown field",
    ),
)
