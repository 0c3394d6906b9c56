"""What somebody is told who comes in."""

import asyncio
from datetime import UTC, datetime

from kcs_contracts.node_api import TransportCreated
from kcs_contracts.protocol.roles import Action, allows
from kcs_contracts.protocol.room import RoomJoined
from kcs_contracts.protocol.views import IceServers, Message, SettingsView
from kcs_contracts.rooms import Role
from kcs_signaling.dialects import views
from kcs_signaling.dialects.room_services import RoomServices
from kcs_signaling.errors import Unavailable
from kcs_signaling.ports import Meeting
from kcs_signaling.rooms.peer import Peer, Seat
from kcs_signaling.rooms.permissions import is_host
from kcs_signaling.service.entry import main_of
from kcs_signaling.tokens import meeting_token_expiry

_PATIENCE_S = 0.5


def welcome(
    services: RoomServices,
    peer: Peer,
    seat: Seat,
    *,
    messages: list[Message],
    resumed: bool,
    transports: list[TransportCreated] | None = None,
) -> RoomJoined:
    """The room as the peer may see it now. Nothing here awaits: the bus goes on from it."""
    state, who = seat.room.state, seat.now
    ice = ice_servers(services, peer)
    leads = is_host(who.role)
    seat.crossing = state.next.epoch if state.next else None
    may_admit = allows(who.role, Action.ADMIT)
    return {
        "meeting_id": seat.room.id,
        "user_id": who.id,
        "display_name": who.display_name,
        "your_role": who.role,
        "participants": [views.person(each) for each in state.participants.values()],
        "producers": [
            views.stream(each) for each in state.producers.values() if each.participant_id != who.id
        ],
        "rtp_capabilities": seat.room.rtp_capabilities,
        "transports": [views.transport(each, ice) for each in transports or ()],
        **ice,
        "settings": _settings(seat),
        "spotlight": state.live.spotlight,
        "layout": state.live.layout,
        "waiting": [views.waiting_person(each) for each in state.waiting.values() if may_admit],
        "breakouts": views.breakouts_in(state, for_host=leads, me=who.id),
        "parent_id": state.live.parent,
        "recent_messages": messages,
        "version": state.version,
        "resume_token": main_token(services, peer),
        "resumed": resumed,
        "media": {"epoch": state.epoch, "generation": state.generation},
        "moving": views.migration(state),
    }


async def recent_messages(services: RoomServices, peer: Peer) -> list[Message]:
    """The last messages that the peer may see, oldest first; none while they cannot be read."""
    meeting_id = peer.seated().room.id
    try:
        async with asyncio.timeout(_PATIENCE_S):
            recent = await services.chat.recent(peer)
    except (Unavailable, TimeoutError):
        return []  # who joins must not wait for the records
    return [views.message(meeting_id, said) for said in reversed(recent)]


def ice_servers(services: RoomServices, peer: Peer) -> IceServers:
    """With credentials that the client renews before they end."""
    ice = services.turn.for_user(peer.identity.user_id)
    return {"ice_servers": list(ice.servers), "ice_ttl_seconds": ice.ttl_seconds}


def main_token(services: RoomServices, peer: Peer) -> str:
    """A meeting token of the peer's own, good for the main meeting and its breakout rooms."""
    seat = peer.seated()
    meeting = _meeting(seat)
    until = meeting_token_expiry(meeting, datetime.now(UTC).timestamp())
    person = peer.identity.model_copy(update={"user_name": seat.now.display_name})
    main = main_of(seat.room.id) or seat.room.id
    # not the role of now: that one is the room's to give and to take
    role = peer.identity.role or (
        Role.HOST if person.user_id == meeting.host_id else meeting.default_role
    )
    return services.tokens.meeting(main, person, role, expires_at=until)


def _meeting(seat: Seat) -> Meeting:
    record = seat.room.state.live.record
    if record is None:
        raise Unavailable("the meeting is being put back together", retry_after_s=1)
    return Meeting.model_validate_json(record)


def _settings(seat: Seat) -> SettingsView:
    return views.settings(_meeting(seat), seat.room.state.live.settings)
