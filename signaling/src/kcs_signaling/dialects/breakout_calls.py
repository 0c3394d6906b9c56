"""Calling people into their breakout rooms, whichever dialect they speak."""

from collections.abc import Iterable
from typing import Any, cast

from kcs_contracts.events import DomainEvent, RoomChanged
from kcs_signaling.dialects import views
from kcs_signaling.dialects.table import Dialect, SocketPeer
from kcs_signaling.dialects.welcome import main_token
from kcs_signaling.rooms.peer import Peer, Room

_FIELDS = ("breakouts", "of_main")


def call_into_rooms(
    dialect: Dialect[Any], room: Room, peers: Iterable[Peer], event: DomainEvent | None = None
) -> None:
    """`breakout:go` for each peer that belongs into an open room and was not told so yet.

    After an event that has nothing to do with that, nothing; None: the peer has just come. Whoever
    came into a breakout room is called out of it only by what is said from then on.
    """
    if event is not None and not (isinstance(event, RoomChanged) and event.field in _FIELDS):
        return
    live = room.state.live
    now = live.breakouts or live.of_main
    names = {each.id: each.name for each in now.rooms} if now else {}
    for peer in peers:
        if peer.seat is None:
            continue
        mine = now.assignments.get(peer.seat.participant_id) if now and now.open else None
        called, peer.seat.called_to = peer.seat.called_to, mine
        if now is None or mine is None or mine in (called, room.id) or mine not in names:
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
