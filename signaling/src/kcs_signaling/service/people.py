"""What hosts do about people, and what people do about themselves, in a meeting that they are in.

Whether a role allows the action was asked before; here stands what depends on the two people. What
a host does to somebody's media is done at the node first, so that it holds whatever the client
does, and then told by placement.
"""

import time
from typing import Literal

import structlog

from kcs_contracts.events import PeopleAdded
from kcs_contracts.ids import MeetingId, ParticipantId, UserId
from kcs_contracts.live import Layout, Live
from kcs_contracts.meeting_settings import RoomSettings
from kcs_contracts.models import JsonObject
from kcs_contracts.node_api import CloseProducer, Operation, SetMuted
from kcs_contracts.placement import Placement
from kcs_contracts.protocol.roles import senders
from kcs_contracts.rooms import MediaKind, Participant, Producer, Role, Source
from kcs_signaling.errors import AccessDenied, InvalidRequest, NotFound, Unavailable
from kcs_signaling.metrics import LEFT
from kcs_signaling.ports import Meeting
from kcs_signaling.records.records import Records
from kcs_signaling.rooms.peer import Peer, Seat
from kcs_signaling.rooms.permissions import authorise_over
from kcs_signaling.service.entry import main_of
from kcs_signaling.service.guard import RETRY_AFTER_S, redis_calls
from kcs_signaling.service.nodes import RoomNodes

_log = structlog.get_logger()


class People:
    """Host controls, hands, and everybody's view."""

    def __init__(self, placement: Placement, nodes: RoomNodes, records: Records):
        self._placement, self._nodes, self._records = placement, nodes, records

    # --- media of others -------------------------------------------------------------------------

    async def mute(
        self, peer: Peer, target: ParticipantId, kind: MediaKind, muted: bool, note: str = ""
    ) -> None:
        """Pauses somebody's stream at the server, or lets them unmute themselves again.

        Raises:
            NotFound: they are neither in the meeting nor in a breakout room of it.
            AccessDenied: they are a host, and the peer is not.
        """
        seat = peer.seated()
        where, known = await self._present(seat, target)
        authorise_over(seat.role, known.role)
        op = SetMuted(participant_id=target, kind=kind, muted=muted)
        await self._ask(seat, where, op)
        async with redis_calls():
            places = await self._placement.mute(
                seat.room.id, target, kind, muted, seat.participant_id, note
            )
        if not places:
            raise _nobody()
        for place in places:
            if place != where:  # they have just gone there
                await self._nodes.tell(place, op)
        self._audit(seat, "participant.muted" if muted else "participant.unmuted", target)

    async def remove(self, peer: Peer, target: ParticipantId, note: str = "") -> None:
        """Puts somebody out of the meeting, its waiting room and its breakout rooms, for good.

        Raises:
            NotFound: they are nowhere there.
            AccessDenied: they are a host and the peer is not, or the peer itself.
        """
        seat = peer.seated()
        if target == seat.participant_id:
            raise AccessDenied("you cannot remove yourself: leave")
        where, known, role = await self._find(seat, target)
        authorise_over(seat.role, role)
        async with redis_calls():
            there = await self._placement.expel(_main_of(seat), target, note)
        if not there:
            raise _nobody()
        if known is not None:
            await self._gone(where, target)
        self._audit(seat, "participant.removed", target)

    async def _ask(self, seat: Seat, where: MeetingId, op: Operation) -> None:
        """At the media of the peer's own place, or of another one of the meeting."""
        if where == seat.room.id:
            await self._nodes.ask_all(seat.room, op)
        elif not await self._nodes.tell(where, op):
            raise Unavailable(
                "the media server does not answer; try again", retry_after_s=RETRY_AFTER_S
            )

    async def _present(self, seat: Seat, target: ParticipantId) -> tuple[MeetingId, Participant]:
        """Where they are, and as whom.

        Raises:
            NotFound: nowhere in the meeting.
        """
        where, known, _ = await self._find(seat, target)
        if known is None:
            raise _nobody()
        return where, known

    async def _find(
        self, seat: Seat, target: ParticipantId
    ) -> tuple[MeetingId, Participant | None, Role | None]:
        """Where they are, the main meeting or one of its breakout rooms, and as whom; and their
        role, which a host has on the way from one to the other, too."""
        if known := seat.room.state.participants.get(target):
            return seat.room.id, known, known.role
        main = _main_of(seat)
        async with redis_calls():
            snapshot = await self._placement.snapshot(main)
            live = Live(snapshot.live)
            where = snapshot.inside.get(target, main)
            if where != main:
                snapshot = await self._placement.snapshot(where)
        known = next((each for each in snapshot.participants if each.id == target), None)
        if known is not None:
            return where, known, known.role
        born = Role.HOST if target == live.host_id else None
        return where, None, live.role_of(target) or born

    async def _gone(self, meeting_id: MeetingId, target: ParticipantId) -> None:
        LEFT.labels("removed").inc()
        self._records.journal.closed(meeting_id, UserId(target), at=time.time())
        _log.info("participant_removed", meeting_id=meeting_id, user_id=target)
        await self._nodes.dismiss(meeting_id, target)

    # --- roles -----------------------------------------------------------------------------------

    async def change_role(self, peer: Peer, target: ParticipantId, role: Role) -> None:
        """Gives somebody another role, for as long as the meeting lives, its breakout rooms
        included.

        Raises:
            NotFound: they are neither in the meeting nor in a breakout room of it.
            AccessDenied: a host is concerned, and the peer is not one.
        """
        seat = peer.seated()
        _, known = await self._present(seat, target)
        authorise_over(seat.role, known.role)
        if role is Role.HOST and seat.role is not Role.HOST:
            raise AccessDenied("only a host makes somebody host")
        async with redis_calls():
            places = await self._placement.change_role(
                seat.room.id, target, role, seat.participant_id
            )
        if not places:
            raise _nobody()
        for place in places:
            await self._end_what_it_may_not(place, target, role)
        details = {"old_role": known.role.value, "new_role": role.value}
        self._audit(seat, "participant.role_changed", target, details)

    async def _end_what_it_may_not(
        self, place: MeetingId, target: ParticipantId, role: Role
    ) -> None:
        """Ends what they send there and may send no longer. Placement, which knows their new role,
        says what that is: it opens nothing of theirs any more that the role may not send."""
        if role not in senders(Source.SCREEN):
            async with redis_calls():
                snapshot = await self._placement.snapshot(place)
            sent = snapshot.producers + (snapshot.next.producers if snapshot.next else ())
            for each in sent:
                if each.participant_id == target and role not in senders(each.source):
                    await self._end(place, each)
            async with redis_calls():
                await self._placement.stop_screen(place, target)

    async def _end(self, place: MeetingId, producer: Producer) -> None:
        who = producer.participant_id
        op = CloseProducer(participant_id=who, producer_id=producer.id)
        await self._nodes.tell(place, op)
        async with redis_calls():
            await self._placement.close_producer(place, producer.id, who, "closed")

    # --- coming in -------------------------------------------------------------------------------

    async def admit(self, peer: Peer, targets: tuple[ParticipantId, ...]) -> list[ParticipantId]:
        """Lets people in from the waiting room; all, if nobody is named.

        Raises:
            NotFound: nobody of those named waits.
        """
        seat = peer.seated()
        async with redis_calls():
            admitted = await self._placement.admit(seat.room.id, targets)
        if targets and not admitted:
            raise NotFound("they do not wait (any more)")
        return admitted

    async def deny(self, peer: Peer, target: ParticipantId, note: str) -> None:
        """Turns somebody in the waiting room away.

        Raises:
            NotFound: they do not wait.
        """
        async with redis_calls():
            if not await self._placement.deny(peer.seated().room.id, target, note):
                raise NotFound("they do not wait (any more)")

    async def welcome(
        self, peer: Peer, user_ids: tuple[ParticipantId, ...], role: Role | None, emails: int
    ) -> None:
        """These may come in without approval, from a breakout room: into the main meeting; tells
        all there that they were added.

        `role`: which they have there, see `Placement.welcome`; `emails`: how many more were invited
        by mail.
        """
        seat = peer.seated()
        added = PeopleAdded(user_ids=user_ids, emails=emails, by=seat.participant_id)
        async with redis_calls():
            await self._placement.welcome(_main_of(seat), user_ids, role)
            await self._placement.publish(_main_of(seat), added)
        details = {"role": role.value} if role else None
        for user_id in user_ids:
            self._audit(seat, "participant.added", user_id, details)

    # --- the meeting -----------------------------------------------------------------------------

    async def change_settings(self, peer: Peer, changes: dict[str, object]) -> RoomSettings:
        """Changes what holds in the meeting, on record and at once; answers the whole.

        Raises:
            InvalidRequest: the peer is in a breakout room.
            NotFound: the meeting is not on record (any more).
        """
        seat = peer.seated()
        if main_of(seat.room.id) is not None:
            raise InvalidRequest("settings are changed in the main meeting")
        record = await self._records.changed_settings(seat.room.id, changes)
        if record is None:
            raise NotFound("the meeting is not on record any more")
        await put_in_force(self._placement, self._records, record, seat.participant_id)
        self._audit(seat, "meeting.changed", None, {"fields": sorted(changes)})
        return record.room_settings

    async def arrange(
        self,
        peer: Peer,
        field: Literal["layout", "spotlight"],
        value: Layout | ParticipantId | None,
    ) -> None:
        """Changes everybody's view.

        Raises:
            NotFound: the spotlight is for somebody who is not in the meeting.
        """
        seat = peer.seated()
        if field == "spotlight" and value is not None:
            _participant(seat, ParticipantId(value))
        async with redis_calls():
            await self._placement.change_live(seat.room.id, field, value, seat.participant_id)

    # --- themselves ------------------------------------------------------------------------------

    async def hand(self, peer: Peer, up: bool, target: ParticipantId | None = None) -> None:
        """Raises or lowers the peer's hand, or lowers somebody else's.

        Raises:
            NotFound: they are not in the meeting.
        """
        seat = peer.seated()
        who, by = target or seat.participant_id, seat.participant_id if target else None
        async with redis_calls():
            if not await self._placement.hand(seat.room.id, who, up, by):
                raise _nobody()

    def participant(self, peer: Peer, target: ParticipantId) -> Participant:
        """Somebody in the peer's meeting.

        Raises:
            NotFound: they are not.
        """
        return _participant(peer.seated(), target)

    def _audit(
        self,
        seat: Seat,
        action: str,
        subject: ParticipantId | None,
        details: JsonObject | None = None,
    ) -> None:
        self._records.journal.audited(
            action,
            UserId(seat.participant_id),
            UserId(subject) if subject else None,
            seat.room.id,
            details,
        )


def _main_of(seat: Seat) -> MeetingId:
    return seat.room.state.live.parent or seat.room.id


async def put_in_force(
    placement: Placement, records: Records, record: Meeting, by: ParticipantId | None = None
) -> None:
    """The settings on record hold in the meeting that runs, whoever else changes them now: of two
    who do, the one whose record is older finds that, and puts the newer one in force again."""
    newest: Meeting | None = record
    while newest is not None:
        record = newest
        async with redis_calls():
            await placement.update_settings(record.id, record.room_settings, by)
        read = await records.meetings.read(record.id)
        newest = read if read is not None and read.version > record.version else None


def _participant(seat: Seat, target: ParticipantId) -> Participant:
    known = seat.room.state.participants.get(target)
    if known is None:
        raise _nobody()
    return known


def _nobody() -> NotFound:
    return NotFound("they are not in the meeting")
