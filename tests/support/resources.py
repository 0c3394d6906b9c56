"""Objects of `meetings.kcs.dev` for tests, and their kinds on a real API server."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.support.kubernetes import Kubernetes

from kcs_contracts.resources.v1alpha1 import API_VERSION

CRDS = Path(__file__).resolve().parents[2] / "crds"
JsonObject = dict[str, Any]


def install_crds(kubernetes: Kubernetes) -> None:
    """Teaches an API server both kinds, and waits until it knows them."""
    kubernetes.kubectl("apply", "--server-side", "-f", str(CRDS))
    kubernetes.kubectl("wait", "--for=condition=Established", "-f", str(CRDS), "--timeout=30s")


def pool(spec: Mapping[str, Any] | None = None, name: str = "main") -> JsonObject:
    """An SFUPool; without a spec it has the defaults alone."""
    return _object("SFUPool", name, spec or {})


def meeting(spec: Mapping[str, Any] | None = None, name: str = "town-hall") -> JsonObject:
    """A Meeting of Ada's, with what `spec` says beyond that."""
    return _object("Meeting", name, {"displayName": "Town hall", "host": "ada", **(spec or {})})


def _object(kind: str, name: str, spec: Mapping[str, Any]) -> JsonObject:
    return {
        "apiVersion": API_VERSION,
        "kind": kind,
        "metadata": {"name": name},
        "spec": dict(spec),
    }
