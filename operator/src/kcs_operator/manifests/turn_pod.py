"""A coturn pod, and the Secret with its configuration.

Browsers reach one port of it; it relays to the SFU pods' announced addresses and to nothing else.
Those stand in an annotation, which the kubelet shows the pod as a file: it follows them as SFU pods
come and go. The shared secrets stand in the configuration, so they count in its hash: when one
changes, coturn pods are replaced as in any update, without cutting a call.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from pydantic import SecretStr, ValidationError

from kcs_contracts.coturn import CoturnConfig, CoturnTls, coturn_conf
from kcs_contracts.labels import Role
from kcs_contracts.resources.v1alpha1 import ExposureMode, SFUPool, SFUPoolSpec
from kcs_contracts.turn_servers import TurnServer
from kcs_operator.manifests.identity import metadata, turn_hash, turn_quota
from kcs_operator.manifests.names import ADDRESS, EXPORTER_PORT, PEERS, SLOT
from kcs_operator.manifests.pod import container, from_field, pod, variable
from kcs_operator.settings import Settings

_CONFIG = "/etc/kcs-coturn"
_TLS = "/etc/kcs-coturn-tls"
_PEERS = "/etc/kcs-coturn-peers"
_PEERS_DB = "/tmp/peers.sqlite"
_UDP, _TCP, _OVER_TLS = "turn-udp", "turn-tcp", "turn-tls"
"""Names of the ports."""
_LOW_PORTS = {"net.ipv4.ip_unprivileged_port_start": "0"}
"""Lets a user that is not root have port 443; Pod Security's `restricted` takes it."""
_REQUESTS = {"cpu": "100m", "memory": "64Mi"}
"""Enough to stay where a Kubernetes node runs out, not to relay what a pod is made for."""


def turn_peers(addresses: Sequence[str]) -> str:
    """`PEERS`: each SFU pod's announced IPv4 address. Names and IPv6 addresses cannot be."""
    found = set()
    for text in addresses:
        try:
            found.add(IPv4Address(text))
        except ValueError:
            continue
    return ",".join(str(each) for each in sorted(found))


def turn_template_hash(spec: SFUPoolSpec, secrets: Sequence[str]) -> str:
    """Of all that a coturn pod is made from; the secrets count, and cannot be read from it."""
    text = json.dumps([turn_hash(spec), list(secrets)])
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def turn_config(
    pool: Mapping[str, Any],
    name: str,
    secrets: Sequence[str],
    settings: Settings,
) -> dict[str, Any]:
    """The Secret `name` with `turnserver.conf`.

    Raises:
        ValueError: a secret is too short.
    """
    spec = SFUPool.model_validate(pool).spec
    turn = spec.turn
    assert turn is not None
    tls = None
    if turn.tls is not None:
        folder = Path(_TLS)
        tls = CoturnTls(port=turn.tls.port, certificate=folder / "tls.crt", key=folder / "tls.key")
    config = CoturnConfig(
        listen_ip=None,
        relay_ip=None,
        port=turn.port,
        tls=tls,
        relay_ports=(turn.port_range.first, turn.port_range.last),
        realm=turn.realm,
        secrets=tuple(SecretStr(each) for each in secrets),
        peers_db=Path(_PEERS_DB),
        user_quota=turn.user_quota,
        total_quota=turn_quota(turn),
        state_dir=Path("/tmp"),
    )
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata(pool, name, settings.operator.instance, role=Role.TURN),
        "type": "Opaque",
        "immutable": True,
        "stringData": {"turnserver.conf": coturn_conf(config)},
    }


def turn_pod(
    pool: Mapping[str, Any],
    name: str,
    slot: int,
    template_hash: str,
    config_secret: str,
    peers: str,
    settings: Settings,
) -> dict[str, Any]:
    """The pod. All pods of the role have the same ports, so no two share a Kubernetes node."""
    spec = SFUPool.model_validate(pool).spec
    turn = spec.turn
    assert turn is not None
    notes = {**spec.template.annotations, SLOT: str(slot), PEERS: peers}
    if spec.exposure.announced_address:
        notes[ADDRESS] = spec.exposure.announced_address
    meta = metadata(
        pool,
        name,
        settings.operator.instance,
        role=Role.TURN,
        template_hash=template_hash,
        labels=spec.template.labels,
        annotations=notes,
    )
    mounts = [
        {"name": "config", "mountPath": _CONFIG, "readOnly": True},
        {"name": "peers", "mountPath": _PEERS, "readOnly": True},
    ]
    annotation = {"fieldPath": f"metadata.annotations['{PEERS}']"}
    volumes: list[dict[str, Any]] = [
        {"name": "config", "secret": {"secretName": config_secret}},
        {"name": "peers", "downwardAPI": {"items": [{"path": "peers", "fieldRef": annotation}]}},
    ]
    if turn.tls is not None:
        mounts.append({"name": "tls", "mountPath": _TLS, "readOnly": True})
        volumes.append({"name": "tls", "secret": {"secretName": turn.tls.secret_name}})
    coturn = container(
        "coturn",
        settings.images.turn,
        settings.images.pull_policy,
        [
            from_field("POD_IP", "status.podIP"),
            variable("KCS_COTURN_POOL", pool["metadata"]["name"]),
            variable("KCS_COTURN_METRICS_PORT", EXPORTER_PORT),
            variable("KCS_COTURN_DRAIN_SECONDS", settings.pods.stop_seconds - 5),
            variable("KCS_COTURN_PEERS", f"{_PEERS}/peers"),
            variable("KCS_COTURN_PEERS_DB", _PEERS_DB),
            *([variable("KCS_COTURN_CERTIFICATE", f"{_TLS}/tls.crt")] if turn.tls else []),
        ],
        _ports(spec),
        args=[
            "-c",
            f"{_CONFIG}/turnserver.conf",
            "--listening-ip=$(POD_IP)",
            "--relay-ip=$(POD_IP)",
            "--max-allocate-lifetime=600",
        ],
        resources={"requests": _REQUESTS},
        readinessProbe={"httpGet": {"path": "/readyz", "port": "metrics"}, "periodSeconds": 3},
        livenessProbe={"httpGet": {"path": "/healthz", "port": "metrics"}, "periodSeconds": 10},
        volumeMounts=mounts,
    )
    host_network = spec.exposure.mode is ExposureMode.HOST_NETWORK
    lowest = min(turn.port, turn.tls.port if turn.tls else turn.port)
    return pod(
        meta,
        spec,
        [coturn],
        stop_seconds=settings.pods.stop_seconds,
        host_network=host_network,
        volumes=volumes,
        # on the host's network the API server would refuse it
        sysctls=_LOW_PORTS if lowest < 1024 and not host_network else None,
    )


def _ports(spec: SFUPoolSpec) -> list[dict[str, Any]]:
    turn = spec.turn
    assert turn is not None
    # load balancers and node ports are the SFU pods' ways; a coturn pod has its node's port
    listening = [(_UDP, turn.port, "UDP"), (_TCP, turn.port, "TCP")]
    if turn.tls is not None:
        listening.append((_OVER_TLS, turn.tls.port, "TCP"))
    return [
        {"name": "metrics", "containerPort": EXPORTER_PORT, "protocol": "TCP"},
        *(
            {"name": name, "containerPort": port, "hostPort": port, "protocol": protocol}
            for name, port, protocol in listening
        ),
    ]


def turn_server(body: Mapping[str, Any], address: str, spec: SFUPoolSpec) -> TurnServer | None:
    """What browsers are told of a coturn pod; None: it has no address that they can be told.

    The ports are the pod's own: a change of the pool's ports reaches its successor alone.
    """
    tls = spec.turn.tls if spec.turn else None
    host = tls.host if tls else None
    if host is not None and host.startswith("*"):
        host = address.replace(".", "-") + host[1:]
    ports = {
        port["name"]: port["containerPort"]
        for each in body["spec"]["containers"]
        for port in each.get("ports", ())
        if "name" in port
    }
    try:
        return TurnServer(
            host=address,
            tls_host=host,
            region=spec.region,
            udp_port=ports.get(_UDP),
            tcp_port=ports.get(_TCP),
            tls_port=ports.get(_OVER_TLS),
        )
    except ValidationError:
        return None
