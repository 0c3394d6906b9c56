"""The meeting as a whole: what holds in it, its waiting room, its end, and who is speaking."""

from typing import Any, cast

from kcs_contracts.protocol import room as events
from kcs_contracts.protocol.views import MeetingNamed, SettingsView
from kcs_signaling.dialects import views
from kcs_signaling.dialects.table import Answered, Dialect, Handlers, SocketPeer
from kcs_signaling.dialects.welcome import recent_messages, welcome
from kcs_signaling.errors import AccessDenied, NotFound
from kcs_signaling.service.entry import main_of

handlers = Handlers()
Any_ = Dialect[Any]


@handlers.of(events.SNAPSHOT)
async def snapshot(dialect: Any_, peer: SocketPeer, request: events.RoomNamed) -> Answered:
    """All that joining told, as it is now."""
    seat = peer.seated()
    messages = await recent_messages(dialect.services, peer)
    return Answered(welcome(dialect.services, peer, seat, messages=messages, resumed=True))


@handlers.of(events.LOCK)
async def lock(dialect: Any_, peer: SocketPeer, request: events.RoomLock) -> events.RoomLocked:
    """Locks the meeting or opens it."""
    held = await dialect.services.people.change_settings(peer, {"locked": request.locked})
    return {"meeting_id": request.meeting_id, "locked": held.locked}


@handlers.of(events.CHANGE_SETTINGS)
async def change_settings(
    dialect: Any_, peer: SocketPeer, request: events.RoomSettingsChange
) -> events.SettingsChanged:
    """Changes what holds in the meeting."""
    changes = request.settings.model_dump(exclude_none=True)
    await dialect.services.people.change_settings(peer, changes)
    now = views.live_settings(peer.seated().room.state.live)
    if now is None:
        raise NotFound("the meeting is not on record any more")
    # the bus may not have brought them yet; the payload's fields are the view's, by name and type
    settings = cast("SettingsView", {**now, **changes})
    return {"meeting_id": request.meeting_id, "settings": settings}


@handlers.of(events.END)
async def end(dialect: Any_, peer: SocketPeer, request: events.RoomNamed) -> MeetingNamed:
    """Ends the meeting for all."""
    return {"meeting_id": await dialect.services.endings.end(peer)}


@handlers.of(events.ADMIT)
async def admit(dialect: Any_, peer: SocketPeer, request: events.Admit) -> events.Admitted:
    """Lets people in."""
    admitted = await dialect.services.people.admit(peer, request.target_user_ids)
    return {"meeting_id": request.meeting_id, "user_ids": admitted}


@handlers.of(events.DENY)
async def deny(dialect: Any_, peer: SocketPeer, request: events.Deny) -> events.Denied:
    """Turns somebody away."""
    await dialect.services.people.deny(peer, request.target_user_id, request.reason)
    return {"meeting_id": request.meeting_id, "user_id": request.target_user_id}


@handlers.of(events.REFRESH_AUTH)
async def refresh_auth(
    dialect: Any_, peer: SocketPeer, request: events.AuthRefresh
) -> events.AuthRefreshed:
    """A newer token for the same person."""
    identity = dialect.services.tokens.verify(request.token)
    if identity.user_id != peer.identity.user_id:
        raise AccessDenied("the token is another user's")
    room = peer.seat.room if peer.seat is not None else peer.waits_for
    if room is not None and identity.meeting_id not in (None, room.id, main_of(room.id)):
        raise AccessDenied("the token is for another meeting")
    peer.identity = identity
    return {"expires_at": views.at_ms(identity.expires_at * 1000)}
