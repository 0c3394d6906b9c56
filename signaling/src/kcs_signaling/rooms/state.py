"""A replica's copy of a meeting: a snapshot, brought up to date by the bus, event by event."""

from collections.abc import Iterator
from enum import Enum, auto

from kcs_contracts.events import (
    DomainEvent,
    MediaReset,
    MediaToggled,
    ParticipantJoined,
    ParticipantLeft,
    ProducerClosed,
    ProducerOpened,
    ProducerPaused,
    Published,
    SessionReplaced,
)
from kcs_contracts.ids import (
    Epoch,
    Generation,
    MeetingId,
    NodeName,
    ParticipantId,
    ProducerId,
)
from kcs_contracts.rooms import Assignment, Participant, Producer, RoomSnapshot, Source


class Applied(Enum):
    """What became of an event."""

    NOW = auto()
    """It was the next one, and it is in the state now."""
    BEFORE = auto()
    """It was in the state already."""
    GAP = auto()
    """Events before it are missing: the state is unchanged, read the snapshot again."""


class RoomState:
    """Who is in the meeting and what they send, at `version`."""

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

    def producers_of(self, participant_id: ParticipantId) -> list[Producer]:
        """What the participant sends, oldest first."""
        return [each for each in self.producers.values() if each.participant_id == participant_id]

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
        if (self.epoch, self.generation) == (older.epoch, older.generation):
            self.producers = older.producers | self.producers

    def _take(self, event: DomainEvent) -> None:
        match event:
            case ParticipantJoined(participant=participant):
                self.participants[participant.id] = participant
            case ParticipantLeft(participant_id=gone):
                self.participants.pop(gone, None)
                for producer in self.producers_of(gone):
                    del self.producers[producer.id]
            case SessionReplaced(participant_id=who, new_session=session):
                self._change(who, session=session)
            case MediaToggled(participant_id=who, kind=kind, enabled=enabled):
                self._change(who, **{f"{kind}_enabled": enabled})
            case ProducerOpened(producer=producer):
                self.producers[producer.id] = producer
                if producer.source is Source.SCREEN:
                    self._change(producer.participant_id, screen_sharing=True)
            case ProducerPaused(producer_id=which, paused=paused):
                if known := self.producers.get(which):
                    self.producers[which] = known.model_copy(update={"paused": paused})
            case ProducerClosed(producer_id=which, participant_id=who, source=source):
                self.producers.pop(which, None)
                if source is Source.SCREEN:
                    self._change(who, screen_sharing=False)
            case MediaReset(epoch=epoch, generation=generation):
                if epoch != self.epoch:
                    self.assignment = None  # the event does not say where the new home listens
                self.epoch, self.generation = epoch, generation
                self.producers.clear()

    def _change(self, who: ParticipantId, **changes: object) -> None:
        if known := self.participants.get(who):
            self.participants[who] = known.model_copy(update=changes)


def missed(old: RoomState, new: RoomState) -> Iterator[DomainEvent]:
    """What happened between the two, as far as it can still be seen, in an order that makes sense.

    For the sockets of a replica whose bus had a gap: they are told what they missed.
    """
    count = len(new.participants)
    if (old.epoch, old.generation) != (new.epoch, new.generation) and old.epoch:
        node = new.assignment.node if new.assignment else NodeName("")
        yield MediaReset(reason="moved", node=node, epoch=new.epoch, generation=new.generation)
        old_producers: dict[ProducerId, Producer] = {}
    else:
        old_producers = old.producers
    for closed in old_producers.values():
        if closed.id not in new.producers:
            yield closed_event(closed, left=closed.participant_id not in new.participants)
    for gone, known in old.participants.items():
        if gone not in new.participants:
            yield ParticipantLeft(
                participant_id=gone, display_name=known.display_name, reason="left", count=count
            )
    for who, participant in new.participants.items():
        before = old.participants.get(who)
        if before is None:
            yield ParticipantJoined(participant=participant, count=count)
        else:
            yield from _changed(before, participant)
    for producer in new.producers.values():
        earlier = old_producers.get(producer.id)
        if earlier is None:
            yield ProducerOpened(producer=producer)
        elif earlier.paused != producer.paused:
            yield ProducerPaused(
                producer_id=producer.id,
                participant_id=producer.participant_id,
                paused=producer.paused,
            )


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
