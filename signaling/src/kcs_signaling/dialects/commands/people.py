"""People: what hosts do about them, hands, and views."""

from typing import Any

from kcs_contracts.protocol import people as events
from kcs_signaling.dialects.table import Answered, Dialect, Handlers, SocketPeer

handlers = Handlers()
Any_ = Dialect[Any]


@handlers.of(events.REMOVE)
async def remove(dialect: Any_, peer: SocketPeer, request: events.Remove) -> events.TargetIs:
    """Puts somebody out."""
    await dialect.services.people.remove(peer, request.target_user_id, request.reason)
    return {"meeting_id": request.meeting_id, "target_user_id": request.target_user_id}


@handlers.of(events.UPDATE_ROLE)
async def update_role(dialect: Any_, peer: SocketPeer, request: events.RoleUpdate) -> events.RoleIs:
    """Another role for somebody."""
    await dialect.services.people.change_role(peer, request.target_user_id, request.new_role)
    return {
        "meeting_id": request.meeting_id,
        "target_user_id": request.target_user_id,
        "new_role": request.new_role,
    }


@handlers.of(events.ADD)
async def add(dialect: Any_, peer: SocketPeer, request: events.Add) -> events.Added:
    """People who may come in without approval."""
    invited = await dialect.services.adding.add(
        peer, request.user_ids, request.emails, request.role, peer.connection.address
    )
    return {"meeting_id": request.meeting_id, "invitations": invited}


@handlers.of(events.RAISE_HAND)
async def raise_hand(dialect: Any_, peer: SocketPeer, request: events.InMeeting) -> events.HandIs:
    """One's own hand goes up."""
    await dialect.services.people.hand(peer, up=True)
    return {"meeting_id": request.meeting_id, "user_id": peer.seated().participant_id}


@handlers.of(events.LOWER_HAND)
async def lower_hand(dialect: Any_, peer: SocketPeer, request: events.HandLower) -> events.HandIs:
    """One's own hand, or another's, goes down."""
    who = request.target_user_id or peer.seated().participant_id
    await dialect.services.people.hand(peer, up=False, target=request.target_user_id)
    return {"meeting_id": request.meeting_id, "user_id": who}


@handlers.of(events.CHANGE_LAYOUT)
async def change_layout(dialect: Any_, peer: SocketPeer, request: events.LayoutChange) -> Answered:
    """One's own layout is told to nobody else; that for all comes by the room."""
    chosen: events.LayoutIs = {
        "meeting_id": request.meeting_id,
        "layout": request.layout,
        "user_id": peer.seated().participant_id,
        "for_all": request.for_all,
    }
    if request.for_all:
        await dialect.services.people.arrange(peer, "layout", request.layout)
        return Answered(chosen)
    return Answered(chosen, emits="layout:changed")


@handlers.of(events.PIN)
async def pin(dialect: Any_, peer: SocketPeer, request: events.Pin) -> events.PinIs:
    """One's own pin: the others hear nothing of it."""
    if request.target_user_id is not None:
        dialect.services.people.participant(peer, request.target_user_id)
    return {"meeting_id": request.meeting_id, "target_user_id": request.target_user_id}


@handlers.of(events.SPOTLIGHT)
async def spotlight(dialect: Any_, peer: SocketPeer, request: events.Pin) -> events.PinIs:
    """Into the light for everybody."""
    await dialect.services.people.arrange(peer, "spotlight", request.target_user_id)
    return {"meeting_id": request.meeting_id, "target_user_id": request.target_user_id}
