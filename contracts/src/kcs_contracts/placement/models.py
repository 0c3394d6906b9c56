"""What goes into placement and comes out of it, beyond `rooms`."""

from typing import Literal, NamedTuple

from pydantic import Field

from kcs_contracts.ids import (
    BootId,
    Epoch,
    Generation,
    MeetingId,
    NodeName,
    ParticipantId,
    SessionId,
)
from kcs_contracts.models import Contract
from kcs_contracts.rooms import Participant, Role

Strategy = Literal["packed", "spread", "consistent_hash"]
"""packed: the fullest node that stays below 0.7, else the least loaded; spread: the least loaded;
consistent_hash: by sha256 of the meeting id, the next node when that one is full."""


class NodeLease(Contract):
    """What a node says of itself each second."""

    node: NodeName
    boot: BootId
    control_url: str
    region: str = ""
    pool: str = Field(default="", description="The SFUPool that it belongs to.")
    consumer_capacity: int = Field(gt=0, description="Consumers it can serve: 500 x workers.")
    cpu: float = Field(default=0.0, ge=0, description="Share of all its cores in use, 0 to 1.")
    consumers: int = Field(default=0, ge=0)
    egress_fraction: float = Field(default=0.0, ge=0, description="Egress over its limit, 0 to 1.")
    lease_ms: int = Field(default=3000, gt=0)


class Hosted(Contract):
    """A meeting that has a room on the node."""

    meeting_id: MeetingId
    epoch: Epoch
    generation: Generation


class Known(NamedTuple):
    """Somebody as a meeting knows them."""

    there: Participant | None
    """As they are in it now, or in one of its breakout rooms; None: they are not."""
    given: Role | None
    """The role that a host gave them there, which they have when they come."""
    removed: bool
    """A host removed them, and nobody has added them since."""


class Renewal(Contract):
    """What placement answers to a node."""

    draining: bool
    superseded: bool
    """A newer boot has this node's name, or this boot released its lease: it was not renewed."""
    over: tuple[MeetingId, ...] = ()
    """Hosted meetings that were ended: the node closes their rooms at once."""
    moved: tuple[MeetingId, ...] = ()
    """Hosted meetings that live elsewhere: it closes their rooms when people have had the time to
    build their media there."""

    @property
    def stale(self) -> tuple[MeetingId, ...]:
        """All hosted meetings that are not this node's any more."""
        return self.over + self.moved


class NodeView(Contract):
    """A node as placement knows it; kept for an hour after its lease ended."""

    node: NodeName
    boot: BootId
    control_url: str
    region: str
    consumer_capacity: int
    consumers: int
    alive: bool
    draining: bool
    load: float
    """max(cpu / 0.75, consumers / capacity, egress): 1 is full."""
    reserved: float
    """Load that is promised to assigned meetings whose people have not come yet."""


class Unmet(NamedTuple):
    """A meeting that no node had room for."""

    meeting_id: MeetingId
    people: int
    """For how many room was looked for."""
    pool: str
    """The only one that it may be in; "" is any."""
    region: str
    """The one that was asked for; "" is any."""


class LostMeeting(NamedTuple):
    """A meeting whose home's lease is over."""

    meeting_id: MeetingId
    node: NodeName
    epoch: Epoch


class Housed(NamedTuple):
    """A meeting of a node, as `Placement.survey` counts it."""

    meeting_id: MeetingId
    epoch: Epoch
    people: int
    """Participants in it; those in its breakout rooms are in meetings of their own."""


class Presence(NamedTuple):
    """One socket's claim to be a participant of a meeting."""

    meeting_id: MeetingId
    participant_id: ParticipantId
    session: SessionId


class Waits(NamedTuple):
    """A join that has to wait for a host."""

    version: int
    """The meeting's version that includes it."""


class Joined(Contract):
    """The outcome of a join."""

    version: int
    """The meeting's version that includes the join."""
    participant: Participant
    """As stored: `joined_at_ms` by Redis's clock; it and the media flags kept when resumed."""
    resumed: bool
    """The participant was in the meeting already, under this session or another."""
    replaced: SessionId | None
    """The other session that this one took over from."""
    count: int
    """Participants in the meeting now."""
