"""A replica's copy of a meeting: events bring it up to date, and so do two snapshots."""

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kcs_contracts.events import (
    ActiveSpeaker,
    DomainEvent,
    MediaReset,
    ParticipantJoined,
    ParticipantLeft,
    ProducerOpened,
    Published,
)
from kcs_contracts.ids import (
    BootId,
    Epoch,
    Generation,
    MeetingId,
    NodeName,
    ParticipantId,
    ProducerId,
    SessionId,
)
from kcs_contracts.rooms import Assignment, Participant, Producer, Role, RoomSnapshot, Source
from kcs_signaling.errors import AccessDenied
from kcs_signaling.rooms.permissions import ALLOWED, Action, authorise
from kcs_signaling.rooms.state import Applied, RoomState, missed

MEETING = MeetingId("m")


def person(name: str, session: str = "s", **flags: bool) -> Participant:
    return Participant(
        id=ParticipantId(name),
        display_name=name,
        role=Role.ATTENDEE,
        session=SessionId(session),
        joined_at_ms=1,
        **flags,
    )


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
) -> RoomSnapshot:
    home = Assignment(
        meeting_id=MEETING,
        node=NodeName("n"),
        boot=BootId("b"),
        epoch=Epoch(epoch),
        control_url="http://n",
    )
    return RoomSnapshot(
        meeting_id=MEETING,
        version=version,
        assignment=home,
        generation=Generation(generation),
        participants=tuple(people),
        producers=tuple(streams),
    )


def published(version: int, event: DomainEvent) -> Published:
    return Published(meeting_id=MEETING, version=version, event=event)


def test_an_event_counts_once_and_a_gap_changes_nothing() -> None:
    state = RoomState(snapshot([person("ann")]))
    joined = ParticipantJoined(participant=person("bob"), count=2)

    assert state.apply(published(3, joined)) is Applied.GAP
    assert set(state.participants) == {"ann"}
    assert state.apply(published(2, joined)) is Applied.NOW
    assert state.apply(published(2, joined)) is Applied.BEFORE
    assert set(state.participants) == {"ann", "bob"}
    assert state.version == 2


def test_news_count_in_the_versions_and_change_nothing_else() -> None:
    state = RoomState(snapshot([person("ann")]))
    speaker = ActiveSpeaker(participant_id=ParticipantId("ann"))
    assert state.apply(published(2, speaker)) is Applied.NOW
    assert state.version == 2


def test_whoever_leaves_takes_their_streams_along() -> None:
    state = RoomState(snapshot([person("ann"), person("bob")], [stream("a", "ann")]))
    gone = ParticipantLeft(
        participant_id=ParticipantId("ann"), display_name="ann", reason="left", count=1
    )
    state.apply(published(2, gone))
    assert (set(state.participants), set(state.producers)) == ({"bob"}, set())


def test_a_reset_of_the_same_home_keeps_the_address_and_a_move_forgets_it() -> None:
    state = RoomState(snapshot([person("ann")], [stream("a", "ann")]))

    def reset(version: int, epoch: int, generation: int) -> None:
        event = MediaReset(
            reason="moved",
            node=NodeName("n"),
            epoch=Epoch(epoch),
            generation=Generation(generation),
        )
        state.apply(published(version, event))

    reset(2, 5, 1)
    assert state.producers == {}
    assert state.assignment is not None
    reset(3, 6, 0)
    assert state.assignment is None
    assert (state.epoch, state.generation) == (6, 0)


def test_what_a_redis_lost_is_kept_until_its_replicas_have_put_it_back() -> None:
    old = RoomState(snapshot([person("ann"), person("bob")], [stream("a", "ann")]))
    empty = RoomState(
        RoomSnapshot(
            meeting_id=MEETING,
            version=0,
            assignment=None,
            generation=Generation(0),
            participants=(),
            producers=(),
        )
    )
    empty.keep(old)
    assert list(missed(old, empty)) == []
    assert empty.assignment == old.assignment


NAMES = st.sampled_from("abcdef")


@st.composite
def rooms(draw: st.DrawFn) -> RoomSnapshot:
    names = draw(st.sets(NAMES))
    people = [
        person(
            name,
            draw(st.sampled_from(["s", "t"])),
            audio_enabled=draw(st.booleans()),
            video_enabled=draw(st.booleans()),
        )
        for name in sorted(names)
    ]
    streams = [
        stream(f"{name}-{number}", name, Source.MIC, draw(st.booleans()))
        for name in sorted(names)
        for number in draw(st.sets(st.integers(0, 3)))
    ]
    generation = draw(st.integers(0, 1))
    return snapshot(people, streams, version=9, generation=generation)


@given(rooms(), rooms())
def test_what_was_missed_leads_from_the_old_room_to_the_new_one(
    before: RoomSnapshot, after: RoomSnapshot
) -> None:
    state, new = RoomState(before), RoomState(after)
    for event in list(missed(state, new)):
        state.apply(published(state.version + 1, event))
    assert state.participants == new.participants
    assert state.producers == new.producers
    assert (state.epoch, state.generation) == (new.epoch, new.generation)


@given(rooms())
def test_a_room_that_did_not_change_missed_nothing(room: RoomSnapshot) -> None:
    assert list(missed(RoomState(room), RoomState(room))) == []


def test_streams_of_a_new_room_are_told_after_their_people() -> None:
    new = RoomState(snapshot([person("ann")], [stream("a", "ann")]))
    kinds = [type(event) for event in missed(RoomState(snapshot()), new)]
    assert kinds == [ParticipantJoined, ProducerOpened]


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("action", list(Action))
def test_the_table_of_roles_decides(role: Role, action: Action) -> None:
    sees = {Action.RECEIVE}
    talks = sees | {Action.SEND_AUDIO, Action.SEND_VIDEO}
    expected = {Role.GUEST: sees, Role.ATTENDEE: talks}.get(role, set(Action))
    assert ALLOWED[role] == expected
    if action in expected:
        authorise(role, action)
    else:
        with pytest.raises(AccessDenied, match=action.value):
            authorise(role, action)
