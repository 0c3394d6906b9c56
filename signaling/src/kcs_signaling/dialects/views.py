"""What the room knows, in the shapes of `kcs_contracts.protocol.views`. Pure."""

from datetime import UTC, datetime

from kcs_contracts.events import ChatPosted
from kcs_contracts.ids import MeetingId, ParticipantId
from kcs_contracts.live import Live
from kcs_contracts.meeting_settings import RoomSettings
from kcs_contracts.node_api import TransportCreated
from kcs_contracts.protocol.views import (
    BreakoutPerson,
    BreakoutsView,
    Consumer,
    IceServers,
    MediaMigrate,
    Message,
    Person,
    SettingsView,
    Stream,
    Transport,
    WaitingPerson,
)
from kcs_contracts.rooms import Breakouts, Participant, Producer, Waiting
from kcs_signaling.ports import Meeting
from kcs_signaling.records.chat import ChatMessage
from kcs_signaling.rooms.state import RoomState
from kcs_signaling.service.consumers import Subscription


def at_ms(ms: int | float) -> str:
    """A moment, ISO 8601 in UTC with milliseconds."""
    at = datetime.fromtimestamp(ms / 1000, UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def person(who: Participant) -> Person:
    """Somebody in the meeting."""
    hand = who.hand_raised_at_ms
    return {
        "user_id": who.id,
        "display_name": who.display_name,
        "role": who.role,
        "audio_enabled": who.audio_enabled,
        "video_enabled": who.video_enabled,
        "screen_sharing": who.screen_sharing,
        "hand_raised_at": None if hand is None else at_ms(hand),
        "audio_muted_by_host": who.audio_muted,
        "video_muted_by_host": who.video_muted,
        "quality": who.quality,
        "joined_at": at_ms(who.joined_at_ms),
    }


def stream(producer: Producer) -> Stream:
    """Something to consume."""
    return {
        "producer_id": producer.id,
        "user_id": producer.participant_id,
        "kind": producer.kind,
        "source": producer.source,
        "paused": producer.paused,
    }


def migration(state: RoomState) -> MediaMigrate | None:
    """Where the meeting is moving to."""
    moving = state.next
    if moving is None:
        return None
    return {
        "meeting_id": state.meeting_id,
        "node": moving.node,
        "epoch": moving.epoch,
        "generation": moving.generation,
        "streams": [stream(each) for each in moving.producers.values()],
    }


def waiting_person(who: Waiting) -> WaitingPerson:
    """Somebody in the waiting room."""
    return {"user_id": who.id, "display_name": who.display_name, "since": at_ms(who.since_ms)}


def message(meeting_id: MeetingId, said: ChatMessage) -> Message:
    """A message on record."""
    recipient = said.recipient_id
    return {
        "meeting_id": meeting_id,
        "message_id": said.id,
        "user_id": ParticipantId(said.sender_id),
        "display_name": said.sender_name,
        "message": said.text,
        "reply_to": said.reply_to,
        "recipient_type": said.recipient_type,
        "recipient_id": None if recipient is None else ParticipantId(recipient),
        "timestamp": at_ms(said.at * 1000),
        "deleted": said.deleted_at is not None,
    }


def posted(meeting_id: MeetingId, said: ChatPosted) -> Message:
    """A message as it is told."""
    return {
        "meeting_id": meeting_id,
        "message_id": said.message_id,
        "user_id": said.sender_id,
        "display_name": said.sender_name,
        "message": said.text,
        "reply_to": said.reply_to,
        "recipient_type": said.recipient_type,
        "recipient_id": said.recipient_id,
        "timestamp": at_ms(said.at_ms),
        "deleted": False,
    }


def settings(meeting: Meeting, held: RoomSettings) -> SettingsView:
    """What holds in the meeting."""
    return {
        "display_name": meeting.display_name,
        "max_participants": meeting.max_participants,
        "default_role": meeting.default_role,
        "require_host_approval": held.require_host_approval,
        "allow_unmute_self": held.allow_unmute_self,
        "guest_chat": held.guest_chat,
        "several_screens": held.several_screens,
        "host_succession": held.host_succession,
        "chat_history": held.chat_history,
        "locked": held.locked,
    }


def live_settings(live: Live) -> SettingsView | None:
    """The same, where all that is known of the meeting is what placement holds."""
    return (
        None
        if live.record is None
        else settings(Meeting.model_validate_json(live.record), live.settings)
    )


def breakouts(
    meeting_id: MeetingId,
    now: Breakouts,
    inside: dict[ParticipantId, MeetingId],
    *,
    for_host: bool,
    me: ParticipantId | None = None,
) -> BreakoutsView:
    """The breakout rooms; who is where for hosts alone, and for anybody where they belong."""

    def shown(places: dict[ParticipantId, MeetingId]) -> list[BreakoutPerson]:
        return [
            {"user_id": who, "room_id": room}
            for who, room in places.items()
            if for_host or who == me
        ]

    return {
        "meeting_id": meeting_id,
        "open": now.open,
        "choose": now.choose,
        "rooms": [{"room_id": room.id, "name": room.name} for room in now.rooms],
        "assignments": shown(now.assignments),
        "inside": shown(inside),
        "closes_at": None if now.closes_at_ms is None else at_ms(now.closes_at_ms),
    }


def breakouts_in(
    state: RoomState, *, for_host: bool, me: ParticipantId | None = None
) -> BreakoutsView | None:
    """Those of a room, if it has any."""
    now = state.live.breakouts
    if now is None:
        return None
    return breakouts(state.meeting_id, now, state.inside, for_host=for_host, me=me)


def transport(made: TransportCreated, ice: IceServers) -> Transport:
    """A new transport."""
    return {
        "transport_id": made.transport_id,
        "direction": made.direction,
        "ice_parameters": made.ice_parameters,
        "ice_candidates": list(made.ice_candidates),
        "dtls_parameters": made.dtls_parameters,
        **ice,
    }


def consumer(made: Subscription) -> Consumer:
    """A new consumer."""
    return {
        "consumer_id": made.consumer.consumer_id,
        "producer_id": made.producer.id,
        "user_id": made.producer.participant_id,
        "kind": made.consumer.kind,
        "source": made.producer.source,
        "type": made.consumer.type,
        "rtp_parameters": made.consumer.rtp_parameters,
        "producer_paused": made.consumer.producer_paused,
    }
