"""What happens in a room, in the client guide's own words where it has some, else in those of
`/meeting`. Pure, as `dialects.rendering` is.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from kcs_contracts import protocol
from kcs_contracts.events import (
    ChatPosted,
    DomainEvent,
    MediaMoved,
    MediaReset,
    ParticipantJoined,
    ParticipantLeft,
    ProducerClosed,
    ProducerOpened,
    Typed,
)
from kcs_contracts.protocol import guide_client as guide
from kcs_contracts.rooms import Participant
from kcs_signaling.dialects import views
from kcs_signaling.dialects.rendering import Told, others, rendered, sees
from kcs_signaling.rooms.peer import Room

_HEARD = {event.name for event in protocol.SHARED_HEARD}
_OWN_WORDS = (
    ChatPosted,
    MediaMoved,
    MediaReset,
    ParticipantJoined,
    ParticipantLeft,
    ProducerClosed,
    ProducerOpened,
    Typed,
)
"""Events that the guide has words of its own for."""


def in_the_guides_words(room: Room, event: DomainEvent) -> Iterator[Told]:
    """What the guide says of it, spelled as it is sent."""
    match event:
        case ParticipantJoined(participant=who, count=count):
            yield Told(
                "participant-joined", joined(who, count), lambda peer: peer.session != who.session
            )
        case ParticipantLeft(participant_id=gone, display_name=name):
            yield Told("participant-left", {"participantId": gone, "userName": name})
        case ProducerClosed(producer_id=which, participant_id=who_id, source=source):
            closed: guide.ProducerClosed = {
                "participantId": who_id,
                "producerId": which,
                "kind": source.kind,
            }
            yield Told("producer-closed", closed, others(who_id))
        case MediaReset(reason=reason):
            yield Told("media:reset", {"meetingId": room.id, "reason": reason})
        case MediaMoved():
            yield Told("media:reset", {"meetingId": room.id, "reason": "moved"})
        case ChatPosted():
            yield Told("new-message", message(room.id, event), sees(event))
        case Typed(participant_id=who_id, typing=typing):
            known = room.state.participants.get(who_id)
            name = known.display_name if known else ""
            said = {"userId": who_id, "userName": name, "typing": typing}
            yield Told("user-typing", said, others(who_id))
        case _:
            for told in rendered(room, event):
                if told.name == "participant:muted":
                    yield told._replace(payload=_muted(told.payload))


def in_the_words_of_both(room: Room, event: DomainEvent) -> Iterator[Told]:
    """What `/meeting` says of it and the guide does not, in snake_case still."""
    if not isinstance(event, _OWN_WORDS):
        yield from (told for told in rendered(room, event) if told.name in _HEARD)


def joined(who: Participant, count: int) -> guide.ParticipantJoined:
    """Somebody who came in, one of `count` then."""
    return {
        "participantId": who.id,
        "userName": who.display_name,
        "userId": who.id,
        "participantCount": count,
    }


def message(meeting_id: str, said: ChatPosted) -> guide.NewMessage:
    """Something said."""
    return {
        "id": said.message_id,
        "meeting_id": meeting_id,
        "sender_id": said.sender_id,
        "sender_name": said.sender_name,
        "message": said.text,
        "message_type": "text",
        "recipient_type": said.recipient_type,
        "recipient_id": said.recipient_id,
        "reply_to": said.reply_to,
        "timestamp": views.at_ms(said.at_ms),
    }


def _muted(told: Mapping[str, Any]) -> guide.ParticipantMuted:
    return {
        "meetingId": told["meeting_id"],
        "targetUserId": told["target_user_id"],
        "moderatorName": told["moderator_name"],
        "muteType": told["kind"],
        "muted": told["muted"],
    }
