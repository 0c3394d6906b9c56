"""What is done for one Meeting: registered, its Secret written, room found, status written, ended.

Each step bears to be taken twice. Whoever calls sees to it that no two of one Meeting run at once.
"""

import time
from collections.abc import Mapping
from typing import Any

import structlog
from pydantic import ValidationError
from redis.exceptions import RedisError

from kcs_contracts.ids import MeetingId
from kcs_contracts.internal_api import Registered
from kcs_contracts.placement import MeetingIsOver, NoCapacity, Placement
from kcs_contracts.resources.v1alpha1 import MeetingPhase, MeetingSpec, MeetingStatus
from kcs_operator.cluster import Cluster
from kcs_operator.decisions import meetings as decide
from kcs_operator.decisions.meeting_index import Entry, Index
from kcs_operator.decisions.meetings import Placing, Token
from kcs_operator.errors import AlreadyThere, Conflict, NotFound, Refused
from kcs_operator.events import Events
from kcs_operator.handlers.watching import Cache
from kcs_operator.manifests.meeting_secret import renewal, secret, secret_name
from kcs_operator.settings import Settings
from kcs_operator.signaling import Signaling, SignalingAway, SignalingRefused

_log = structlog.get_logger(__name__)

AHEAD_S = 240.0
"""Room is looked for so long before a meeting starts, and a pod's start time before that."""
AGAIN_S = 5.0
"""Pause between two looks for room."""
_TOLD_AFTER_FAILURES = 3
_NO_REDIS = Placing("Unknown", "PlacementAway", "Redis does not answer; it is tried again.")
_WARN = {"NoCapacity", "NoSuchPool", "InThePast", "NoNode", "Refused", "SecretTaken"}
"""Reasons that are told as events, too; the usual course is told by the status alone."""


class MeetingSteps:
    """Steps, for `handlers.meetings`."""

    def __init__(
        self,
        cluster: Cluster,
        placement: Placement,
        signaling: Signaling,
        cache: Cache,
        index: Index,
        settings: Settings,
    ):
        self._cluster, self._placement, self._signaling = cluster, placement, signaling
        self._cache, self._index, self._settings = cache, index, settings
        self._events = Events(cluster, settings.operator.identity)

    def pools(self) -> dict[str, str]:
        """The pools that there are, each with its region."""
        return {name: body["spec"].get("region", "") for name, body in self._cache.pools.items()}

    async def register(self, entry: Entry, ahead_s: float) -> None:
        """Signaling has the meeting as its spec says, and the status says so.

        Raises:
            SignalingAway: it is told in the status when it lasts.
        Conflict: another has the name of the meeting's Secret.
            OperatorError: the Kubernetes API does not take a step.
        """
        before = MeetingStatus.model_validate(entry.status)
        generation, now = entry.body["metadata"]["generation"], time.time()
        try:
            spec = MeetingSpec.model_validate(entry.body["spec"])
            wanted = decide.registration_of(self._cluster.namespace, entry.name, spec)
            answer = await self._signaling.register(entry.id, wanted)
        except (SignalingRefused, ValueError) as error:
            entry.again = False
            await self.write(entry, decide.refused(before, generation, _words(error), now))
            return
        except SignalingAway as error:
            entry.failures += 1
            if entry.failures >= _TOLD_AFTER_FAILURES:
                said = str(error)
                text = f"{said[:1].upper()}{said[1:]}; it is tried again."
                await self.write(entry, decide.unreachable(before, error.reason, text, now))
            raise
        entry.failures, entry.held = 0, False
        token, placing = None, None
        if answer.ended_at is None:
            token = await self._tell_token(entry, before, answer)
            if before.phase is not MeetingPhase.ACTIVE:
                placing = await self._first_placing(entry, spec, ahead_s)
        after = decide.registered(before, spec, generation, answer, token, placing, time.time())
        entry.again = False
        await self.write(entry, after)
        if token is None and answer.ended_at is None:
            raise Conflict(f"the Secret {secret_name(entry.name)} is another's")

    async def find_room(self, entry: Entry) -> Placing:
        """Asks placement for a home, which keeps room there."""
        try:
            home = await self._placement.assign(
                entry.id, region=entry.region, expected=entry.expected, pool=entry.pool
            )
        except NoCapacity:
            return decide.NO_CAPACITY
        except MeetingIsOver:
            return decide.OVER
        except (RedisError, OSError, TimeoutError):
            return _NO_REDIS
        return decide.placed_at(home.node, home.epoch)

    async def write(self, entry: Entry, after: MeetingStatus) -> bool:
        """Writes the status, if it differs; False when it did not, or the Meeting is gone."""
        before = entry.status
        patch = decide.status_patch(before, after)
        if not patch:
            return False
        try:
            body = await self._cluster.patch_status("meetings", entry.name, patch, entry.uid)
        except (NotFound, Conflict):
            return False  # the watch tells of what there is now
        entry.written_at = time.monotonic()
        self._index.put(body)
        self._cache.put("meetings", entry.name, body)
        await self._warn(body, before, after)
        return True

    async def end(self, meeting_id: MeetingId) -> None:
        """Ends a meeting whose object is gone.

        Raises:
            SignalingAway: it is to be tried again.
        """
        try:
            await self._signaling.end(meeting_id)
        except SignalingRefused as error:
            _log.warning("meeting_not_ended", meeting_id=meeting_id, error=str(error))
        else:
            _log.info("meeting_ended", meeting_id=meeting_id)

    async def _first_placing(self, entry: Entry, spec: MeetingSpec, ahead_s: float) -> Placing:
        known = decide.first_placing(spec, self.pools(), ahead_s, time.time())
        return known if known is not None else await self.find_room(entry)

    async def _tell_token(
        self, entry: Entry, before: MeetingStatus, answer: Registered
    ) -> Token | None:
        """Writes the Secret where the token in it is not good for long enough.

        None when another has the name.
        """
        token = Token(
            secret_name(entry.name), decide.timestamp(answer.host_token_expires_at.timestamp())
        )
        has = before.token_secret_ref is not None and not entry.again
        if has and before.token_expires_at is not None:
            if before.token_expires_at == token.expires_at:
                return token
            if entry.ends_at is None and entry.has_token(time.time()):
                return Token(token.secret, before.token_expires_at)
        said = (answer.host_token.get_secret_value(), answer.host_url.get_secret_value())
        return token if await self._put_secret(entry.body, has, *said) else None

    async def _put_secret(
        self, meeting: Mapping[str, Any], there: bool, token: str, url: str
    ) -> bool:
        new = secret(meeting, self._settings.operator.instance, token, url)
        change = renewal(meeting, token, url)
        try:
            if there:
                try:
                    await self._cluster.patch_json("secrets", new["metadata"]["name"], change)
                except NotFound:
                    await self._cluster.create("secrets", new)
                return True
            try:
                await self._cluster.create("secrets", new)
            except AlreadyThere:
                await self._cluster.patch_json("secrets", new["metadata"]["name"], change)
        except Refused:
            return False
        return True

    async def _warn(
        self, body: Mapping[str, Any], before: Mapping[str, Any], after: MeetingStatus
    ) -> None:
        said = {each["type"]: each["reason"] for each in before.get("conditions") or ()}
        for each in after.conditions:
            if each.reason in _WARN and said.get(each.type) != each.reason:
                about = (body, "Meeting", each.reason, each.message)
                await self._events.tell(*about, type_="Warning")


def _words(error: Exception) -> str:
    """What is wrong, for a condition; pydantic's text names our models and what was said."""
    if not isinstance(error, ValidationError):
        return str(error)
    return "; ".join(
        f"{'.'.join(str(part) for part in each['loc'])}: {each['msg']}" for each in error.errors()
    )
