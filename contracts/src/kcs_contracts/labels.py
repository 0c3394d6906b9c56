"""Labels and annotations of Kubernetes objects, each said once.

The operator puts them on what it makes and finds its pods by them; the chart, network policies,
dashboards and people use the same names. A label that selects never changes its meaning.
"""

from collections.abc import Mapping
from enum import StrEnum

from kcs_contracts.resources.v1alpha1.common import GROUP

POOL = f"{GROUP}/pool"
"""Name of the SFUPool that owns the object."""
ROLE = f"{GROUP}/role"
"""What a pod is: a `Role`."""
TEMPLATE_HASH = f"{GROUP}/template-hash"
"""What a pod was made from: another hash means that it is to be replaced."""

NAME = "app.kubernetes.io/name"
INSTANCE = "app.kubernetes.io/instance"
COMPONENT = "app.kubernetes.io/component"
MANAGED_BY = "app.kubernetes.io/managed-by"

DRAIN_REQUESTED = f"{GROUP}/drain-requested"
"""Annotation of a pod that shall drain; its value says why."""
FINALIZER = f"{GROUP}/drain"
"""Finalizer of a pool, as long as pods of it must drain."""

APPLICATION = "kcs-meetings"
"""The value of `NAME`."""
OPERATOR = "kcs-operator"
"""The value of `MANAGED_BY` on all that the operator makes; what the chart makes says Helm."""


class Role(StrEnum):
    """What a pod of a pool is."""

    SFU = "sfu"
    TURN = "turn"


class Component(StrEnum):
    """Which part of the application an object belongs to."""

    SFU = "sfu"
    TURN = "turn"
    SIGNALING = "signaling"
    OPERATOR = "operator"
    REDIS = "redis"
    POSTGRESQL = "postgresql"


def pool_labels(pool: str, role: Role | None = None) -> dict[str, str]:
    """What all objects of a pool have, and all of one role; these never change on an object."""
    labels = {NAME: APPLICATION, MANAGED_BY: OPERATOR, POOL: pool}
    return labels if role is None else {**labels, ROLE: role.value, COMPONENT: role.value}


def pod_labels(pool: str, role: Role, template_hash: str) -> dict[str, str]:
    """A pod's labels."""
    return {**pool_labels(pool, role), TEMPLATE_HASH: template_hash}


def selector(pool: str | None = None, role: Role | None = None) -> str:
    """A label selector as the API's lists and `kubectl -l` take it: the pods of a pool.

    Without a pool those of all pools, without a role both roles.
    """
    wanted = {MANAGED_BY: OPERATOR}
    if pool is not None:
        wanted[POOL] = pool
    return selector_text(wanted if role is None else {**wanted, ROLE: role.value})


def selector_text(labels: Mapping[str, str]) -> str:
    """Labels as a selector: `a=1,b=2`."""
    return ",".join(f"{key}={value}" for key, value in labels.items())
