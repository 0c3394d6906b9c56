"""Chat and reactions: on record first, then told.

What is acknowledged is on record. Whoever misses the telling (a gap of the bus, a moment without a
socket) is told again from what placement keeps of the last minutes, and reads the rest from there.
"""

import secrets
import time

from kcs_contracts.events import ChatDeleted, ChatPosted, Reacted, Typed
from kcs_contracts.ids import MeetingId, ParticipantId, UserId
from kcs_contracts.placement import Placement
from kcs_contracts.protocol.chat import RecipientType
from kcs_contracts.protocol.roles import Action
from kcs_signaling.errors import InvalidRequest, NotFound, SignalingError
from kcs_signaling.metrics import MESSAGES
from kcs_signaling.records.chat import ChatMessage
from kcs_signaling.records.paging import BadCursor, Page
from kcs_signaling.records.records import Records
from kcs_signaling.rooms.peer import Peer, Seat
from kcs_signaling.rooms.permissions import authorise, is_host
from kcs_signaling.service.guard import redis_calls

RECENT = 50
"""Messages that come with the answer to a join."""


class RoomChat:
    """The chat of the meeting that a peer is in."""

    def __init__(self, placement: Placement, records: Records):
        self._placement, self._records = placement, records

    async def send(
        self,
        peer: Peer,
        text: str,
        *,
        reply_to: str | None = None,
        to: RecipientType = "all",
        recipient: ParticipantId | None = None,
    ) -> ChatPosted:
        """Says something.

        Raises:
            NotFound: the recipient is not in the meeting, or there is no such message to reply to.
            Unavailable: it was not said; or, in bad luck, on record and told to nobody.
        """
        seat = peer.seated()
        meeting_id, now = seat.room.id, time.time()
        if recipient is not None and recipient not in seat.room.state.participants:
            raise NotFound("they are not in the meeting")
        if reply_to is not None:
            await self._seen(seat, reply_to)
        posted = ChatPosted(
            message_id=secrets.token_urlsafe(12),
            sender_id=seat.participant_id,
            sender_name=seat.now.display_name,
            text=text,
            reply_to=reply_to,
            recipient_type=to,
            recipient_id=recipient,
            at_ms=int(now * 1000),
        )
        await self._records.chat.add(_record(meeting_id, posted))
        try:
            async with redis_calls():
                await self._placement.publish(meeting_id, posted)
        except SignalingError:
            await self._records.chat.delete(meeting_id, posted.message_id, at=now)
            raise
        MESSAGES.inc()
        return posted

    async def delete(self, peer: Peer, message_id: str) -> None:
        """Takes a message's text away for good, and tells all; asked again, tells it again, since
        the first time may have been on record only.

        Raises:
            NotFound: there is none, for all that the peer may know.
            AccessDenied: it is somebody else's, and the peer is no host.
        """
        seat = peer.seated()
        message = await self._known(seat, message_id)
        if message.sender_id != peer.identity.user_id:
            authorise(seat.role, Action.MODERATE_CHAT, seat.room.state.live.settings)
        await self._records.chat.delete(seat.room.id, message_id, at=time.time())
        async with redis_calls():
            await self._placement.publish(
                seat.room.id, ChatDeleted(message_id=message_id, by=seat.participant_id)
            )

    async def history(
        self, peer: Peer, *, before: str | None = None, limit: int = RECENT
    ) -> Page[ChatMessage]:
        """What was said and the peer may see, newest first; see `chat_begins_ms`.

        Raises:
            InvalidRequest: `before` is no `next` of an earlier page.
        """
        seat = peer.seated()
        try:
            return await self._records.chat.history(
                seat.room.id,
                UserId(seat.participant_id),
                is_host=is_host(seat.role),
                since=chat_begins_ms(seat) / 1000,
                after=before,
                limit=limit,
            )
        except BadCursor as error:
            raise InvalidRequest("before: take `next` of an earlier answer") from error

    async def recent(self, peer: Peer) -> list[ChatMessage]:
        """The last of what the peer may see, newest first. Where nothing was said by the time that
        the first came here, the records are not asked again until something is."""
        room = peer.seated().room
        if room.chat == "silent":
            return []
        said = (await self.history(peer)).items
        if not said and room.chat == "unknown":
            room.chat = "asking"
            spoken = await self._records.chat.any(room.id)
            if room.chat == "asking":  # nothing was told meanwhile
                room.chat = "spoken" if spoken else "silent"
        return list(said)

    async def typing(self, peer: Peer, typing: bool) -> None:
        """Says that the peer is writing, or not any more."""
        seat = peer.seated()
        async with redis_calls():
            await self._placement.publish(
                seat.room.id, Typed(participant_id=seat.participant_id, typing=typing)
            )

    async def react(self, peer: Peer, emoji: str) -> Reacted:
        """Shows an emoji to all."""
        seat = peer.seated()
        reacted = Reacted(
            participant_id=seat.participant_id, emoji=emoji, at_ms=int(time.time() * 1000)
        )
        async with redis_calls():
            await self._placement.publish(seat.room.id, reacted)
        return reacted

    async def _seen(self, seat: Seat, message_id: str) -> ChatMessage:
        """A message that the peer may see, and that nobody has deleted."""
        message = await self._known(seat, message_id)
        if message.deleted_at is not None:
            raise NotFound("there is no such message")
        return message

    async def _known(self, seat: Seat, message_id: str) -> ChatMessage:
        """A message that the peer may see, deleted or not."""
        message = await self._records.chat.read(seat.room.id, message_id)
        if message is None or not may_see(message, seat):
            raise NotFound("there is no such message")
        return message


def may_see(message: ChatMessage | ChatPosted, seat: Seat) -> bool:
    """Whether the message is for the one in that seat."""
    me = seat.participant_id
    if message.recipient_type == "all" or message.sender_id == me:
        return True
    if message.recipient_type == "host":
        return is_host(seat.role)
    return message.recipient_id == me


def chat_begins_ms(seat: Seat) -> int:
    """From when on the one in that seat sees what was said, Unix time in ms.

    Where the settings keep what was said before from people who join, that is when they came. In a
    breakout room it is when the room was made: earlier ones had the same id.
    """
    live = seat.room.state.live
    made_at_ms = live.of_main.made_at_ms if live.of_main else 0
    if live.settings.chat_history or is_host(seat.role):
        return made_at_ms
    return max(made_at_ms, seat.now.joined_at_ms)


def _record(meeting_id: MeetingId, posted: ChatPosted) -> ChatMessage:
    return ChatMessage(
        id=posted.message_id,
        meeting_id=meeting_id,
        sender_id=UserId(posted.sender_id),
        sender_name=posted.sender_name,
        text=posted.text,
        reply_to=posted.reply_to,
        recipient_type=posted.recipient_type,
        recipient_id=UserId(posted.recipient_id) if posted.recipient_id else None,
        at=posted.at_ms / 1000,
    )
