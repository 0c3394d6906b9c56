"""The Secret that coturn and signaling share: read, and changed step by step.

It is the one Secret that the operator may read, by name, and one for the coturn pods of all pools:
each pool reports which secrets its pods take, and no step is taken before all do. Signaling has
it, or a copy of it, as a mounted file.
"""

import asyncio
import base64
import json
import secrets
import time
from collections.abc import Collection, Sequence

import structlog
from pydantic import TypeAdapter

from kcs_contracts.resources.v1alpha1 import GROUP
from kcs_operator.cluster import Cluster
from kcs_operator.decisions.observed import seconds_of, timestamp_of
from kcs_operator.decisions.turn_secrets import (
    Taken,
    TurnSecrets,
    for_hash,
    next_step,
    waited_for,
)
from kcs_operator.errors import Refused
from kcs_operator.settings import PodsGroup

_log = structlog.get_logger(__name__)
_KEY = "secrets"
_CHANGED = f"{GROUP}/turn-secret-changed"
_NEWEST = f"{GROUP}/turn-secret-newest-signs"
_READ_EVERY_S = 15.0
_LIST = TypeAdapter(list[str])


class SecretStore:
    """Reads it at most every 15 s; the loops of all pools share one."""

    def __init__(self, cluster: Cluster, settings: PodsGroup):
        self._cluster, self._settings = cluster, settings
        self._known: TurnSecrets | None = None
        self._version = ""
        self._read_at = float("-inf")
        self._taken: dict[str, Taken] = {}
        self._waits: tuple[str, ...] = ()
        self._lock = asyncio.Lock()
        """Two pools' loops never change it at once, and none reads what is being replaced."""

    async def read(self) -> tuple[str, ...]:
        """The secrets that coturn takes, in an order that stays.

        Raises:
            NotFound: the Secret is not there.
            Refused: it holds no list of secrets of 16 characters and more.
        """
        async with self._lock:
            return for_hash((await self._current()).secrets)

    def report(self, pool: str, taken: Sequence[str] | None, now: float) -> None:
        """All the pool's coturn pods take these secrets; None: not all take the same."""
        before = self._taken.get(pool)
        if taken is None:
            self._taken.pop(pool, None)
        elif before is None or before.secrets != for_hash(taken):
            self._taken[pool] = Taken(for_hash(taken), now)

    def forget(self, pool: str) -> None:
        """The pool is gone."""
        self._taken.pop(pool, None)

    async def rotate(self, pools: Collection[str], now: float) -> None:
        """Takes the next step, if one is due; `pools` are all that have coturn pods."""
        async with self._lock:
            if self._step(await self._current(), pools, now) is None:
                return
            # again, from the Secret as it is: somebody else may have changed it meanwhile
            step = self._step(await self._fetch(), pools, now)
            if step is not None:
                await self._write(step, now)

    def _step(self, has: TurnSecrets, pools: Collection[str], now: float) -> TurnSecrets | None:
        waits = waited_for(pools, self._taken, has.secrets, now)
        if len(has.secrets) == 2 and not has.signs_newest and waits != self._waits:
            _log.info("turn_secret_waits", pools=waits)
            self._waits = waits
        days = self._settings.turn_secret_days
        new = secrets.token_urlsafe(32)
        return next_step(has, new, days=days, pods_take_both=not waits, now=now)

    async def _current(self) -> TurnSecrets:
        if self._known is None or time.monotonic() - self._read_at > _READ_EVERY_S:
            return await self._fetch()
        return self._known

    async def _fetch(self) -> TurnSecrets:
        name = self._settings.turn_secret
        body = await self._cluster.get("secrets", name)
        try:
            found = _LIST.validate_json(base64.b64decode(body["data"][_KEY]))
        except (KeyError, ValueError):
            found = []
        if not 1 <= len(found) <= 2 or any(len(each) < 16 for each in found):
            raise Refused(f"Secret {name}: `{_KEY}` must be a JSON list of one or two secrets")
        meta = body["metadata"]
        notes = meta.get("annotations", {})
        changed = notes.get(_CHANGED, meta["creationTimestamp"])
        newest = notes.get(_NEWEST, "true") == "true"
        self._known = TurnSecrets(tuple(found), seconds_of(changed), signs_newest=newest)
        self._version, self._read_at = meta["resourceVersion"], time.monotonic()
        return self._known

    async def _write(self, step: TurnSecrets, now: float) -> None:
        """Conflict: it is not as it was read; nothing is lost, the step is taken again."""
        text = base64.b64encode(json.dumps(list(step.secrets)).encode()).decode()
        notes = {_CHANGED: timestamp_of(now), _NEWEST: str(step.signs_newest).lower()}
        meta = {"resourceVersion": self._version, "annotations": notes}
        self._known = None
        if elsewhere := self._settings.turn_secret_copy_in:
            # first: if the next write fails, this step is taken again and nothing else saw it
            other = self._cluster.in_namespace(elsewhere)
            await other.patch("secrets", self._settings.turn_secret, {"data": {_KEY: text}})
        patch = {"metadata": meta, "data": {_KEY: text}}
        await self._cluster.patch("secrets", self._settings.turn_secret, patch)
        _log.info("turn_secret_changed", secrets=len(step.secrets), newest=step.signs_newest)
