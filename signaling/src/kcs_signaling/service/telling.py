"""Telling a room's peers what happened, and what that means for those who are here: which consumers
are gone, who has to go, and who may come in.
"""

from collections.abc import Iterator, Sequence

import structlog

from kcs_contracts.events import (
    KEPT,
    AtNext,
    ChatPosted,
    DomainEvent,
    MediaMoved,
    MediaReset,
    MeetingEnded,
    MoveAbandoned,
    ParticipantChanged,
    ParticipantJoined,
    ParticipantLeft,
    ProducerClosed,
    Published,
    SessionReplaced,
    WaitingJoined,
    WaitingLeft,
)
from kcs_contracts.ids import SessionId
from kcs_signaling.metrics import LEFT, PARTICIPANTS, WAITING
from kcs_signaling.rooms.peer import Audience, Peer, Room, Seat

_log = structlog.get_logger()
_NEWS = (*KEPT, MediaReset, MediaMoved)
"""What the answer to a join does not hold, if it happens while that is made."""


def tell(room: Room, event: DomainEvent) -> None:
    """Tells all whom it concerns of an event that is in the room's state already."""
    if isinstance(event, MediaReset):
        for seat in _seats(room):
            seat.consumers.clear()
            seat.crossing = None
    audiences: dict[Audience, list[Peer]] = {}
    for peer in _listeners(room, event):
        audiences.setdefault(peer.audience, []).append(peer)
    for audience, peers in audiences.items():
        try:
            audience.tell(room, event, peers)
        except Exception:
            _log.exception("event_not_told", meeting_id=room.id, event_type=event.type)
    _carry_out(room, event)


def settle(peer: Peer, seat: Seat, missed_news: Sequence[Published] = ()) -> None:
    """The peer has the answer to its join: it is told what it missed while it was away, and the
    news of the time in which the answer was made."""
    seat.settled = True
    held, seat.held = seat.held, []
    for event in (*(each.event for each in missed_news), *held):
        peer.audience.tell(seat.room, event, [peer])


def unseat(room: Room, among: dict[SessionId, Peer], peer: Peer) -> None:
    """The peer is among the room's peers, or those in its lobby, no more."""
    if among.get(peer.session) is peer:
        del among[peer.session]
        (PARTICIPANTS if among is room.peers else WAITING).dec()
    if among is room.peers:
        peer.seat = None
    else:
        peer.waits_for = None


def put_out(room: Room, peer: Peer, note: str) -> None:
    """A host removed the peer."""
    unseat(room, room.peers, peer)
    peer.audience.removed(peer, room.id, note)


def decide(room: Room, event: WaitingLeft) -> None:
    """Whoever waits in the lobby hears what a host decided of them."""
    for peer in list(room.lobby.values()):
        if peer.participant_id == event.participant_id:
            unseat(room, room.lobby, peer)
            admitted = event.outcome == "admitted"
            peer.audience.decided(peer, room.id, admitted, event.note)


def _carry_out(room: Room, event: DomainEvent) -> None:
    """What an event means for the peers here."""
    match event:
        case ChatPosted():
            room.chat = "spoken"
        case MediaMoved(epoch=epoch):
            for seat in _seats(room):
                seat.keep_consumers(room.state.producers if seat.crossed == epoch else ())
                seat.crossing = None
        case MoveAbandoned():
            for seat in _seats(room):
                seat.keep_consumers(room.state.producers)
                seat.crossing = seat.crossed = None
        case ProducerClosed(producer_id=which) | AtNext(event=ProducerClosed(producer_id=which)):
            for seat in _seats(room):
                seat.consumers.pop(which, None)
        case ParticipantChanged(what="screen_sharing", participant=who):
            for seat in _seats(room):
                if seat.participant_id == who.id:
                    seat.starts_screen &= who.screen_sharing
        case SessionReplaced(old_session=session):
            if session in room.peers:
                _part(room, room.peers, room.peers[session])
        case ParticipantLeft(reason="removed", participant_id=gone, note=note):
            for peer in list(room.peers.values()):
                if peer.seat is not None and peer.seat.participant_id == gone:
                    put_out(room, peer, note)
        case WaitingJoined(person=person) | ParticipantJoined(participant=person):
            for peer in list(room.lobby.values()):
                if peer.participant_id == person.id and peer.session != person.session:
                    _part(room, room.lobby, peer)
        case WaitingLeft(outcome="left"):
            pass  # whoever is in the lobby all the same asks again, see RoomPresence
        case WaitingLeft():
            decide(room, event)
        case MeetingEnded():
            LEFT.labels("ended").inc(len(room.peers))
            for among in (room.peers, room.lobby):
                for peer in list(among.values()):
                    unseat(room, among, peer)


def _part(room: Room, among: dict[SessionId, Peer], peer: Peer) -> None:
    """Another session speaks for the peer's person."""
    unseat(room, among, peer)
    peer.audience.part(peer, room.id)


def _seats(room: Room) -> Iterator[Seat]:
    for peer in room.peers.values():
        if peer.seat is not None:
            yield peer.seat


def _listeners(room: Room, event: DomainEvent) -> Iterator[Peer]:
    """Who is told now; for those who have no answer to their join yet, news is held back."""
    is_end = isinstance(event, MeetingEnded)
    for peer in room.peers.values():
        if is_end or peer.seat is None or peer.seat.settled:
            yield peer
        elif isinstance(event, _NEWS):
            peer.seat.held.append(event)
    if is_end:
        yield from room.lobby.values()
