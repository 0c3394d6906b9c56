"""What is there, as the watches tell it: kopf lists and watches, this keeps the newest state.

kopf's watching handlers alone are used: they write nothing, neither annotations nor finalizers,
so a restart changes nothing in the cluster. What is to be done is decided again from the whole
state (`pools`, `meetings`), whatever events came or were missed.

Reports come in any order: a watch, a list and the answers to our own writes overtake each other.
Resource versions, which can be compared (KEP-5504), and the UIDs of what was deleted say which
one is the newest.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Literal

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
_REMEMBERED_S = 600.0
"""How long UIDs of deleted objects are known: longer than any report can be under way."""
_QUIET_S = 2.0
"""The lists of kopf's watches are over when they told nothing for so long."""
_MOST_QUIETS = 5
_SELDOM_S, _OFTEN_S, _S_PER_OBJECT = 1800.0, 30.0, 0.1

Kind = Literal["pools", "meetings", "pods"]


class Cache:
    """The newest state of each object, by kind and name."""

    def __init__(self) -> None:
        self.pools: dict[str, Object] = {}
        self.meetings: dict[str, Object] = {}
        self.pods: dict[str, Object] = {}
        self.changed = asyncio.Event()
        """Something changed; whoever waits for it clears it."""
        self.relisted = asyncio.Event()
        """A watch was begun with a list, which tells of no deletions; `until_due` clears it."""
        self._listeners: list[Callable[[str, str], None]] = []
        self._deleted: dict[str, float] = {}
        self._listed: dict[Kind, float] = {"pools": 0, "meetings": 0, "pods": 0}

    def __len__(self) -> int:
        return len(self.pools) + len(self.meetings) + len(self.pods)

    def pods_of(self, pool: str) -> list[Object]:
        """The pool's pods."""
        return [pod for pod in self.pods.values() if pod["metadata"]["labels"].get(POOL) == pool]

    def listen(self, listener: Callable[[str, str], None]) -> None:
        """Calls the listener with the kind of what changed, and its name; a pod's pool."""
        self._listeners.append(listener)

    def put(self, kind: Kind, name: str, body: Object) -> None:
        """Takes an object, as somebody told it, if that is news.

        What is older than what is here is none, nor is what was deleted since, nor what a later
        list did not have.
        """
        objects = self._all(kind)
        before = objects.get(name)
        known = self._listed[kind] if before is None else _version_of(before)
        if self.saw_deleted(body["metadata"]["uid"]) or _version_of(body) <= known:
            return
        body["metadata"].pop("managedFields", None)  # more than half of its memory, and unread
        objects[name] = body
        self._tell(kind, name, body)

    def drop(self, kind: Kind, body: Object) -> None:
        """A watch told that this very object was deleted; another of its name may be here."""
        meta, now = body["metadata"], time.monotonic()
        while self._deleted and now - next(iter(self._deleted.values())) > _REMEMBERED_S:
            del self._deleted[next(iter(self._deleted))]
        self._deleted[meta["uid"]] = now
        before = self._all(kind).get(meta["name"])
        if before is not None and before["metadata"]["uid"] == meta["uid"]:
            self._remove(kind, meta["name"])

    def saw_deleted(self, uid: str) -> bool:
        """Whether a watch told lately that this object was deleted: it does not come back."""
        return uid in self._deleted

    def replace(self, kind: Kind, bodies: Sequence[Object], version: str) -> None:
        """Takes a list of all, as they were at that resource version.

        What is not in it is gone, but for what is newer than the list.
        """
        objects, at = self._all(kind), _version(version)
        gone = objects.keys() - {body["metadata"]["name"] for body in bodies}
        if at < self._listed[kind]:  # the API server has an older state than before: a backup
            gone = set(objects)
            self._deleted.clear()
        else:
            gone = {name for name in gone if not _version_of(objects[name]) > at}
        for name in gone:
            self._remove(kind, name)
        self._listed[kind] = 0.0
        for body in bodies:
            self.put(kind, body["metadata"]["name"], body)
        self._listed[kind] = at

    def _all(self, kind: Kind) -> dict[str, Object]:
        found: dict[str, Object] = getattr(self, kind)
        return found

    def _remove(self, kind: Kind, name: str) -> None:
        self._tell(kind, name, self._all(kind).pop(name))

    def _tell(self, kind: Kind, name: str, body: Object) -> None:
        self.changed.set()
        about = name
        if kind == "pods":
            about = body["metadata"].get("labels", {}).get(POOL, name)
        for listener in self._listeners:
            listener(kind, about)


def _version_of(body: Object) -> float:
    return _version(body["metadata"].get("resourceVersion", ""))


def _version(text: str) -> float:
    """A resource version as a number. What is none is NaN, neither older nor newer than anything:
    then what is told last counts."""
    try:
        return int(text)
    except ValueError:
        return float("nan")


async def fill(cache: Cache, cluster: Cluster) -> None:
    """Lists everything into the cache."""
    kinds: tuple[tuple[Kind, str, str], ...] = (
        ("pools", "sfupools", ""),
        ("meetings", "meetings", ""),
        ("pods", "pods", pods_selector()),
    )
    for kind, plural, chosen in kinds:
        found = await cluster.listing(plural, chosen)
        cache.replace(kind, found.items, found.version)


async def until_due(cache: Cache) -> None:
    """Returns when it is time for `fill`: soon after a watch was begun with a list, for what was
    deleted before is told by nobody; and now and then.

    An empty list of a watch is not told either. So few objects, which cost little, are listed
    more often.
    """
    now_and_then_s = min(_SELDOM_S, max(_OFTEN_S, len(cache) * _S_PER_OBJECT))
    with suppress(TimeoutError):
        async with asyncio.timeout(now_and_then_s):
            await cache.relisted.wait()
    for _ in range(_MOST_QUIETS):
        if not cache.relisted.is_set():
            return
        cache.relisted.clear()
        await asyncio.sleep(_QUIET_S)


def registry(cache: Cache) -> kopf.OperatorRegistry:
    """kopf's handlers: each event goes to the cache."""
    found = kopf.OperatorRegistry()
    labels: dict[str, Any] = {MANAGED_BY: OPERATOR, POOL: kopf.PRESENT}

    def watch(kind: Kind) -> Callable[..., Awaitable[None]]:
        # a coroutine, though it waits for nothing: kopf runs all others in threads
        async def on_event(event: Mapping[str, Any], name: str, **_: Any) -> None:
            if event["type"] == "DELETED":
                cache.drop(kind, dict(event["object"]))
                return
            if event["type"] is None:
                cache.relisted.set()
            cache.put(kind, name, dict(event["object"]))

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
    found.process.ultimate_exiting_timeout = None  # it would kill us 10 min after a watch failed
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
