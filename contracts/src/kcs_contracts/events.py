"""Domain events: what happened in a meeting, published on its bus in order of `version`.

Placement publishes each change inside the Redis function that makes it; signaling replicas with
sockets in the meeting render it for those sockets, each in its dialect. A gap in the versions
means: read the snapshot again. Some events are news only (`NEWS`): they change no state, but count
in the same sequence; those in `KEPT` are kept for two minutes, to be told again to whoever missed
them.
"""

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from kcs_contracts.ids import (
    Epoch,
    Generation,
    MeetingId,
    NodeName,
    ParticipantId,
    ProducerId,
    SessionId,
)
from kcs_contracts.models import Contract
from kcs_contracts.rooms import MediaKind, Participant, Producer, Role, Source, Waiting

# --- people --------------------------------------------------------------------------------------


class ParticipantJoined(Contract):
    """Somebody is in the meeting. Not sent again when a known participant resumes."""

    type: Literal["participant_joined"] = "participant_joined"
    participant: Participant
    count: int
    """Participants in the meeting after this."""


class ParticipantLeft(Contract):
    """Somebody is gone, and all that they sent with them."""

    type: Literal["participant_left"] = "participant_left"
    participant_id: ParticipantId
    display_name: str
    reason: Literal["left", "timeout", "removed", "replaced"]
    count: int
    note: str = ""
    """What a host said when they removed them."""


class ParticipantChanged(Contract):
    """One thing about a participant is another."""

    type: Literal["participant_changed"] = "participant_changed"
    participant: Participant
    """As they are now."""
    what: Literal[
        "role",
        "display_name",
        "hand_raised_at_ms",
        "audio_muted",
        "video_muted",
        "screen_sharing",
        "quality",
    ]
    old_role: Role | None = None
    """With `role`."""
    by: ParticipantId | None = None
    """Who did it; None: they themselves, or nobody."""
    note: str = ""
    """Why, in the words of whoever did it."""


class SessionReplaced(Contract):
    """A newer session speaks for the participant: the older one's socket is told and closed."""

    type: Literal["session_replaced"] = "session_replaced"
    participant_id: ParticipantId
    old_session: SessionId
    new_session: SessionId


class MediaToggled(Contract):
    """A participant's microphone or camera went on or off."""

    type: Literal["media_toggled"] = "media_toggled"
    participant_id: ParticipantId
    kind: MediaKind
    enabled: bool


class WaitingJoined(Contract):
    """Somebody waits to be let in, or waits from another session now."""

    type: Literal["waiting_joined"] = "waiting_joined"
    person: Waiting


class WaitingLeft(Contract):
    """Somebody does not wait any more."""

    type: Literal["waiting_left"] = "waiting_left"
    participant_id: ParticipantId
    outcome: Literal["admitted", "denied", "left"]
    note: str = ""
    """With `denied`: why."""


class BreakoutMoved(Contract):
    """Told in the main meeting: somebody is in one of its breakout rooms, or not any more."""

    type: Literal["breakout_moved"] = "breakout_moved"
    participant_id: ParticipantId
    display_name: str
    room_id: MeetingId
    inside: bool


# --- media ---------------------------------------------------------------------------------------


class ProducerOpened(Contract):
    """A stream to consume."""

    type: Literal["producer_opened"] = "producer_opened"
    producer: Producer


class ProducerPaused(Contract):
    """A stream was paused or resumed at the server."""

    type: Literal["producer_paused"] = "producer_paused"
    producer_id: ProducerId
    participant_id: ParticipantId
    paused: bool


class ProducerClosed(Contract):
    """A stream ended; its consumers are closed."""

    type: Literal["producer_closed"] = "producer_closed"
    producer_id: ProducerId
    participant_id: ParticipantId
    source: Source
    reason: Literal["closed", "transport_closed", "participant_left"]


class AtNext(Contract):
    """The same where the meeting is moving to: for those who have media there already."""

    type: Literal["at_next"] = "at_next"
    epoch: Epoch
    """The next home's."""
    event: ProducerOpened | ProducerPaused | ProducerClosed = Field(discriminator="type")


class MediaMigrating(Contract):
    """The meeting begins to move: the node is its next home, beside the one that it has."""

    type: Literal["media_migrating"] = "media_migrating"
    node: NodeName
    epoch: Epoch
    generation: Generation


class MediaMoved(Contract):
    """The next home is the home now, with what is sent there. Who is not there yet begins anew."""

    type: Literal["media_moved"] = "media_moved"
    node: NodeName
    epoch: Epoch
    generation: Generation


class MoveAbandoned(Contract):
    """The meeting stays where it is: what was made at that next home is gone."""

    type: Literal["move_abandoned"] = "move_abandoned"
    epoch: Epoch


class MediaReset(Contract):
    """The media plane is new: every transport, producer and consumer is gone, people are not.

    A move that was under way is over.
    """

    type: Literal["media_reset"] = "media_reset"
    reason: Literal["worker_died", "node_lost", "moved"]
    node: NodeName
    epoch: Epoch
    generation: Generation


# --- the meeting ---------------------------------------------------------------------------------


class RoomChanged(Contract):
    """What holds in the meeting is another: a field of `live.Live`."""

    type: Literal["room_changed"] = "room_changed"
    field: str
    value: str | None
    """JSON; None: the field is gone."""
    by: ParticipantId | None = None


class MeetingEnded(Contract):
    """The meeting is over for all."""

    type: Literal["meeting_ended"] = "meeting_ended"
    reason: Literal["ended_by_host", "expired", "deleted", "idle", "breakout_closed"]
    return_to: MeetingId | None = None
    """The main meeting, where a breakout room closed."""


# --- news ----------------------------------------------------------------------------------------


class ActiveSpeaker(Contract):
    """Who speaks now; None when nobody does."""

    type: Literal["active_speaker"] = "active_speaker"
    participant_id: ParticipantId | None


class AudioLevels(Contract):
    """How loud the loudest are, in dBvo (-127 to 0); empty when nobody is to be heard."""

    type: Literal["audio_levels"] = "audio_levels"
    levels: dict[ParticipantId, int]


class ChatPosted(Contract):
    """A message, on record already."""

    type: Literal["chat_posted"] = "chat_posted"
    message_id: str
    sender_id: ParticipantId
    sender_name: str
    text: str
    reply_to: str | None = None
    recipient_type: Literal["all", "private", "host"] = "all"
    recipient_id: ParticipantId | None = None
    at_ms: int


class ChatDeleted(Contract):
    """A message's text is gone for good."""

    type: Literal["chat_deleted"] = "chat_deleted"
    message_id: str
    by: ParticipantId


class Typed(Contract):
    """Somebody is writing in the chat, or not any more."""

    type: Literal["typed"] = "typed"
    participant_id: ParticipantId
    typing: bool


class Reacted(Contract):
    """An emoji."""

    type: Literal["reacted"] = "reacted"
    participant_id: ParticipantId
    emoji: str
    at_ms: int


class PeopleAdded(Contract):
    """A host added people; of those who were invited by mail only the number is told."""

    type: Literal["people_added"] = "people_added"
    user_ids: tuple[ParticipantId, ...]
    emails: int
    by: ParticipantId


class BreakoutTold(Contract):
    """A host of the main meeting tells all breakout rooms something."""

    type: Literal["breakout_told"] = "breakout_told"
    main: MeetingId
    text: str
    display_name: str


class BreakoutClosing(Contract):
    """The breakout rooms close soon."""

    type: Literal["breakout_closing"] = "breakout_closing"
    main: MeetingId
    seconds: int


News = Annotated[
    ActiveSpeaker
    | AudioLevels
    | ChatPosted
    | ChatDeleted
    | Typed
    | Reacted
    | PeopleAdded
    | BreakoutTold
    | BreakoutClosing,
    Field(discriminator="type"),
]
"""Events that change no state."""
KEPT = (ChatPosted, ChatDeleted, Reacted, BreakoutTold)
"""News that are told again to whoever missed them."""

DomainEvent = Annotated[
    ParticipantJoined
    | ParticipantLeft
    | ParticipantChanged
    | SessionReplaced
    | MediaToggled
    | WaitingJoined
    | WaitingLeft
    | BreakoutMoved
    | ProducerOpened
    | ProducerPaused
    | ProducerClosed
    | AtNext
    | MediaMigrating
    | MediaMoved
    | MoveAbandoned
    | MediaReset
    | RoomChanged
    | MeetingEnded
    | News,
    Field(discriminator="type"),
]


class Published(Contract):
    """What travels on the bus."""

    meeting_id: MeetingId
    version: int
    event: DomainEvent


PUBLISHED: TypeAdapter[Published] = TypeAdapter(Published)
"""Reads a bus message: `PUBLISHED.validate_json(data)`."""


def bus_channel(meeting_id: MeetingId) -> str:
    """The Redis channel of a meeting's bus."""
    return f"kcs:bus:{meeting_id}"
