"""An SFU pod, and the Service and budget that go with it."""

from collections.abc import Mapping
from typing import Any

from kcs_contracts.labels import Role, pool_labels
from kcs_contracts.resources.v1alpha1 import (
    AnnouncedAddressFrom,
    ExposureMode,
    SFUPool,
    SFUPoolSpec,
)
from kcs_operator.manifests.identity import metadata, sfu_hash
from kcs_operator.manifests.names import ADDRESS, ANNOUNCED, CONTROL_PORT, SLOT
from kcs_operator.manifests.pod import container, from_field, from_secret, pod, variable
from kcs_operator.settings import Settings

_POD = "meetings.kcs.dev/pod"
_ALL = 1_000_000
"""More than there are: for pods of a custom resource, a budget takes no other kind of number."""
_WORKER_MILLICORES = 500
"""What a worker takes that is filled to the pool's target (docs/operations.md)."""
_NODE_MIB, _WORKER_MIB = 128, 64


def media_ports(spec: SFUPoolSpec, slot: int) -> range:
    """The ports of the pod in that place of the pool's range: one per worker."""
    first = spec.exposure.port_range.first + slot * spec.capacity.workers
    return range(first, first + spec.capacity.workers)


def slots(spec: SFUPoolSpec) -> int:
    """Places in the pool's range of ports."""
    ports = spec.exposure.port_range
    return (ports.last - ports.first + 1) // spec.capacity.workers


def control_port(spec: SFUPoolSpec, slot: int) -> int:
    """The control API's port: on the host's network each pod needs one of its own."""
    host = spec.exposure.mode is ExposureMode.HOST_NETWORK
    return CONTROL_PORT + slot if host else CONTROL_PORT


def needs_service(spec: SFUPoolSpec) -> bool:
    """Whether each pod has a Service of its own."""
    return spec.exposure.mode in (ExposureMode.NODE_PORT, ExposureMode.LOAD_BALANCER)


def sfu_pod(
    pool: Mapping[str, Any], name: str, slot: int, settings: Settings, address: str | None = None
) -> dict[str, Any]:
    """The pod. `address` is what its load balancer got, where it has one."""
    spec = SFUPool.model_validate(pool).spec
    template, ports = spec.template, media_ports(spec, slot)
    notes = {**template.annotations, SLOT: str(slot)}
    if fixed := address or spec.exposure.announced_address:
        notes[ADDRESS] = fixed
    meta = metadata(
        pool,
        name,
        settings.operator.instance,
        role=Role.SFU,
        template_hash=sfu_hash(spec),
        labels={**template.labels, _POD: name},
        annotations=notes,
    )
    control = control_port(spec, slot)
    probe = {"httpGet": {"path": "/readyz", "port": "control"}, "periodSeconds": 2}
    alive = {"httpGet": {"path": "/healthz", "port": "control"}, "periodSeconds": 10}
    sfu = container(
        "sfu",
        template.image or settings.images.sfu,
        settings.images.pull_policy,
        _environment(pool["metadata"]["name"], spec, ports, control, settings, address),
        [
            {"name": "control", "containerPort": control, "protocol": "TCP"},
            *_container_ports(spec, ports),
        ],
        resources=_resources(spec),
        readinessProbe={**probe, "failureThreshold": 2},
        # not /readyz: with Redis away it would kill the pod again and again
        startupProbe={**alive, "periodSeconds": 1, "failureThreshold": 60},
        livenessProbe={**alive, "failureThreshold": 6},
    )
    return pod(
        meta,
        spec,
        [sfu],
        stop_seconds=settings.pods.stop_seconds,
        host_network=spec.exposure.mode is ExposureMode.HOST_NETWORK,
    )


def _resources(spec: SFUPoolSpec) -> dict[str, Any]:
    """As the template says; what it leaves out is asked for by the number of workers.

    Pods that ask for nothing are the first to go where a Kubernetes node runs out.
    """
    said, workers = spec.template.resources, spec.capacity.workers
    needed = {
        "cpu": f"{_WORKER_MILLICORES * workers}m",
        "memory": f"{_NODE_MIB + _WORKER_MIB * workers}Mi",
    }
    # a limit alone is a request as well, and one above it would be refused
    left_out = {k: v for k, v in needed.items() if k not in said.requests | said.limits}
    return {**said.to_json(), "requests": {**left_out, **said.requests}}


def _environment(
    pool: str,
    spec: SFUPoolSpec,
    ports: range,
    control: int,
    settings: Settings,
    address: str | None,
) -> list[dict[str, Any]]:
    exposure, pods = spec.exposure, settings.pods
    if exposure.announced_address_from is AnnouncedAddressFrom.HOST_IP:
        announced = from_field(ANNOUNCED, "status.hostIP")
    elif exposure.announced_address_from is AnnouncedAddressFrom.POD_IP:
        announced = from_field(ANNOUNCED, "status.podIP")
    else:
        told = address or exposure.announced_address or ""
        announced = variable(ANNOUNCED, told)
    return [
        from_field("POD_IP", "status.podIP"),
        from_field("KCS_NODE__NAME", "metadata.name"),
        variable("KCS_NODE__REGION", spec.region),
        variable("KCS_NODE__POOL", pool),
        variable("KCS_NODE__WORKERS", spec.capacity.workers),
        variable("KCS_NODE__CONSUMERS_PER_WORKER", spec.capacity.consumers_per_worker),
        variable("KCS_NODE__EGRESS_MBPS", spec.capacity.egress_mbps),
        variable("KCS_CONTROL__HOST", "0.0.0.0"),
        variable("KCS_CONTROL__PORT", control),
        variable("KCS_CONTROL__ADVERTISED_URL", f"http://$(POD_IP):{control}"),
        variable("KCS_MEDIA__PORT", ports[0]),
        from_field("KCS_MEDIA__LISTEN_IP", "status.podIP"),
        variable("KCS_MEDIA__TCP", str(exposure.tcp).lower()),
        announced,
        from_secret("KCS_REDIS__URL", pods.redis_secret, pods.redis_secret_key),
        variable("KCS_TICKETS__JWKS", pods.jwks_url),
        # the operator drains pods before it deletes them; this is for those that others delete
        variable("KCS_DRAIN__DEADLINE_SECONDS", pods.stop_seconds - 5),
        *(variable(each.name, each.value) for each in spec.template.env),
    ]


def _container_ports(spec: SFUPoolSpec, ports: range) -> list[dict[str, Any]]:
    shared = spec.exposure.mode in (ExposureMode.HOST_PORT, ExposureMode.HOST_NETWORK)
    return [
        {
            "name": f"media-{protocol.lower()}-{index}",
            "containerPort": port,
            "protocol": protocol,
            **({"hostPort": port} if shared else {}),
        }
        for protocol in _protocols(spec)
        for index, port in enumerate(ports)
    ]


def _protocols(spec: SFUPoolSpec) -> tuple[str, ...]:
    return ("UDP", "TCP") if spec.exposure.tcp else ("UDP",)


def sfu_service(
    pool: Mapping[str, Any], name: str, slot: int, settings: Settings
) -> dict[str, Any]:
    """The Service of one pod: the same port inside and outside, and no other node in between."""
    spec = SFUPool.model_validate(pool).spec
    node_ports = spec.exposure.mode is ExposureMode.NODE_PORT
    ports = [
        {
            "name": f"media-{protocol.lower()}-{index}",
            "port": port,
            "targetPort": port,
            "protocol": protocol,
            **({"nodePort": port} if node_ports else {}),
        }
        for protocol in _protocols(spec)
        for index, port in enumerate(media_ports(spec, slot))
    ]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(
            pool, name, settings.operator.instance, role=Role.SFU, annotations={SLOT: str(slot)}
        ),
        "spec": {
            "type": spec.exposure.mode.value,
            "externalTrafficPolicy": "Local",
            # a pod is not ready while Redis is away, and its calls go on: so must their way in
            "publishNotReadyAddresses": True,
            "selector": {_POD: name},
            "ports": ports,
        },
    }


def disruption_budget(pool: Mapping[str, Any], role: Role, settings: Settings) -> dict[str, Any]:
    """No voluntary disruption: an eviction makes the pod drain, and the operator deletes it."""
    name = pool["metadata"]["name"]
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": metadata(pool, f"{name}-{role.value}", settings.operator.instance, role=role),
        "spec": {"minAvailable": _ALL, "selector": {"matchLabels": pool_labels(name, role)}},
    }


def slot_of(service: Mapping[str, Any]) -> int:
    """The place in the pool's range of ports that a pod's Service has."""
    return int(service["metadata"]["annotations"][SLOT])


def external_address(service: Mapping[str, Any]) -> str | None:
    """What the load balancer got; None while it has none."""
    ingress = service.get("status", {}).get("loadBalancer", {}).get("ingress") or [{}]
    found: str | None = ingress[0].get("ip") or ingress[0].get("hostname")
    return found


def ports_of(service: Mapping[str, Any]) -> list[tuple[str, int]]:
    """Protocols and ports of a Service."""
    return sorted((each["protocol"], each["port"]) for each in service["spec"]["ports"])
