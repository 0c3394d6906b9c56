"""What is there, as the watches tell it: kopf lists and watches, this keeps the newest state.

kopf's watching handlers alone are used: they write nothing, neither annotations nor finalizers,
so a restart changes nothing in the cluster. What is to be done is decided again from the whole
state (`pools`, `meetings`), whatever events came or were missed.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import kopf

from kcs_contracts.labels import MANAGED_BY, OPERATOR, POOL
from kcs_contracts.labels import selector as pods_selector
from kcs_contracts.resources.v1alpha1 import GROUP, VERSION
from kcs_operator.cluster import Cluster, Object

_SERVER_TIMEOUT_S = 240
"""The API server ends a watch after so long; kopf begins the next one where it ended."""
_CLIENT_TIMEOUT_S = 260
_SILENT_S = 75.0
"""A watch that says nothing for so long is begun anew: the server sends bookmarks each minute."""


class Cache:
    """The newest state of each object, by kind and name."""

    def __init__(self) -> None:
        self.pools: dict[str, Object] = {}
        self.meetings: dict[str, Object] = {}
        self.pods: dict[str, Object] = {}
        self.changed = asyncio.Event()
        """Something changed; whoever waits for it clears it."""
        self._listeners: list[Callable[[str, str], None]] = []

    def pods_of(self, pool: str) -> list[Object]:
        """The pool's pods."""
        return [pod for pod in self.pods.values() if pod["metadata"]["labels"].get(POOL) == pool]

    def listen(self, listener: Callable[[str, str], None]) -> None:
        """Calls the listener with kind and name of each object that changes, and its pool."""
        self._listeners.append(listener)

    def put(self, kind: str, name: str, body: Object | None) -> None:
        """Takes what is newest; None when the object is gone.

        What is older than what is here is not taken: a watch may be behind our own writes.
        """
        objects: dict[str, Object] = getattr(self, kind)
        before = objects.get(name)
        if body is None:
            objects.pop(name, None)
        elif before is None or not _is_older(body, before):
            objects[name] = body
        else:
            return
        self.changed.set()
        about = (body or before or {}).get("metadata", {}).get("labels", {}).get(POOL, name)
        for listener in self._listeners:
            listener(kind, about)

    def replace(self, kind: str, bodies: Sequence[Object]) -> None:
        """Takes a whole list: what is not in it is gone."""
        objects: dict[str, Object] = getattr(self, kind)
        names = {body["metadata"]["name"] for body in bodies}
        for name in [name for name in objects if name not in names]:
            self.put(kind, name, None)
        for body in bodies:
            self.put(kind, body["metadata"]["name"], body)


def _is_older(body: Object, before: Object) -> bool:
    """By resource version: they can be compared (KEP-5504). Another UID is never older."""
    new, old = body["metadata"], before["metadata"]
    if new["uid"] != old["uid"]:
        return False
    try:
        return int(new["resourceVersion"]) < int(old["resourceVersion"])
    except (KeyError, ValueError):
        return False


async def fill(cache: Cache, cluster: Cluster) -> None:
    """Lists everything into the cache."""
    cache.replace("pools", await cluster.list("sfupools"))
    cache.replace("meetings", await cluster.list("meetings"))
    cache.replace("pods", await cluster.list("pods", pods_selector()))


def registry(cache: Cache) -> kopf.OperatorRegistry:
    """kopf's handlers: each event goes to the cache."""
    found = kopf.OperatorRegistry()
    labels: dict[str, Any] = {MANAGED_BY: OPERATOR, POOL: kopf.PRESENT}

    def watch(kind: str) -> Callable[..., None]:
        def on_event(event: Mapping[str, Any], name: str, **_: Any) -> None:
            gone = event["type"] == "DELETED"
            cache.put(kind, name, None if gone else dict(event["object"]))

        return on_event

    @kopf.on.login(registry=found)
    def login(**context: Any) -> kopf.ConnectionInfo | None:
        account = kopf.login_with_service_account(**context)
        return account or kopf.login_with_kubeconfig(**context)

    kopf.on.event(GROUP, VERSION, "sfupools", registry=found)(watch("pools"))
    kopf.on.event(GROUP, VERSION, "meetings", registry=found)(watch("meetings"))
    kopf.on.event("", "v1", "pods", labels=labels, registry=found)(watch("pods"))
    return found


def settings() -> kopf.OperatorSettings:
    """kopf's settings: watches that fall silent are begun again, and no events are posted."""
    found = kopf.OperatorSettings()
    found.posting.enabled = False
    found.scanning.disabled = True
    found.peering.standalone = True
    found.watching.server_timeout = _SERVER_TIMEOUT_S
    found.watching.client_timeout = _CLIENT_TIMEOUT_S
    found.watching.inactivity_timeout = _SILENT_S
    found.watching.connect_timeout = 10
    found.networking.request_timeout = 30
    found.networking.error_backoffs = [1, 1, 2, 3, 5, 8]
    return found
