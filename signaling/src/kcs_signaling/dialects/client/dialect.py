"""How the client guide's clients are spoken to, and how they come and go."""

from collections.abc import Iterable, Mapping
from typing import Any

from kcs_contracts import protocol
from kcs_contracts.events import (
    DomainEvent,
    MediaMoved,
    MediaReset,
    MeetingEnded,
    ProducerClosed,
    ProducerOpened,
)
from kcs_contracts.ids import MeetingId
from kcs_contracts.models import JsonObject
from kcs_contracts.protocol import guide_client as guide
from kcs_contracts.protocol.camel import camel_object
from kcs_signaling.adapters.packets import Packet
from kcs_signaling.adapters.packets import event as event_packet
from kcs_signaling.adapters.socket_server import Connection
from kcs_signaling.dialects.breakout_calls import call_into_rooms
from kcs_signaling.dialects.client import commands
from kcs_signaling.dialects.client.peer import ClientPeer
from kcs_signaling.dialects.client.rendering import (
    in_the_guides_words,
    in_the_words_of_both,
    joined,
)
from kcs_signaling.dialects.commands import SHARED
from kcs_signaling.dialects.rendering import reached, what_hosts_see
from kcs_signaling.dialects.table import Answered, Command, Dialect, Handlers
from kcs_signaling.identity import Identity
from kcs_signaling.rooms.peer import Peer, Room
from kcs_signaling.rooms.permissions import is_host
from kcs_signaling.service.rooms import JoinRequest

handlers = Handlers(SHARED.in_camel(), commands.handlers)


class ClientDialect(Dialect[ClientPeer]):
    """The client guide's clients."""

    events = protocol.CLIENT
    handlers = handlers
    label = "client"
    crosses = False

    def make_peer(self, identity: Identity, connection: Connection) -> ClientPeer:
        return ClientPeer(identity, connection, self)

    def failed(self, peer: ClientPeer, command: Command, error: JsonObject) -> None:
        peer.connection.emit("error", {**error, "event": command.event[:64]})

    def refusal(self, peer: ClientPeer, code: str, message: str) -> Packet:
        """See `Namespace`."""
        return event_packet(self.name, "error", {"code": code, "message": message, "event": None})

    def say(self, name: str, payload: Mapping[str, Any]) -> Packet:
        """See `Dialect`."""
        return event_packet(self.name, name, camel_object(payload))

    async def disconnected(self, peer: ClientPeer) -> None:
        peer.announcements.clear()
        await super().disconnected(peer)

    def removed(self, peer: Peer, meeting_id: MeetingId, note: str) -> None:
        """See `Audience`."""
        assert isinstance(peer, ClientPeer)
        peer.announcements.clear()
        super().removed(peer, meeting_id, note)

    async def come_in(self, peer: ClientPeer, wanted: JoinRequest) -> Answered:
        """Joins, and tells the peer of itself; or says that it waits."""
        peer.wants_in, before = wanted, peer.seat
        entrance = await self.services.rooms.join(peer, wanted)
        if entrance is None:
            waits: guide.WaitingForApproval = {"meetingId": wanted.meeting_id, "waiting": True}
            return Answered(waits, emits="waiting")
        seat = entrance.seat
        seat.settled = True
        if before is not None and seat is not before:
            peer.announcements.clear()  # what it receives by was the other room's
        answer = joined(seat.now, len(seat.room.state.participants))

        def go_on() -> None:
            if is_host(seat.role):
                for told in what_hosts_see(seat.room, seat.participant_id):
                    self.send([peer], self.say(told.name, told.payload))
            call_into_rooms(self, seat.room, [peer])

        return Answered(answer, emits="participant-joined", then=go_on)

    def tell(self, room: Room, event: DomainEvent, peers: Iterable[Peer]) -> None:
        """See `Audience`."""
        clients = [peer for peer in peers if isinstance(peer, ClientPeer)]
        here: list[Peer] = list(clients)
        _announce(event, clients)
        for told in in_the_guides_words(room, event):
            self.send(reached(told, here), event_packet(self.name, told.name, told.payload))
        for told in in_the_words_of_both(room, event):
            if reaches := reached(told, here):
                self.send(reaches, self.say(told.name, told.payload))
        if isinstance(event, MeetingEnded) and event.return_to is None:
            ended = {"code": "MEETING_ENDED", "message": "the meeting has ended", "event": None}
            self.send(here, event_packet(self.name, "error", ended))
        call_into_rooms(self, room, here, event)


@handlers.of(guide.JOIN)
async def join(dialect: ClientDialect, peer: ClientPeer, request: guide.JoinMeeting) -> Answered:
    """Into the meeting, or its waiting room."""
    wanted = JoinRequest(request.meeting_id, request.user_id, request.user_name)
    return await dialect.come_in(peer, wanted)


@handlers.of(guide.LEAVE)
async def leave(
    dialect: ClientDialect, peer: ClientPeer, request: guide.LeaveMeeting
) -> guide.MeetingIs:
    """Out of it."""
    meeting_id = await dialect.services.rooms.leave(peer, request.meeting_id)
    peer.announcements.clear()
    return {"meetingId": meeting_id}


def _announce(event: DomainEvent, peers: list[ClientPeer]) -> None:
    match event:
        case ProducerOpened(producer=producer):
            for peer in peers:
                if peer.seat and peer.seat.participant_id != producer.participant_id:
                    peer.announcements.add(producer)
        case ProducerClosed(producer_id=which):
            for peer in peers:
                peer.announcements.remove(which)
        case MediaReset() | MediaMoved() | MeetingEnded():
            for peer in peers:
                peer.announcements.clear()
