"""Breakout rooms, for those who run them and those who go."""

from typing import Any

from kcs_contracts.protocol import breakouts as events
from kcs_contracts.protocol.views import BreakoutsView, MeetingNamed
from kcs_contracts.rooms import Breakouts
from kcs_signaling.dialects import views
from kcs_signaling.dialects.table import Dialect, Handlers, SocketPeer
from kcs_signaling.dialects.welcome import main_token
from kcs_signaling.rooms.permissions import is_host

handlers = Handlers()
Any_ = Dialect[Any]


def _shown(peer: SocketPeer, now: Breakouts) -> BreakoutsView:
    seat = peer.seated()
    return views.breakouts(
        seat.room.id,
        now,
        seat.room.state.inside,
        for_host=is_host(seat.role),
        me=seat.participant_id,
    )


@handlers.of(events.CREATE)
async def create(dialect: Any_, peer: SocketPeer, request: events.Create) -> BreakoutsView:
    """New rooms, closed."""
    made = await dialect.services.breakouts.create(
        peer, request.count, request.names, request.choose
    )
    return _shown(peer, made)


@handlers.of(events.ASSIGN)
async def assign(dialect: Any_, peer: SocketPeer, request: events.Assign) -> BreakoutsView:
    """Who goes where."""
    rooms = dialect.services.breakouts
    if request.evenly:
        return _shown(peer, await rooms.assign_evenly(peer))
    wanted = {each.user_id: each.room_id for each in request.assignments}
    return _shown(peer, await rooms.assign(peer, wanted))


@handlers.of(events.OPEN)
async def open_rooms(dialect: Any_, peer: SocketPeer, request: events.Open) -> BreakoutsView:
    """Off they go."""
    return _shown(peer, await dialect.services.breakouts.open(peer, request.minutes))


@handlers.of(events.CHOOSE)
async def choose(dialect: Any_, peer: SocketPeer, request: events.Choose) -> events.Chosen:
    """The way into a room."""
    room = dialect.services.breakouts.way_into(peer, request.room_id)
    return {
        "meeting_id": request.meeting_id,
        "room_id": room.id,
        "token": main_token(dialect.services, peer),
    }


@handlers.of(events.TELL)
async def tell(dialect: Any_, peer: SocketPeer, request: events.Tell) -> MeetingNamed:
    """Something for all rooms."""
    await dialect.services.breakouts.tell(peer, request.message)
    return {"meeting_id": request.meeting_id}


@handlers.of(events.CLOSE)
async def close(dialect: Any_, peer: SocketPeer, request: events.Close) -> BreakoutsView:
    """Everybody comes back."""
    return _shown(peer, await dialect.services.breakouts.close(peer, request.seconds))


@handlers.of(events.LIST)
async def list_rooms(dialect: Any_, peer: SocketPeer, request: events.Named) -> BreakoutsView:
    """The rooms as they are."""
    return _shown(peer, dialect.services.breakouts.now(peer))
