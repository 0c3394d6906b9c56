"""What all objects of a pool have in common: names, labels, owner, the template's hash."""

import hashlib
import json
import secrets
from collections.abc import Mapping
from typing import Any

from kcs_contracts.labels import INSTANCE, Role, pod_labels, pool_labels
from kcs_contracts.resources.v1alpha1 import GROUP, VERSION, ExposureMode, SFUPoolSpec, Turn

_HASH_DIGITS = 10
_SUFFIX_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
_NAME_LENGTH = 57
"""Of a pod's name, without its suffix: names stand in labels, which have 63 characters."""


def pod_name(pool: str, role: Role) -> str:
    """A new name: pods are never named twice, so that placement never takes one for another."""
    suffix = "".join(secrets.choice(_SUFFIX_LETTERS) for _ in range(5))
    stem = pool if role is Role.SFU else f"{pool}-{role.value}"
    return f"{stem[:_NAME_LENGTH]}-{suffix}"


def owner(pool: Mapping[str, Any]) -> dict[str, Any]:
    """The pool as the controlling owner: what is left of it goes with it."""
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": "SFUPool",
        "name": pool["metadata"]["name"],
        "uid": pool["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": False,
    }


def metadata(
    pool: Mapping[str, Any],
    name: str,
    instance: str,
    *,
    role: Role | None = None,
    template_hash: str | None = None,
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """`metadata` of an object of the pool; people's labels never replace the operator's."""
    own = pool_labels(pool["metadata"]["name"], role)
    if role is not None and template_hash is not None:
        own = pod_labels(pool["metadata"]["name"], role, template_hash)
    meta: dict[str, Any] = {
        "name": name,
        "namespace": pool["metadata"]["namespace"],
        "labels": {**(labels or {}), **own, INSTANCE: instance},
        "ownerReferences": [owner(pool)],
    }
    if annotations:
        meta["annotations"] = dict(annotations)
    return meta


def sfu_hash(spec: SFUPoolSpec) -> str:
    """Of all that an SFU pod is made from by the spec: another hash replaces the pods.

    Values that equal the defaults do not count, and neither does the operator's own version: an
    upgrade of the operator moves no hash.
    """
    return _hash(spec, {"capacity", "exposure", "region", "template"})


def turn_hash(spec: SFUPoolSpec) -> str:
    """The same of a coturn pod and its configuration: what is in neither does not count."""
    turn = spec.turn
    if turn is None:
        return ""
    said = _said(spec, {"turn", "template"})
    exposure, defaults = spec.exposure, Turn()
    own = {k: v for k, v in said.get("turn", {}).items() if k not in _NOT_IN_A_COTURN_POD}
    if "tls" in own:
        own["tls"] = {k: v for k, v in own["tls"].items() if k != "host"}
    if turn_quota(turn) != turn_quota(defaults):
        own["quota"] = turn_quota(turn)
    template = {k: v for k, v in said.get("template", {}).items() if k not in _SFU_CONTAINER}
    place = {
        "address": exposure.announced_address,
        "hostNetwork": exposure.mode is ExposureMode.HOST_NETWORK or None,
    }
    found = {k: v for k, v in place.items() if v is not None}
    return _digest({"turn": own, "exposure": found, "template": template})


def turn_quota(turn: Turn) -> int:
    """Connections that one coturn pod relays at most: beyond, it refuses."""
    return max(turn.target_allocations * 2, turn.user_quota)


_NOT_IN_A_COTURN_POD = ("replicas", "targetAllocations", "targetEgressMbps")
_SFU_CONTAINER = ("image", "env", "resources")
"""Of the template, what is the SFU's container's."""


def _hash(spec: SFUPoolSpec, fields: set[str]) -> str:
    return _digest(_said(spec, fields))


def _said(spec: SFUPoolSpec, fields: set[str]) -> dict[str, Any]:
    return spec.model_dump(mode="json", by_alias=True, include=fields, exclude_defaults=True)


def _digest(value: Mapping[str, Any]) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:_HASH_DIGITS]
