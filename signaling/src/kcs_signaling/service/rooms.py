"""The room service: how people come into meetings and go, whatever dialect they speak.

Flow of a join: the meeting is looked up (records), the joiner's role settled, the meeting given a
home (placement) and its room opened there (node), the participant let in (placement), and the
peer seated in this replica's copy of the room (registry), from which the answer is taken in the
same step: what is not in the answer is told later by the bus, and nothing twice. Where a host has
to approve, the peer waits in the room's lobby instead, and joins again once it is let in.

A peer that leaves is gone at once. A peer whose socket is lost keeps its media and its place for
`presence_seconds`, and is resumed by whichever socket of the same user joins next.
"""

import time
from dataclasses import dataclass

import structlog

from kcs_contracts.events import ChatPosted, Published
from kcs_contracts.ids import MeetingId, ParticipantId, UserId
from kcs_contracts.live import as_json
from kcs_contracts.models import JsonObject
from kcs_contracts.node_api import OpenRoom, RoomOpened
from kcs_contracts.placement import Joined, NoCapacity, Placement, Waits
from kcs_contracts.rooms import Assignment, Participant, Role
from kcs_signaling.errors import AccessDenied, InvalidRequest, NotJoined, Unavailable
from kcs_signaling.identity import Identity
from kcs_signaling.metrics import JOINED, LEFT
from kcs_signaling.ports import Meeting
from kcs_signaling.records.journal import Journal
from kcs_signaling.rooms.peer import Peer, Room, Seat
from kcs_signaling.rooms.permissions import is_host
from kcs_signaling.service.chat import chat_begins_ms
from kcs_signaling.service.entry import Entry, main_of
from kcs_signaling.service.guard import redis_calls
from kcs_signaling.service.nodes import RoomNodes
from kcs_signaling.service.registry import RoomRegistry
from kcs_signaling.service.turns import Turns
from kcs_signaling.settings import MeetingSettings

_log = structlog.get_logger()
_AT_ONCE = 16
"""Joins that ask records or placement at a time. In a rush the others wait before their calls'
timeouts begin: else all are late together, and nobody comes in."""
_TURN_WITHIN_S = 5.0
"""Nobody waits longer for their turn: where Redis is away, each before them takes its timeout."""


@dataclass(frozen=True)
class JoinRequest:
    """Who wants in, as the client says it; the token has the last word."""

    meeting_id: MeetingId
    user_id: UserId | None = None
    display_name: str | None = None
    role: Role | None = None
    since: int | None = None
    """The version that the client had heard of before it lost its socket."""


@dataclass(frozen=True)
class Entrance:
    """A join that worked."""

    seat: Seat
    resumed: bool


class RoomService:
    """Joining and leaving; what people do inside is the other services'."""

    def __init__(
        self,
        settings: MeetingSettings,
        entry: Entry,
        placement: Placement,
        registry: RoomRegistry,
        nodes: RoomNodes,
        journal: Journal,
    ):
        self._settings, self._entry, self._journal = settings, entry, journal
        self._placement, self._registry, self._nodes = placement, registry, nodes
        self.presence_ms = int(settings.presence_seconds * 1000)
        self._turns = Turns(_AT_ONCE, _TURN_WITHIN_S)

    async def create(self, identity: Identity, request: JoinRequest) -> Meeting:
        """Makes the meeting's room ready on a node before anybody is in it.

        Raises:
            SignalingError: as `join`; only a host may, and none who was removed.
        """
        meeting, role = await self._look_up(identity, request)
        who = ParticipantId(identity.user_id)
        async with redis_calls():
            live = await self._placement.live(meeting.id)
        if live.was_removed(who) or not is_host(live.role_of(who) or role):
            raise AccessDenied("only the host may create the room")
        await self._open(meeting)
        return meeting

    async def join(self, peer: Peer, request: JoinRequest) -> Entrance | None:
        """Lets the peer into the meeting; a second join of the same one answers again.

        From the main meeting into a breakout room of it, and back, a peer goes without leaving
        first. None: the peer is in the waiting room now.

        Raises:
            SignalingError: as `Entry.look_up`; MeetingFull, MeetingLocked, NoCapacity,
                Unavailable.
        """
        before = peer.seat
        self._check_the_way(before, request.meeting_id)
        async with self._turns.one():
            meeting, role = await self._look_up(peer.identity, request)
        # in no turn: a node that hangs holds up its own alone
        rtp_capabilities = await self._open(meeting)
        async with self._turns.one():
            joined = await self._let_in(peer, meeting, role, request.display_name)
        if isinstance(joined, Waits):
            if peer.waits_for is not None and peer.waits_for.id != meeting.id:
                await self._stop_waiting(peer, meeting.id)
            await self._wait(peer, meeting.id, joined)
            return None
        if before is not None and before.room.id != meeting.id:
            await self._go(peer, before)
        await self._stop_waiting(peer, meeting.id)
        try:
            seat = await self._seat(peer, meeting.id, joined)
        except BaseException:
            if not joined.resumed:
                await self._take_out(meeting.id, joined.participant.id, peer)
            raise
        seat.room.rtp_capabilities = rtp_capabilities
        self._tell_of(peer, seat, joined)
        return Entrance(seat, joined.resumed)

    async def leave(self, peer: Peer, meeting_id: MeetingId | None = None) -> MeetingId:
        """Takes the peer out of its meeting, or out of the waiting room. It has left, even if
        nobody can be told now.

        Raises:
            NotJoined: it is in no meeting, or in another one.
        """
        if peer.seat is None and peer.waits_for is not None:
            room = peer.waits_for
            if meeting_id in (None, room.id):
                await self._stop_waiting(peer)
                await self._take_out(room.id, peer.participant_id, peer)
                return room.id
        if meeting_id not in (None, peer.seated().room.id):
            raise NotJoined("you are in another meeting")
        seat = peer.seated()
        await self._go(peer, seat)
        return seat.room.id

    async def lose(self, peer: Peer) -> None:
        """The peer's socket is gone; its participant may come back to its media for a while."""
        room = peer.waits_for
        await self._stop_waiting(peer)
        seat = self._registry.leave(peer)
        room = seat.room if seat is not None else room
        if room is None:
            return
        who = peer.participant_id
        try:
            async with redis_calls():
                await self._placement.away(room.id, who, peer.session, self.presence_ms)
        except Unavailable:
            return  # nobody touches the presence any more: it ends by itself
        _log.info("participant_away", meeting_id=room.id, user_id=who)

    async def missed(self, seat: Seat, since: int | None) -> list[Published]:
        """News that a client missed which had heard of all up to `since`, and that are still kept;
        nothing where Redis cannot be asked. What came once it was seated, the bus tells."""
        if since is None or since >= seat.entered:
            return []
        try:
            async with redis_calls():
                news = await self._placement.kept_news(seat.room.id, since)
        except Unavailable:
            return []
        return [each for each in news if each.version <= seat.entered and _concerns(each, seat)]

    async def _look_up(self, identity: Identity, request: JoinRequest) -> tuple[Meeting, Role]:
        return await self._entry.look_up(
            identity, request.meeting_id, request.user_id, request.role
        )

    @staticmethod
    def _check_the_way(before: Seat | None, meeting_id: MeetingId) -> None:
        if before is None or before.room.id == meeting_id:
            return
        parent = before.room.state.live.parent
        breakouts = before.room.state.live.breakouts
        rooms = [room.id for room in breakouts.rooms] if breakouts else []
        if meeting_id != parent and meeting_id not in rooms and not _beside(parent, meeting_id):
            raise InvalidRequest("leave the meeting that you are in first")

    async def _open(self, meeting: Meeting) -> JsonObject:
        """Gives the meeting a home and opens its room there; what its router can receive.

        Where others are in it at that home, the node is not asked again: it opens the room anyway
        with whatever is made in it.
        """
        async with redis_calls():
            home = await self._placement.assign(
                meeting.id,
                region=meeting.region or self._settings.region,
                expected=min(meeting.expected_participants, meeting.max_participants),
                pool=meeting.pool,
            )
        room = self._registry.room(meeting.id)
        if room is not None and room.rtp_capabilities and room.state.assignment == home:
            return room.rtp_capabilities
        try:
            done = await self._nodes.ask_home(home, OpenRoom())
        except Unavailable:
            elsewhere = await self._elsewhere(home)
            if elsewhere is None:
                raise
            done = await self._nodes.ask_home(elsewhere, OpenRoom())
        assert isinstance(done.answers[0], RoomOpened)
        return done.answers[0].rtp_capabilities

    async def _elsewhere(self, home: Assignment) -> Assignment | None:
        """Another home, where nobody is inside yet: a node may hold its lease and answer nobody,
        and would get one new meeting after the other."""
        meeting_id = home.meeting_id
        async with redis_calls():
            if (await self._placement.whereabouts([meeting_id]))[meeting_id].people:
                return None
            try:
                return await self._placement.evict(meeting_id, home.node, home.epoch, "moved")
            except NoCapacity:
                return None

    async def _let_in(
        self, peer: Peer, meeting: Meeting, role: Role, display_name: str | None
    ) -> Joined | Waits:
        identity = peer.identity
        participant = Participant(
            id=ParticipantId(identity.user_id),
            display_name=display_name or identity.user_name or identity.user_id,
            role=role,
            session=peer.session,
            joined_at_ms=int(time.time() * 1000),
        )
        live = {
            "settings": as_json(meeting.room_settings),
            "host_id": as_json(meeting.host_id),
            "record": as_json(meeting),
        }
        if identity.admitted:
            live[f"admitted:{identity.user_id}"] = "true"
        if main := main_of(meeting.id):
            live["parent"] = as_json(main)
        async with redis_calls():
            return await self._placement.join(
                meeting.id,
                participant,
                limit=meeting.max_participants,
                presence_ms=self.presence_ms,
                live=live,
            )

    async def _seat(self, peer: Peer, meeting_id: MeetingId, joined: Joined) -> Seat:
        def make(room: Room) -> Seat:
            if peer.seat is not None and peer.seat.room is room:
                return peer.seat
            return Seat(room, joined.participant)

        return await self._registry.enter(peer, make, meeting_id, joined.version)

    async def _wait(self, peer: Peer, meeting_id: MeetingId, waits: Waits) -> None:
        """Into the room's lobby; decided by then already, the peer hears that at once."""
        await self._registry.wait(peer, meeting_id, waits.version)
        _log.info("participant_waits", meeting_id=meeting_id, user_id=peer.identity.user_id)

    async def _stop_waiting(self, peer: Peer, unless: MeetingId | None = None) -> None:
        """Out of the lobby; and, but for that meeting, out of its queue."""
        room = self._registry.stop_waiting(peer)
        if room is not None and unless is not None and room.id != unless:
            await self._take_out(room.id, peer.participant_id, peer)

    def _tell_of(self, peer: Peer, seat: Seat, joined: Joined) -> None:
        who, meeting_id = seat.participant, seat.room.id
        self._journal.opened(
            meeting_id,
            peer.identity.user_id,
            who.display_name,
            seat.role,
            at=joined.participant.joined_at_ms / 1000,
        )
        if not joined.resumed:
            JOINED.inc()
        _log.info(
            "participant_joined",
            meeting_id=meeting_id,
            user_id=who.id,
            metadata={
                "role": seat.role.value,
                "resumed": joined.resumed,
                "video_enabled": seat.now.video_enabled,
                "audio_enabled": seat.now.audio_enabled,
            },
        )

    async def _go(self, peer: Peer, seat: Seat) -> None:
        self._registry.leave(peer)
        await self._take_out(seat.room.id, seat.participant_id, peer)

    async def _take_out(
        self, meeting_id: MeetingId, participant_id: ParticipantId, peer: Peer
    ) -> None:
        try:
            async with redis_calls():
                left = await self._placement.leave(meeting_id, participant_id, peer.session)
        except Unavailable:
            return  # as in `lose`
        if left:
            LEFT.labels("left").inc()
            self._journal.closed(meeting_id, UserId(participant_id), at=time.time())
            _log.info("participant_left", meeting_id=meeting_id, user_id=participant_id)
            await self._nodes.dismiss(meeting_id, participant_id)


def _concerns(news: Published, seat: Seat) -> bool:
    """Whether what was said is from a time that the one in that seat may see."""
    return not isinstance(news.event, ChatPosted) or news.event.at_ms >= chat_begins_ms(seat)


def _beside(parent: MeetingId | None, meeting_id: MeetingId) -> bool:
    """Whether the meeting is another breakout room of the same main meeting."""
    return parent is not None and meeting_id.rpartition(":")[0] == parent
