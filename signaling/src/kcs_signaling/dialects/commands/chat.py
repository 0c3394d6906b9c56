"""What was said, and reactions. Saying something is each dialect's own."""

from typing import Any

from kcs_contracts.protocol import chat as events
from kcs_signaling.dialects import views
from kcs_signaling.dialects.table import Dialect, Handlers, SocketPeer

handlers = Handlers()
Any_ = Dialect[Any]


@handlers.of(events.HISTORY)
async def history(dialect: Any_, peer: SocketPeer, request: events.History) -> events.Messages:
    """What the peer may see."""
    page = await dialect.services.chat.history(peer, before=request.before, limit=request.limit)
    said = [views.message(request.meeting_id, each) for each in page.items]
    return {"meeting_id": request.meeting_id, "messages": said, "next": page.next}


@handlers.of(events.DELETE)
async def delete(dialect: Any_, peer: SocketPeer, request: events.Delete) -> events.DeletedIs:
    """A message's text goes for good."""
    await dialect.services.chat.delete(peer, request.message_id)
    return {"meeting_id": request.meeting_id, "message_id": request.message_id}


@handlers.of(events.REACT)
async def react(dialect: Any_, peer: SocketPeer, request: events.React) -> events.Reaction:
    """An emoji for all to see."""
    shown = await dialect.services.chat.react(peer, request.emoji)
    return {
        "meeting_id": request.meeting_id,
        "user_id": shown.participant_id,
        "display_name": peer.seated().now.display_name,
        "emoji": shown.emoji,
        "timestamp": views.at_ms(shown.at_ms),
    }
