"""The room service: what people do in meetings, whatever dialect they speak.

Flow of a join: the meeting is looked up (records), the joiner's role settled, the meeting given a
home (placement) and its room opened there (node), the participant let in (placement), and the
peer seated in this replica's copy of the room (registry), from which the answer is taken in the
same step: what is not in the answer is told later by the bus, and nothing twice.

A peer that leaves is gone at once. A peer whose socket is lost keeps its media and its place for
`presence_seconds`, and is resumed by whichever socket of the same user joins next.
"""

import time
from dataclasses import dataclass

import structlog

from kcs_contracts.ids import MeetingId, ParticipantId, UserId
from kcs_contracts.node_api import CloseParticipant, OpenRoom, RoomOpened
from kcs_contracts.placement import Joined, Placement
from kcs_contracts.rooms import Participant, Role
from kcs_signaling.errors import (
    AccessDenied,
    InvalidRequest,
    MeetingEnded,
    MeetingNotFound,
    NotJoined,
    Unavailable,
)
from kcs_signaling.identity import Identity
from kcs_signaling.ports import Meeting, MeetingRecords
from kcs_signaling.rooms.peer import Peer, Room, Seat
from kcs_signaling.service.guard import redis_calls
from kcs_signaling.service.nodes import RoomNodes
from kcs_signaling.service.registry import RoomRegistry
from kcs_signaling.settings import MeetingSettings

_log = structlog.get_logger()


@dataclass(frozen=True)
class JoinRequest:
    """Who wants in, as the client says it; the token has the last word."""

    meeting_id: MeetingId
    user_id: UserId | None = None
    display_name: str | None = None
    role: Role | None = None


@dataclass(frozen=True)
class Entrance:
    """A join that worked."""

    meeting: Meeting
    seat: Seat
    resumed: bool


class RoomService:
    """Joining and leaving; media is `media`'s."""

    def __init__(
        self,
        settings: MeetingSettings,
        records: MeetingRecords,
        placement: Placement,
        registry: RoomRegistry,
        nodes: RoomNodes,
    ):
        self._settings, self._records = settings, records
        self._placement, self._registry, self._nodes = placement, registry, nodes
        self.presence_ms = int(settings.presence_seconds * 1000)

    async def look_up(self, identity: Identity, request: JoinRequest) -> tuple[Meeting, Role]:
        """The meeting, and what the bearer is in it.

        Raises:
            MeetingNotFound: there is none, for all that the bearer may know.
            MeetingEnded: it is over.
            AccessDenied: the token is for another meeting, or does not say what the client says.
        """
        if identity.expires_at <= time.time():
            raise AccessDenied("your token has expired; get a new one and connect again")
        if identity.meeting_id not in (None, request.meeting_id):
            raise AccessDenied("your token is for another meeting")
        if request.user_id not in (None, identity.user_id):
            raise AccessDenied("your token is another user's")
        meeting = await self._records.meeting(request.meeting_id)
        if meeting is None:
            raise MeetingNotFound("there is no such meeting")
        if meeting.ended_at is not None:
            raise MeetingEnded("the meeting has ended")
        role = identity.role or (
            Role.HOST if identity.user_id == meeting.host_id else meeting.default_role
        )
        if request.role not in (None, role):
            raise AccessDenied(f"in this meeting you are: {role.value}")
        return meeting, role

    async def create(self, identity: Identity, request: JoinRequest) -> Meeting:
        """Makes the meeting's room ready on a node before anybody is in it.

        Raises:
            SignalingError: as `look_up` and `join`; only a host may.
        """
        meeting, role = await self.look_up(identity, request)
        if role not in (Role.HOST, Role.CO_HOST):
            raise AccessDenied("only the host may create the room")
        await self._open(meeting)
        return meeting

    async def join(self, peer: Peer, request: JoinRequest) -> Entrance:
        """Lets the peer into the meeting; a second join of the same one answers again.

        Raises:
            SignalingError: as `look_up`; MeetingFull, NoCapacity, Unavailable.
        """
        if peer.seat is not None and peer.seat.room.id != request.meeting_id:
            raise InvalidRequest("leave the meeting that you are in first")
        meeting, role = await self.look_up(peer.identity, request)
        capabilities = await self._open(meeting)
        joined = await self._let_in(peer, meeting, role, request.display_name)
        try:
            seat = await self._seat(peer, meeting.id, joined)
        except BaseException:
            if not joined.resumed:
                await self._take_out(meeting.id, joined.participant.id, peer)
            raise
        seat.room.rtp_capabilities = capabilities.rtp_capabilities
        _log.info("joined", meeting_id=meeting.id, user_id=seat.participant_id, role=role.value)
        return Entrance(meeting, seat, joined.resumed)

    async def leave(self, peer: Peer, meeting_id: MeetingId | None = None) -> MeetingId:
        """Takes the peer out of its meeting. It has left, even if nobody can be told now.

        Raises:
            NotJoined: it is in no meeting, or in another one.
        """
        if meeting_id not in (None, peer.seated().room.id):
            raise NotJoined("you are in another meeting")
        seat = await self._registry.leave(peer)
        assert seat is not None
        await self._take_out(seat.room.id, seat.participant_id, peer)
        _log.info("left", meeting_id=seat.room.id, user_id=seat.participant_id)
        return seat.room.id

    async def lose(self, peer: Peer) -> None:
        """The peer's socket is gone; its participant may come back to its media for a while."""
        seat = await self._registry.leave(peer)
        if seat is None:
            return
        try:
            async with redis_calls():
                await self._placement.away(
                    seat.room.id, seat.participant_id, peer.session, self.presence_ms
                )
        except Unavailable:
            return  # nobody touches the presence any more: it ends by itself
        _log.info("away", meeting_id=seat.room.id, user_id=seat.participant_id)

    async def _open(self, meeting: Meeting) -> RoomOpened:
        async with redis_calls():
            home = await self._placement.assign(
                meeting.id,
                region=meeting.region or self._settings.region,
                expected=meeting.expected_participants,
            )
        done = await self._nodes.ask_home(home, OpenRoom())
        assert isinstance(done.answers[0], RoomOpened)
        return done.answers[0]

    async def _let_in(
        self, peer: Peer, meeting: Meeting, role: Role, display_name: str | None
    ) -> Joined:
        identity = peer.identity
        participant = Participant(
            id=ParticipantId(identity.user_id),
            display_name=display_name or identity.user_name or identity.user_id,
            role=role,
            session=peer.session,
            joined_at_ms=int(time.time() * 1000),
        )
        async with redis_calls():
            return await self._placement.join(
                meeting.id,
                participant,
                limit=meeting.max_participants,
                presence_ms=self.presence_ms,
            )

    async def _seat(self, peer: Peer, meeting_id: MeetingId, joined: Joined) -> Seat:
        def make(room: Room) -> Seat:
            if peer.seat is not None and peer.seat.room is room:
                return peer.seat
            return Seat(room, joined.participant)

        return await self._registry.enter(peer, make, meeting_id, joined.version)

    async def _take_out(
        self, meeting_id: MeetingId, participant_id: ParticipantId, peer: Peer
    ) -> None:
        try:
            async with redis_calls():
                left = await self._placement.leave(meeting_id, participant_id, peer.session)
        except Unavailable:
            return  # as in `lose`
        if left:
            await self._nodes.tell(meeting_id, CloseParticipant(participant_id=participant_id))
