"""The generic pod of a pool: what SFU and coturn pods have in common.

All of Pod Security's `restricted` profile but for what the exposure needs: host ports and the
host's network are `privileged` there (docs/operations.md).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from kcs_contracts.labels import POOL, ROLE
from kcs_contracts.resources.v1alpha1 import SFUPoolSpec

USER = 65532
_ZONE = "topology.kubernetes.io/zone"
_HOST = "kubernetes.io/hostname"


def pod(
    meta: Mapping[str, Any],
    spec: SFUPoolSpec,
    containers: Sequence[Mapping[str, Any]],
    *,
    stop_seconds: int,
    host_network: bool,
    volumes: Sequence[Mapping[str, Any]] = (),
    sysctls: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """A pod that the pool owns; it is spread over zones and hosts as far as they go."""
    labels = meta["labels"]
    same = {POOL: labels[POOL], ROLE: labels[ROLE]}
    template = spec.template
    body: dict[str, Any] = {
        "containers": list(containers),
        "volumes": [{"name": "tmp", "emptyDir": {}}, *volumes],
        "restartPolicy": "Always",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": stop_seconds,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "topologySpreadConstraints": [_spread(_ZONE, same), _spread(_HOST, same)],
    }
    if sysctls:
        kernel = [{"name": name, "value": value} for name, value in sysctls.items()]
        body["securityContext"]["sysctls"] = kernel
    if host_network:
        body |= {"hostNetwork": True, "dnsPolicy": "ClusterFirstWithHostNet"}
    optional = {
        "nodeSelector": template.node_selector,
        "tolerations": [dict(each) for each in template.tolerations],
        "affinity": template.affinity,
        "priorityClassName": template.priority_class_name,
        "imagePullSecrets": [{"name": name} for name in template.image_pull_secrets],
    }
    body |= {name: value for name, value in optional.items() if value}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": dict(meta), "spec": body}


def container(
    name: str,
    image: str,
    pull_policy: str,
    env: Sequence[Mapping[str, Any]],
    ports: Sequence[Mapping[str, Any]],
    **more: Any,
) -> dict[str, Any]:
    """A container that may do nothing but its work: no privileges, a read-only root, /tmp."""
    mounts = [{"name": "tmp", "mountPath": "/tmp"}, *more.pop("volumeMounts", ())]
    return {
        "name": name,
        "image": image,
        "imagePullPolicy": pull_policy,
        "env": list(env),
        "ports": list(ports),
        "volumeMounts": mounts,
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        **{key: value for key, value in more.items() if value},
    }


def variable(name: str, value: object) -> dict[str, Any]:
    """An environment variable."""
    return {"name": name, "value": str(value)}


def from_secret(name: str, secret: str, key: str) -> dict[str, Any]:
    """One whose value a Secret holds."""
    return {"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}


def from_field(name: str, path: str) -> dict[str, Any]:
    """One that the kubelet fills in."""
    return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}


def _spread(key: str, labels: Mapping[str, str]) -> dict[str, Any]:
    return {
        "maxSkew": 1,
        "topologyKey": key,
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": dict(labels)},
    }
