"""A peer: one connection of a person, and the room that it is in on this replica."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

from kcs_contracts.events import DomainEvent
from kcs_contracts.ids import ConsumerId, MeetingId, ParticipantId, ProducerId, SessionId
from kcs_contracts.models import JsonObject
from kcs_contracts.rooms import Participant, Role
from kcs_signaling.errors import NotJoined
from kcs_signaling.identity import Identity
from kcs_signaling.rooms.state import RoomState


class Audience(Protocol):
    """A dialect as the room sees it: it is told what happened and renders it for its peers."""

    def tell(self, room: "Room", event: DomainEvent, peers: "Iterable[Peer]") -> None:
        """Renders an event that is in `room.state` already. Returns at once; must not raise."""

    def part(self, peer: "Peer", meeting_id: MeetingId) -> None:
        """Another session speaks for the peer's participant: says so and closes the socket."""


@dataclass(eq=False)
class Room:
    """A meeting on this replica: its state, and the peers that are here."""

    id: MeetingId
    state: RoomState
    rtp_capabilities: JsonObject = field(default_factory=dict)
    """What the meeting's router can receive."""
    peers: "dict[SessionId, Peer]" = field(default_factory=dict)


@dataclass(eq=False)
class Seat:
    """A peer's place in a room."""

    room: Room
    participant: Participant
    """As it joined; the flags of now are in the room's state."""
    rtp_capabilities: JsonObject | None = None
    """What the client can receive: it may leave them out after it has told them once."""
    consumers: dict[ProducerId, ConsumerId] = field(default_factory=dict)

    @property
    def participant_id(self) -> ParticipantId:
        return self.participant.id

    @property
    def role(self) -> Role:
        return self.participant.role

    def forget_consumer(self, consumer_id: str) -> None:
        """The consumer is closed."""
        for producer, consumer in self.consumers.items():
            if consumer == consumer_id:
                del self.consumers[producer]
                return


class Peer:
    """One connection of a person, in one meeting at most."""

    def __init__(self, identity: Identity, session: SessionId, audience: Audience):
        self.identity, self.session, self.audience = identity, session, audience
        self.seat: Seat | None = None

    def seated(self) -> Seat:
        """Its seat.

        Raises:
            NotJoined: it is in no meeting.
        """
        if self.seat is None:
            raise NotJoined("join the meeting first")
        return self.seat
