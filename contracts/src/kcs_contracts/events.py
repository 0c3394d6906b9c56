"""Domain events: what happened in a meeting, published on its bus in order of `version`.

Placement publishes each change inside the Redis function that makes it; signaling replicas with
sockets in the meeting render it for those sockets, each in its dialect. A gap in the versions
means: read the snapshot again. Some events are news only (`ActiveSpeaker`): they change no
state, but count in the same sequence.
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
from kcs_contracts.rooms import MediaKind, Participant, Producer, Source


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


class MediaReset(Contract):
    """The media plane is new: every transport, producer and consumer is gone, people are not."""

    type: Literal["media_reset"] = "media_reset"
    reason: Literal["worker_died", "node_lost", "moved"]
    node: NodeName
    epoch: Epoch
    generation: Generation


class ActiveSpeaker(Contract):
    """Who speaks now; None when nobody does. News only."""

    type: Literal["active_speaker"] = "active_speaker"
    participant_id: ParticipantId | None


class MeetingEnded(Contract):
    """The meeting is over for all."""

    type: Literal["meeting_ended"] = "meeting_ended"
    reason: Literal["ended_by_host", "expired", "deleted"]


DomainEvent = Annotated[
    ParticipantJoined
    | ParticipantLeft
    | SessionReplaced
    | MediaToggled
    | ProducerOpened
    | ProducerPaused
    | ProducerClosed
    | MediaReset
    | ActiveSpeaker
    | MeetingEnded,
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
