"""Events on objects, as `kubectl describe` shows them: on change only, and best effort."""

import secrets
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal

import structlog

from kcs_contracts.resources.v1alpha1.common import API_VERSION
from kcs_operator.cluster import Cluster
from kcs_operator.errors import OperatorError

_log = structlog.get_logger(__name__)
_NOTE_LENGTH = 1000


class Events:
    """Writes events; who cannot be told is logged."""

    def __init__(self, cluster: Cluster, identity: str):
        self._cluster, self._identity = cluster, identity

    async def tell(
        self,
        about: Mapping[str, Any],
        kind: str,
        reason: str,
        note: str,
        *,
        action: str = "Reconcile",
        type_: Literal["Normal", "Warning"] = "Normal",
    ) -> None:
        """One event on an SFUPool or a Meeting. `reason` and `action` are words in CamelCase."""
        body = event(about, kind, reason, note, action, type_, self._identity, time.time())
        try:
            await self._cluster.create("events", body)
        except OperatorError as error:
            _log.warning("event_not_told", reason=reason, error=str(error))


def event(
    about: Mapping[str, Any],
    kind: str,
    reason: str,
    note: str,
    action: str,
    type_: str,
    identity: str,
    now: float,
) -> dict[str, Any]:
    """The event as an object of `events.k8s.io/v1`."""
    meta = about["metadata"]
    at = datetime.fromtimestamp(now, UTC).isoformat(timespec="microseconds")
    return {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {
            "name": f"{meta['name'][:200]}.{secrets.token_hex(8)}",
            "namespace": meta["namespace"],
        },
        "eventTime": at.replace("+00:00", "Z"),
        "reportingController": "meetings.kcs.dev/operator",
        "reportingInstance": identity[:128],
        "action": action,
        "reason": reason,
        "note": note[:_NOTE_LENGTH],
        "type": type_,
        "regarding": {
            "apiVersion": API_VERSION,
            "kind": kind,
            "name": meta["name"],
            "namespace": meta["namespace"],
            "uid": meta["uid"],
        },
    }
