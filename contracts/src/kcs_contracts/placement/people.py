"""People: who is in a meeting, under which session, and until when."""

from collections.abc import Mapping, Sequence
from itertools import chain
from types import MappingProxyType
from typing import Literal

from kcs_contracts.ids import Epoch, Generation, MeetingId, ParticipantId, SessionId
from kcs_contracts.placement.functions import Functions
from kcs_contracts.placement.models import Joined, Known, Presence, Waits
from kcs_contracts.rooms import MediaKind, Participant, Producer, Role

PRESENCE_MS = 30_000
_NOTHING: Mapping[str, str] = MappingProxyType({})


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
        live: Mapping[str, str] = _NOTHING,
    ) -> Joined | Waits:
        """Lets the participant in and publishes `ParticipantJoined`; or lets them wait.

        A participant who is in already is resumed, whatever the limit: under the same session
        nothing is published, under another one `SessionReplaced`, and with another name
        `ParticipantChanged`. Its producers stay. Where the settings ask for a host's approval,
        whoever is neither host nor co-host nor admitted waits (`WaitingJoined`). A role that was
        given in the meeting stands above the participant's. A host who comes back takes over from
        whoever was host in their place. Into a breakout room nobody comes whom its main meeting
        would not let in.

        Args:
            live: fields of `Live` as JSON, for those that nobody has set yet; `record` is set
                anew. Each that is set is told (`RoomChanged`), even if the join is refused.

        Raises:
            MeetingFull: `limit` participants are in it or in its breakout rooms.
            MeetingIsLocked: it is, and the participant is neither host nor co-host.
            NotInMeeting: it is a breakout room, and in the main meeting they would have to wait.
            WasRemoved: a host removed them.
            MeetingIsOver: it was ended.
        """
        fields = chain.from_iterable(live.items())
        answer = await self._call(
            "kcs_join", meeting_id, participant.model_dump_json(), limit, presence_ms, *fields
        )
        if answer[0] == "waiting":
            return Waits(int(answer[1]))
        version, text, resumed, replaced, count = answer
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
        """Takes the participant and its producers out; publishes `ParticipantLeft`.

        When that was the host, and the settings say so, `ParticipantChanged` tells who is host in
        their place. Whoever waits is taken out of the queue. False when that session speaks for no
        participant any more.
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
        live: Mapping[str, str] = _NOTHING,
        presence_ms: int = PRESENCE_MS,
    ) -> bool:
        """Puts back a participant that a flushed Redis lost, as the replica remembers it.

        Publishes `ParticipantJoined`, and `ProducerOpened` for each producer unless the
        meeting's media is known to be at another epoch or generation. What held in the meeting
        (`live`) is put back where Redis does not know better. `joined_at_ms` is kept and no limit
        applies. False when another session speaks for it now, or waits to be let in.

        Raises:
            WasRemoved: a host removed them.
            MeetingIsLocked: it is a breakout room that was closed.
            MeetingIsOver: it was ended.
        """
        (restored,) = await self._call(
            "kcs_restore",
            meeting_id,
            participant.model_dump_json(),
            presence_ms,
            epoch,
            generation,
            2 * len(live),
            *chain.from_iterable(live.items()),
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

    async def person(self, meeting_id: MeetingId, who: ParticipantId) -> Known:
        """Somebody as the meeting knows them, whether they are in it or not."""
        found, given, removed = await self._call("kcs_person", meeting_id, who)
        return Known(
            there=Participant.model_validate_json(found) if found else None,
            given=Role(given.strip('"')) if given else None,
            removed=bool(removed),
        )

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
