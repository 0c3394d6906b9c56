"""A peer: one connection of a person, and the room that it is in on this replica."""

from collections.abc import Container, Iterable
from dataclasses import dataclass, field
from typing import Literal, Protocol

from kcs_contracts.events import DomainEvent
from kcs_contracts.ids import ConsumerId, Epoch, MeetingId, ParticipantId, ProducerId, SessionId
from kcs_contracts.models import JsonObject
from kcs_contracts.rooms import Participant, Role
from kcs_signaling.errors import NotFound, NotJoined
from kcs_signaling.identity import Identity
from kcs_signaling.rooms.quality import QualityWatch, WordWatch
from kcs_signaling.rooms.state import Producers, RoomState


class Audience(Protocol):
    """A dialect as the room sees it: it is told what happened and renders it for its peers."""

    crosses: bool
    """Its clients may know how to move to another media server without a gap."""

    def tell(self, room: "Room", event: DomainEvent, peers: "Iterable[Peer]") -> None:
        """Renders an event that is in `room.state` already. Returns at once; must not raise."""

    def part(self, peer: "Peer", meeting_id: MeetingId) -> None:
        """Another session speaks for the peer's participant: says so and closes the socket."""

    def removed(self, peer: "Peer", meeting_id: MeetingId, note: str) -> None:
        """A host removed the peer: says so. The socket stays, outside of every meeting."""

    def decided(self, peer: "Peer", meeting_id: MeetingId, admitted: bool, note: str) -> None:
        """The peer waited, and a host let it in or turned it away."""

    def resync(self, peer: "Peer", room: "Room") -> None:
        """News may be lost to the peer: says so."""


@dataclass(eq=False)
class Room:
    """A meeting on this replica: its state, and the peers that are here."""

    id: MeetingId
    state: RoomState
    rtp_capabilities: JsonObject = field(default_factory=dict)
    """What the meeting's router can receive."""
    peers: "dict[SessionId, Peer]" = field(default_factory=dict)
    lobby: "dict[SessionId, Peer]" = field(default_factory=dict)
    """Peers that wait to be let in: they are told of that, and of the meeting's end."""
    chat: Literal["unknown", "asking", "silent", "spoken"] = "unknown"
    """Whether anything was ever said in it: the records need not be asked where it is silent."""

    @property
    def occupied(self) -> bool:
        """Somebody is in it, or in its lobby."""
        return bool(self.peers or self.lobby)


@dataclass(eq=False)
class Seat:
    """A peer's place in a room."""

    room: Room
    participant: Participant
    """As it joined; the flags of now are in the room's state."""
    rtp_capabilities: JsonObject | None = None
    """What the client can receive: it may leave them out after it has told them once."""
    consumers: dict[ProducerId, ConsumerId] = field(default_factory=dict)
    settled: bool = False
    """The peer has the answer to its join, which holds what happens until then, but for news."""
    held: list[DomainEvent] = field(default_factory=list)
    """News of that time: they are told after the answer."""
    entered: int = 0
    """The version of the room's state as the peer was seated; from there on it is told all."""
    wants_stats: bool = False
    """It asked for everybody's statistics."""
    watch: QualityWatch = field(default_factory=QualityWatch)
    word: WordWatch = field(default_factory=WordWatch)
    starts_screen: bool = False
    """It said that it is about to share its screen."""
    crossing: Epoch | None = None
    """It was told that the meeting moves to the home of that epoch."""
    crossed: Epoch | None = None
    """Its media is at the home of that epoch, beside what it has."""
    called_to: MeetingId | None = None
    """Where it belongs, as it was told last: a breakout room, or the main meeting again."""

    @property
    def participant_id(self) -> ParticipantId:
        return self.participant.id

    @property
    def now(self) -> Participant:
        """The participant as the room knows it now."""
        return self.room.state.participants.get(self.participant.id, self.participant)

    @property
    def role(self) -> Role:
        return self.now.role

    def producers_at(self, epoch: Epoch | None) -> Producers:
        """What is sent to that home.

        Raises:
            NotFound: the meeting has none of that epoch (any more).
        """
        found = self.room.state.producers_at(epoch)
        if found is None:
            raise NotFound("that media server is not the meeting's (any more); negotiate again")
        return found

    def keep_consumers(self, producers: Container[ProducerId]) -> None:
        """Consumers of all other producers are gone."""
        self.consumers = {p: each for p, each in self.consumers.items() if p in producers}

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
        self.waits_for: Room | None = None
        """The meeting whose waiting room it is in."""

    @property
    def participant_id(self) -> ParticipantId:
        """Who it is in any meeting."""
        return ParticipantId(self.identity.user_id)

    def seated(self) -> Seat:
        """Its seat.

        Raises:
            NotJoined: it is in no meeting.
        """
        if self.seat is None:
            raise NotJoined("join the meeting first")
        return self.seat
