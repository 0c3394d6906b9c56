"""A replica's copy of a meeting: a snapshot, brought up to date by the bus, event by event."""

from collections.abc import Container, Iterator
from enum import Enum, auto
from typing import Literal

from kcs_contracts.events import (
    AtNext,
    BreakoutMoved,
    DomainEvent,
    MediaMigrating,
    MediaMoved,
    MediaReset,
    MediaToggled,
    MoveAbandoned,
    ParticipantChanged,
    ParticipantJoined,
    ParticipantLeft,
    ProducerClosed,
    ProducerOpened,
    ProducerPaused,
    Published,
    RoomChanged,
    SessionReplaced,
    WaitingJoined,
    WaitingLeft,
)
from kcs_contracts.ids import (
    Epoch,
    Generation,
    MeetingId,
    NodeName,
    ParticipantId,
    ProducerId,
)
from kcs_contracts.live import Live
from kcs_contracts.rooms import (
    Assignment,
    NextHome,
    Participant,
    Producer,
    RoomSnapshot,
    Waiting,
)

Producers = dict[ProducerId, Producer]


class Applied(Enum):
    """What became of an event."""

    NOW = auto()
    """It was the next one, and it is in the state now."""
    BEFORE = auto()
    """It was in the state already."""
    GAP = auto()
    """Events before it are missing: the state is unchanged, read the snapshot again."""


class NextPlane:
    """The media of the home that the meeting is moving to."""

    def __init__(self, node: NodeName, epoch: Epoch, generation: Generation):
        self.node, self.epoch, self.generation = node, epoch, generation
        self.assignment: Assignment | None = None
        """None: an event said that it moves, and not where the next home listens."""
        self.producers: Producers = {}

    @classmethod
    def of(cls, home: NextHome) -> "NextPlane":
        """As a snapshot has it."""
        plane = cls(home.assignment.node, home.epoch, home.generation)
        plane.assignment = home.assignment
        plane.producers = {each.id: each for each in home.producers}
        return plane


class RoomState:
    """Who is in the meeting, what they send, and what holds in it, at `version`."""

    def __init__(self, snapshot: RoomSnapshot):
        self.meeting_id: MeetingId = snapshot.meeting_id
        self.version = snapshot.version
        self.assignment: Assignment | None = snapshot.assignment
        self.epoch = Epoch(snapshot.assignment.epoch if snapshot.assignment else 0)
        self.generation: Generation = snapshot.generation
        self.participants: dict[ParticipantId, Participant] = {
            each.id: each for each in snapshot.participants
        }
        self.producers: dict[ProducerId, Producer] = {each.id: each for each in snapshot.producers}
        self.waiting: dict[ParticipantId, Waiting] = {each.id: each for each in snapshot.waiting}
        self.live = Live(snapshot.live)
        self.inside: dict[ParticipantId, MeetingId] = dict(snapshot.inside)
        """Who is in which breakout room."""
        self.next = NextPlane.of(snapshot.next) if snapshot.next else None
        """Where it is moving to."""

    def producers_of(self, participant_id: ParticipantId) -> list[Producer]:
        """What the participant sends, oldest first."""
        return [each for each in self.producers.values() if each.participant_id == participant_id]

    def producers_at(self, epoch: Epoch | None) -> Producers | None:
        """What is sent to the home, or, in its epoch, to the next one; None: that is neither."""
        if epoch in (None, self.epoch):
            return self.producers
        return self.next.producers if self.next and self.next.epoch == epoch else None

    def streams_of(self, participant_id: ParticipantId) -> list[tuple[Epoch | None, Producer]]:
        """What the participant sends to the home (None), and to the next one (its epoch)."""
        found: list[tuple[Epoch | None, Producer]] = [
            (None, each) for each in self.producers_of(participant_id)
        ]
        if self.next is not None:
            more = self.next.producers.values()
            found += [(self.next.epoch, p) for p in more if p.participant_id == participant_id]
        return found

    def apply(self, published: Published) -> Applied:
        """Takes the event in, if it is the next one."""
        if published.version <= self.version:
            return Applied.BEFORE
        if published.version != self.version + 1:
            return Applied.GAP
        self.version = published.version
        self._take(published.event)
        return Applied.NOW

    def keep(self, older: "RoomState") -> None:
        """Adds what an older state had and this one lacks: for a Redis that lost its data.

        Whoever was in the meeting is put back by the replica that holds the socket; until then
        nobody is to be told that they left.
        """
        if self.assignment is None:
            self.assignment, self.epoch = older.assignment, older.epoch
            self.generation = older.generation
        self.participants = older.participants | self.participants
        self.waiting = older.waiting | self.waiting
        self.inside = older.inside | self.inside
        self.live = self.live.over(older.live)
        if (self.epoch, self.generation) == (older.epoch, older.generation):
            self.producers = older.producers | self.producers

    def _take(self, event: DomainEvent) -> None:
        match event:
            case ParticipantJoined(participant=participant):
                self.participants[participant.id] = participant
            case ParticipantLeft(participant_id=gone):
                self.participants.pop(gone, None)
                for plane, producer in self.streams_of(gone):
                    del (self.producers_at(plane) or {})[producer.id]
            case ParticipantChanged(participant=participant):
                if participant.id in self.participants:
                    self.participants[participant.id] = participant
            case WaitingJoined(person=person):
                self.waiting[person.id] = person
            case WaitingLeft(participant_id=who, outcome=outcome):
                self.waiting.pop(who, None)
                if outcome == "admitted":
                    self.live = self.live.changed(f"admitted:{who}", "true")
            case BreakoutMoved(participant_id=who, room_id=where, inside=True):
                self.inside[who] = where
            case BreakoutMoved(participant_id=who):
                self.inside.pop(who, None)
            case RoomChanged(field=field, value=value):
                self.live = self.live.changed(field, value)
            case SessionReplaced(participant_id=who, new_session=session):
                self._change(who, session=session)
            case MediaToggled(participant_id=who, kind=kind, enabled=enabled):
                self._change(who, **{f"{kind}_enabled": enabled})
            case ProducerOpened() | ProducerPaused() | ProducerClosed():
                _take_stream(self.producers, event)
            case AtNext(epoch=epoch, event=stream):
                if self.next is not None and self.next.epoch == epoch:
                    _take_stream(self.next.producers, stream)
            case MediaMigrating(node=node, epoch=epoch, generation=generation):
                self.next = NextPlane(node, epoch, generation)
            case MoveAbandoned():
                self.next = None
            case MediaMoved(epoch=epoch, generation=generation):
                came = self.next if self.next and self.next.epoch == epoch else None
                self.assignment = came.assignment if came else None
                self.producers = came.producers if came else {}
                self.epoch, self.generation, self.next = epoch, generation, None
            case MediaReset(epoch=epoch, generation=generation):
                self.next = None
                if epoch != self.epoch:
                    self.assignment = None  # the event does not say where the new home listens
                self.epoch, self.generation = epoch, generation
                self.producers.clear()

    def _change(self, who: ParticipantId, **changes: object) -> None:
        if known := self.participants.get(who):
            self.participants[who] = known.model_copy(update=changes)


def _take_stream(
    producers: Producers, event: ProducerOpened | ProducerPaused | ProducerClosed
) -> None:
    match event:
        case ProducerOpened(producer=producer):
            producers[producer.id] = producer
        case ProducerPaused(producer_id=which, paused=paused):
            if known := producers.get(which):
                producers[which] = known.model_copy(update={"paused": paused})
        case ProducerClosed(producer_id=which):
            producers.pop(which, None)


def missed(old: RoomState, new: RoomState) -> Iterator[DomainEvent]:
    """What happened between the two, as far as it can still be seen, in an order that makes sense.

    For the sockets of a replica whose bus had a gap: they are told what they missed. Whoever left
    and came again meanwhile did just that.
    """
    count = len(new.participants)
    stayed = {
        who: known
        for who, known in old.participants.items()
        if who in new.participants and new.participants[who].joined_at_ms == known.joined_at_ms
    }
    old_producers = old.producers
    if (old.epoch, old.generation) != (new.epoch, new.generation) and old.epoch:
        yield _other_plane(old, new)
        old_producers = {}
    opened = list(_opened(old_producers, new.producers, stayed))
    for closed in old_producers.values():
        if closed.id not in new.producers or closed.participant_id not in stayed:
            yield closed_event(closed, left=closed.participant_id not in stayed)
    for gone, known in old.participants.items():
        if gone not in stayed:
            yield ParticipantLeft(
                participant_id=gone,
                display_name=known.display_name,
                reason="removed" if new.live.was_removed(gone) else "left",
                count=count,
            )
    yield from _live_changes(old, new)
    for who, participant in new.participants.items():
        if who in stayed:
            yield from _changed(stayed[who], participant)
        else:
            yield ParticipantJoined(participant=participant, count=count)
    yield from opened
    yield from _at_next(old, new)


def _other_plane(old: RoomState, new: RoomState) -> MediaMoved | MediaReset:
    """The media plane is another: the one that the meeting was moving to, or one that nobody had
    heard of."""
    node = new.assignment.node if new.assignment else NodeName("")
    epoch, generation = new.epoch, new.generation
    if old.next is not None and old.next.epoch == epoch and old.next.generation == generation:
        return MediaMoved(node=node, epoch=epoch, generation=generation)
    return MediaReset(reason="moved", node=node, epoch=epoch, generation=generation)


def _opened(
    old: Producers, new: Producers, stayed: Container[ParticipantId]
) -> Iterator[ProducerOpened | ProducerPaused]:
    for producer in new.values():
        earlier = old.get(producer.id)
        if earlier is None or producer.participant_id not in stayed:
            yield ProducerOpened(producer=producer)
        elif earlier.paused != producer.paused:
            yield ProducerPaused(
                producer_id=producer.id,
                participant_id=producer.participant_id,
                paused=producer.paused,
            )


def _at_next(old: RoomState, new: RoomState) -> Iterator[DomainEvent]:
    """What became of a move, and what is sent where it goes."""
    before, now = old.next, new.next
    if before is not None and (now is None or now.epoch != before.epoch):
        if new.epoch == old.epoch:
            yield MoveAbandoned(epoch=before.epoch)
        before = None
    if now is None:
        return
    if before is None:
        yield MediaMigrating(node=now.node, epoch=now.epoch, generation=now.generation)
    producers = before.producers if before else {}
    for closed in producers.values():
        if closed.id not in now.producers:
            yield AtNext(epoch=now.epoch, event=closed_event(closed, left=False))
    for event in _opened(producers, now.producers, new.participants):
        yield AtNext(epoch=now.epoch, event=event)


def closed_event(producer: Producer, *, left: bool) -> ProducerClosed:
    """A stream is gone, with its participant if `left`."""
    return ProducerClosed(
        producer_id=producer.id,
        participant_id=producer.participant_id,
        source=producer.source,
        reason="participant_left" if left else "closed",
    )


def _changed(before: Participant, after: Participant) -> Iterator[DomainEvent]:
    if before.session != after.session:
        yield SessionReplaced(
            participant_id=after.id, old_session=before.session, new_session=after.session
        )
    if before.audio_enabled != after.audio_enabled:
        yield MediaToggled(participant_id=after.id, kind="audio", enabled=after.audio_enabled)
    if before.video_enabled != after.video_enabled:
        yield MediaToggled(participant_id=after.id, kind="video", enabled=after.video_enabled)
    if before.role != after.role:
        yield ParticipantChanged(participant=after, what="role", old_role=before.role)
    for what in _SEEN:
        if getattr(before, what) != getattr(after, what):
            yield ParticipantChanged(participant=after, what=what)


_SEEN: tuple[
    Literal[
        "display_name",
        "hand_raised_at_ms",
        "audio_muted",
        "video_muted",
        "screen_sharing",
        "quality",
    ],
    ...,
] = (
    "display_name",
    "hand_raised_at_ms",
    "audio_muted",
    "video_muted",
    "screen_sharing",
    "quality",
)


def _live_changes(old: RoomState, new: RoomState) -> Iterator[DomainEvent]:
    """What holds in the meeting now and did not before, and who waits or is in another room."""
    for field in old.live.fields.keys() | new.live.fields.keys():
        value = new.live.fields.get(field)
        if old.live.fields.get(field) != value:
            yield RoomChanged(field=field, value=value)
    for who in old.waiting.keys() - new.waiting.keys():
        admitted = f"admitted:{who}" in new.live.fields
        yield WaitingLeft(participant_id=who, outcome="admitted" if admitted else "left")
    for who, person in new.waiting.items():
        if old.waiting.get(who) != person:
            yield WaitingJoined(person=person)
    for who in old.inside.keys() | new.inside.keys():
        before, after = old.inside.get(who), new.inside.get(who)
        where = after or before
        if before != after and where is not None:
            yield BreakoutMoved(
                participant_id=who, display_name="", room_id=where, inside=after is not None
            )
