"""Rooms and peers as one replica has them: for tests of its parts."""

import time
from collections.abc import Iterable, Mapping
from typing import Any

from kcs_contracts.events import DomainEvent, Published
from kcs_contracts.ids import (
    BootId,
    Epoch,
    Generation,
    MeetingId,
    NodeName,
    ParticipantId,
    ProducerId,
    SessionId,
    UserId,
)
from kcs_contracts.rooms import (
    Assignment,
    NextHome,
    Participant,
    Producer,
    Role,
    RoomSnapshot,
    Source,
    Waiting,
)
from kcs_signaling.identity import Identity
from kcs_signaling.rooms.peer import Peer, Room

MEETING = MeetingId("m")


class Deaf:
    """An audience that does nothing with what it is told."""

    crosses = True

    def tell(self, room: Room, event: DomainEvent, peers: Iterable[Peer]) -> None: ...

    def part(self, peer: Peer, meeting_id: MeetingId) -> None: ...

    def removed(self, peer: Peer, meeting_id: MeetingId, note: str) -> None: ...

    def decided(self, peer: Peer, meeting_id: MeetingId, admitted: bool, note: str) -> None: ...

    def resync(self, peer: Peer, room: Room) -> None: ...


def peer(name: str, session: str, audience: Deaf) -> Peer:
    """A connection of that user's, in no room yet."""
    now = time.time()
    identity = Identity(
        kind="access", user_id=UserId(name), user_name=name, issued_at=now, expires_at=now + 60
    )
    return Peer(identity, SessionId(session), audience)


def person(name: str, session: str = "s", **more: Any) -> Participant:
    known: dict[str, Any] = {"display_name": name, "role": Role.ATTENDEE, "joined_at_ms": 1}
    return Participant(id=ParticipantId(name), session=SessionId(session), **(known | more))


def waits(name: str, session: str = "s", since_ms: int = 1) -> Waiting:
    who = ParticipantId(name)
    return Waiting(id=who, display_name=name, session=SessionId(session), since_ms=since_ms)


def stream(which: str, who: str, source: Source = Source.MIC, paused: bool = False) -> Producer:
    return Producer(
        id=ProducerId(which), participant_id=ParticipantId(who), source=source, paused=paused
    )


def snapshot(
    people: Iterable[Participant] = (),
    streams: Iterable[Producer] = (),
    version: int = 1,
    epoch: int = 5,
    generation: int = 0,
    waiting: Iterable[Waiting] = (),
    live: Mapping[str, str] | None = None,
    inside: Mapping[ParticipantId, MeetingId] | None = None,
    moving: NextHome | None = None,
) -> RoomSnapshot:
    """A meeting; in epoch 0 it has no home."""
    return RoomSnapshot(
        meeting_id=MEETING,
        version=version,
        assignment=_home("n", epoch) if epoch else None,
        generation=Generation(generation),
        participants=tuple(people),
        producers=tuple(streams),
        waiting=tuple(waiting),
        live=dict(live or {}),
        inside=dict(inside or {}),
        next=moving,
    )


def next_home(epoch: int, *streams: Producer) -> NextHome:
    """Where the meeting is moving to."""
    return NextHome(assignment=_home("x", epoch), generation=Generation(0), producers=streams)


def published(version: int, event: DomainEvent) -> Published:
    return Published(meeting_id=MEETING, version=version, event=event)


def _home(node: str, epoch: int) -> Assignment:
    return Assignment(
        meeting_id=MEETING,
        node=NodeName(node),
        boot=BootId("b"),
        epoch=Epoch(epoch),
        control_url=f"http://{node}",
    )
