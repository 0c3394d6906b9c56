"""People: who is in a meeting, under which session, and until when."""

from collections.abc import Sequence
from itertools import chain
from typing import Literal

from kcs_contracts.ids import Epoch, Generation, MeetingId, ParticipantId, SessionId
from kcs_contracts.placement.functions import Functions
from kcs_contracts.placement.models import Joined, Presence
from kcs_contracts.rooms import MediaKind, Participant, Producer

PRESENCE_MS = 30_000


class People(Functions):
    """The part of `Placement` about participants.

    A presence ends unless it is touched: a replica that died leaves nobody in a meeting.
    """

    async def join(
        self,
        meeting_id: MeetingId,
        participant: Participant,
        *,
        limit: int,
        presence_ms: int = PRESENCE_MS,
    ) -> Joined:
        """Lets the participant in and publishes `ParticipantJoined`.

        A participant who is in already is resumed, whatever the limit: under the same session
        nothing is published, under another one `SessionReplaced`. Its producers stay.

        Raises:
            MeetingFull: `limit` participants are in it.
            MeetingIsOver: it was ended.
        """
        version, text, resumed, replaced, count = await self._call(
            "kcs_join", meeting_id, participant.model_dump_json(), limit, presence_ms
        )
        return Joined(
            version=int(version),
            participant=Participant.model_validate_json(text),
            resumed=bool(resumed),
            replaced=SessionId(replaced) if replaced else None,
            count=count,
        )

    async def leave(
        self,
        meeting_id: MeetingId,
        participant_id: ParticipantId,
        session: SessionId,
        reason: Literal["left", "removed"] = "left",
    ) -> bool:
        """Takes the participant and its producers out; publishes `ParticipantLeft` alone.

        False, and nothing changed, when that session does not speak for it any more.
        """
        (left,) = await self._call("kcs_leave", meeting_id, participant_id, session, reason)
        return bool(left)

    async def touch(
        self, presences: Sequence[Presence], presence_ms: int = PRESENCE_MS
    ) -> list[Presence]:
        """The heartbeat of a replica's own sockets: each is present for `presence_ms` more.

        Answers those that were not found: gone after a flush or a timeout, or replaced by another
        session. `restore` tells which.
        """
        (missing,) = await self._call("kcs_touch", presence_ms, *chain.from_iterable(presences))
        return [presences[index] for index in missing]

    async def restore(
        self,
        meeting_id: MeetingId,
        participant: Participant,
        producers: Sequence[Producer],
        *,
        epoch: Epoch,
        generation: Generation,
        presence_ms: int = PRESENCE_MS,
    ) -> bool:
        """Puts back a participant that a flushed Redis lost, as the replica remembers it.

        Publishes `ParticipantJoined`, and `ProducerOpened` for each producer unless the
        meeting's media is known to be at another epoch or generation. `joined_at_ms` is kept and
        no limit applies. False when another session speaks for it now.

        Raises:
            MeetingIsOver: it was ended.
        """
        (restored,) = await self._call(
            "kcs_restore",
            meeting_id,
            participant.model_dump_json(),
            presence_ms,
            epoch,
            generation,
            *(producer.model_dump_json() for producer in producers),
        )
        return bool(restored)

    async def away(
        self,
        meeting_id: MeetingId,
        participant_id: ParticipantId,
        session: SessionId,
        grace_ms: int,
    ) -> bool:
        """The socket was lost: its presence ends after `grace_ms` unless `join` resumes it.

        False when that session does not speak for the participant any more.
        """
        (away,) = await self._call("kcs_away", meeting_id, participant_id, session, grace_ms)
        return bool(away)

    async def sweep(self, limit: int = 100) -> list[tuple[MeetingId, ParticipantId]]:
        """Takes out whoever's presence has ended, `ParticipantLeft(reason="timeout")` each.

        Any replica may call it, each second or so; two at once do not disturb each other.
        """
        (rows,) = await self._call("kcs_sweep", limit)
        return [(MeetingId(meeting), ParticipantId(participant)) for meeting, participant in rows]

    async def toggle_media(
        self,
        meeting_id: MeetingId,
        participant_id: ParticipantId,
        session: SessionId,
        kind: MediaKind,
        enabled: bool,
    ) -> bool:
        """Sets a media flag; publishes `MediaToggled` when it changes.

        False when that session does not speak for the participant any more.
        """
        (done,) = await self._call(
            "kcs_toggle_media", meeting_id, participant_id, session, kind, int(enabled)
        )
        return bool(done)

    async def meetings_of(self, participant_id: ParticipantId) -> list[MeetingId]:
        """The meetings that somebody is in now, or may still come back to.

        Looks through everybody's presence, in steps that hold nobody up: for what is rare, such
        as erasing a person.
        """
        found = await self._whole(self._present(f"/{participant_id}"))
        return [MeetingId(member.removesuffix(f"/{participant_id}")) for member in sorted(found)]

    async def _present(self, ending: str) -> set[str]:
        """Members of the presences that end so; ids hold none of the pattern's signs."""
        scan = self._redis.zscan_iter("kcs:presence", match=f"*{ending}", count=1000)
        return {member.decode() async for member, _ in scan}
