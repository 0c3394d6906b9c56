"""Who may come into which meeting, and as what: asked of the token and the records."""

import time

from kcs_contracts.ids import MeetingId, ParticipantId, UserId
from kcs_contracts.placement import Placement
from kcs_contracts.rooms import Role
from kcs_signaling.errors import (
    AccessDenied,
    MeetingEnded,
    MeetingNotFound,
    MeetingNotOpen,
    Unavailable,
)
from kcs_signaling.identity import Identity
from kcs_signaling.ports import Meeting, MeetingRecords
from kcs_signaling.service.guard import redis_calls


def breakout_id(main: MeetingId, number: int) -> MeetingId:
    """The id of the main meeting's breakout room of that number, from 1."""
    return MeetingId(f"{main}:{number}")


def main_of(meeting_id: MeetingId) -> MeetingId | None:
    """The main meeting, if the id is a breakout room's."""
    main, colon, _ = meeting_id.rpartition(":")
    return MeetingId(main) if colon else None


class Entry:
    """The question of who may enter."""

    def __init__(self, records: MeetingRecords, placement: Placement):
        self._records, self._placement = records, placement

    async def look_up(
        self,
        identity: Identity,
        meeting_id: MeetingId,
        user_id: UserId | None = None,
        role: Role | None = None,
    ) -> tuple[Meeting, Role]:
        """The meeting, and what the bearer is in it before the room says otherwise.

        Args:
            user_id, role: what the client says of itself; it must be true.

        Raises:
            MeetingNotFound: there is none, for all that the bearer may know.
            MeetingEnded: it is over.
            MeetingNotOpen: it is too early, and the bearer is no host.
            AccessDenied: the token is for another meeting, or does not say what the client says.
        """
        if identity.expires_at <= time.time():
            raise AccessDenied("your token has expired; get a new one and connect again")
        main_id = main_of(meeting_id)
        if identity.meeting_id not in (None, meeting_id, main_id):
            raise AccessDenied("your token is for another meeting")
        if user_id not in (None, identity.user_id):
            raise AccessDenied("your token is another user's")
        meeting = await self._meeting(identity, main_id or meeting_id)
        if meeting is None:
            raise MeetingNotFound("there is no such meeting")
        if meeting.ended_at is not None:
            raise MeetingEnded("the meeting has ended")
        settled = identity.role or (
            Role.HOST if identity.user_id == meeting.host_id else meeting.default_role
        )
        if main_id is not None:
            return await self._breakout(meeting, meeting_id, identity, settled)
        if role not in (None, settled):
            raise AccessDenied(f"in this meeting you are: {settled.value}")
        _check_open(meeting, settled)
        return meeting, settled

    async def _meeting(self, identity: Identity, meeting_id: MeetingId) -> Meeting | None:
        """The meeting on record. While the database is away, a meeting token lets its bearer into
        a meeting that runs, as placement knows it."""
        try:
            return await self._records.meeting(meeting_id)
        except Unavailable:
            if identity.kind != "meeting":
                raise
            async with redis_calls():
                record = (await self._placement.live(meeting_id)).record
            if record is None:
                raise
            return Meeting.model_validate_json(record)

    async def _breakout(
        self, main: Meeting, room_id: MeetingId, identity: Identity, role: Role
    ) -> tuple[Meeting, Role]:
        """A breakout room: open, and the bearer's, or anybody's, or the bearer is a host."""
        async with redis_calls():
            live = await self._placement.live(main.id)
        breakouts = live.breakouts
        room = next((r for r in breakouts.rooms if r.id == room_id), None) if breakouts else None
        if breakouts is None or room is None:
            raise MeetingNotFound("there is no such meeting")
        role = live.role_of(ParticipantId(identity.user_id)) or role
        if live.acting is not None and live.acting.id == ParticipantId(identity.user_id):
            role = Role.HOST
        leads = role in (Role.HOST, Role.CO_HOST)
        if not leads:
            if not breakouts.open:
                raise MeetingNotOpen("the breakout rooms are closed")
            mine = breakouts.assignments.get(ParticipantId(identity.user_id)) == room_id
            if not (mine or breakouts.choose):
                raise AccessDenied("you are in another breakout room")
        settings = main.settings | {"require_host_approval": False, "locked": False}
        changes = {"id": room_id, "display_name": room.name, "settings": settings}
        return main.model_copy(update={**changes, "expected_participants": 0}), role


def _check_open(meeting: Meeting, role: Role) -> None:
    if meeting.starts_at is None or role in (Role.HOST, Role.CO_HOST):
        return
    early_s = meeting.starts_at - meeting.room_settings.open_minutes_before * 60 - time.time()
    if early_s > 0:
        raise MeetingNotOpen(
            "the meeting is not open yet: it is scheduled for later",
            retry_after_s=round(early_s, 1),
        )
