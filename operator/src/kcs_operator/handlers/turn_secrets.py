"""The Secret that coturn and signaling share: read, and changed step by step.

It is the one Secret that the operator may read, by name. Signaling has it, or a copy of it, as a
mounted file.
"""

import base64
import json
import secrets
import time

import structlog
from pydantic import TypeAdapter

from kcs_contracts.resources.v1alpha1 import GROUP
from kcs_operator.cluster import Cluster
from kcs_operator.decisions.observed import seconds_of, timestamp_of
from kcs_operator.decisions.turn_secrets import TurnSecrets, next_step
from kcs_operator.errors import Refused
from kcs_operator.settings import PodsGroup

_log = structlog.get_logger(__name__)
_KEY = "secrets"
_CHANGED = f"{GROUP}/turn-secret-changed"
_NEWEST = f"{GROUP}/turn-secret-newest-signs"
_READ_EVERY_S = 15.0
_LIST = TypeAdapter(list[str])


class SecretStore:
    """Reads it at most every 15 s."""

    def __init__(self, cluster: Cluster, settings: PodsGroup):
        self._cluster, self._settings = cluster, settings
        self._known: TurnSecrets | None = None
        self._read_at = float("-inf")

    async def read(self) -> TurnSecrets:
        """The secrets.

        Raises:
            NotFound: the Secret is not there.
            Refused: it holds no list of secrets of 16 characters and more.
        """
        if self._known is None or time.monotonic() - self._read_at > _READ_EVERY_S:
            self._known = await self._fetch()
            self._read_at = time.monotonic()
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
        return TurnSecrets(tuple(found), seconds_of(changed), signs_newest=newest)

    async def rotate(self, *, pods_take_both: bool, now: float) -> None:
        """Takes the next step, if one is due."""
        has = await self.read()
        step = next_step(
            has,
            secrets.token_urlsafe(32),
            days=self._settings.turn_secret_days,
            pods_take_both=pods_take_both,
            now=now,
        )
        if step is None:
            return
        text = base64.b64encode(json.dumps(list(step.secrets)).encode()).decode()
        notes = {_CHANGED: timestamp_of(now), _NEWEST: str(step.signs_newest).lower()}
        patch = {"metadata": {"annotations": notes}, "data": {_KEY: text}}
        if elsewhere := self._settings.turn_secret_copy_in:
            # first: if the next write fails, this step is taken again and nothing else saw it
            copy = {"data": patch["data"]}
            other = self._cluster.in_namespace(elsewhere)
            await other.patch("secrets", self._settings.turn_secret, copy)
        await self._cluster.patch("secrets", self._settings.turn_secret, patch)
        self._known = step
        _log.info("turn_secret_changed", secrets=len(step.secrets), newest=step.signs_newest)
