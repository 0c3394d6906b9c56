"""Calling people into their breakout rooms and out of them, whichever dialect they speak."""

from collections.abc import Iterable
from typing import Any, cast

from kcs_contracts.events import DomainEvent, RoomChanged
from kcs_contracts.ids import MeetingId
from kcs_contracts.rooms import Breakouts
from kcs_signaling.dialects import views
from kcs_signaling.dialects.table import Dialect, SocketPeer
from kcs_signaling.dialects.welcome import main_token
from kcs_signaling.rooms.peer import Peer, Room, Seat

_FIELDS = ("breakouts", "of_main")
_MAIN = "Main meeting"
"""How the main meeting is called among the rooms."""


def call_into_rooms(
    dialect: Dialect[Any], room: Room, peers: Iterable[Peer], event: DomainEvent | None = None
) -> None:
    """`breakout:go` for each peer that belongs elsewhere, while rooms are open, and was not told so
    yet: in a room, or, out of the one that it belonged to, in the main meeting.

    After an event that has nothing to do with that, nothing; None: the peer has just come. Whoever
    came into a breakout room is called out of it only by what is said from then on.
    """
    if event is not None and not (isinstance(event, RoomChanged) and event.field in _FIELDS):
        return
    live = room.state.live
    now = live.breakouts or live.of_main
    if now is None:
        return
    names = {each.id: each.name for each in now.rooms} | {live.parent: _MAIN}
    for peer in peers:
        if peer.seat is None:
            continue
        mine = _place_of(peer.seat, now)
        called, peer.seat.called_to = peer.seat.called_to, mine
        if mine is None or mine in (called, room.id) or mine not in names:
            continue
        if event is None and live.parent is not None:
            continue
        closes_at = None if now.closes_at_ms is None else views.at_ms(now.closes_at_ms)
        go = {
            "meeting_id": live.parent or room.id,
            "room_id": mine,
            "name": names[mine],
            "token": main_token(dialect.services, peer),
            "closes_at": closes_at,
        }
        dialect.send([cast(SocketPeer, peer)], dialect.say("breakout:go", go))


def _place_of(seat: Seat, now: Breakouts) -> MeetingId | None:
    """Where the peer belongs now; None: it may stay where it is."""
    if not now.open:
        return None
    assigned = now.assignments.get(seat.participant_id)
    if assigned is None and seat.called_to == seat.room.id:
        return seat.room.state.live.parent
    return assigned
