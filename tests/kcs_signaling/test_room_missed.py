"""What a replica tells whose bus had a gap: events that lead from what it knew to what is."""

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.rooms import next_home, person, published, snapshot, stream, waits

from kcs_contracts.events import (
    AtNext,
    DomainEvent,
    MediaMigrating,
    MediaMoved,
    MediaReset,
    MoveAbandoned,
    ParticipantJoined,
    ParticipantLeft,
    ProducerClosed,
    ProducerOpened,
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
    SessionId,
)
from kcs_contracts.rooms import Participant, Role, Source
from kcs_signaling.rooms.state import Applied, RoomState, missed

NAMES = [ParticipantId(name) for name in "abcde"]

names = st.sampled_from(NAMES)
sessions = st.sampled_from([SessionId("s"), SessionId("t")])
flags = st.booleans()
moments = st.integers(1, 2)
patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def room(*people_and_streams: Any, **more: Any) -> RoomState:
    return RoomState(snapshot(*people_and_streams, version=9, **more))


@st.composite
def participants(draw: st.DrawFn, name: ParticipantId) -> Participant:
    return Participant(
        id=name,
        display_name=draw(st.sampled_from(["A", "B"])),
        role=draw(st.sampled_from(Role)),
        session=draw(sessions),
        joined_at_ms=draw(moments),
        audio_enabled=draw(flags),
        video_enabled=draw(flags),
        screen_sharing=draw(flags),
        hand_raised_at_ms=draw(st.none() | moments),
        audio_muted=draw(flags),
        video_muted=draw(flags),
        quality=draw(st.sampled_from([None, "good", "poor"])),
    )


@st.composite
def rooms(draw: st.DrawFn) -> RoomState:
    people = [draw(participants(name)) for name in sorted(draw(st.sets(names)))]
    streams = [
        stream(f"{who.id}{number}", who.id).model_copy(update={"paused": draw(flags)})
        for who in people
        for number in draw(st.sets(st.integers(0, 1)))
    ]
    waiting = [waits(name, draw(sessions), draw(moments)) for name in sorted(draw(st.sets(names)))]
    marks = st.builds("{}:{}".format, st.sampled_from(["admitted", "removed"]), names)
    live = dict.fromkeys(draw(st.sets(marks)), "true")
    live |= {
        field: draw(st.sampled_from(['"grid"', '"speaker"']))
        for field in draw(st.sets(st.sampled_from(["layout", "spotlight", "role:a"])))
    }
    places = st.sampled_from([MeetingId("m:1"), MeetingId("m:2")])
    return room(
        people,
        streams,
        waiting=waiting,
        live=live,
        inside=draw(st.dictionaries(names, places)),
        epoch=draw(st.integers(0, 2)),
        generation=draw(st.integers(0, 1)),
    )


def follow(old: RoomState, new: RoomState) -> list[DomainEvent]:
    """Takes what was missed into the old state."""
    events = list(missed(old, new))
    for event in events:
        assert old.apply(published(old.version + 1, event)) is Applied.NOW
    return events


@patient
@given(rooms(), rooms())
def test_what_was_missed_leads_from_what_was_known_to_what_is(
    old: RoomState, new: RoomState
) -> None:
    had_a_home = old.epoch > 0
    follow(old, new)
    assert old.participants == new.participants
    assert old.producers == new.producers
    assert old.waiting == new.waiting
    assert old.live.fields == new.live.fields
    assert old.inside == new.inside
    if had_a_home:
        assert (old.epoch, old.generation) == (new.epoch, new.generation)


@patient
@given(rooms(), rooms())
def test_nobody_joins_who_is_there_and_counts_are_those_of_the_end(
    old: RoomState, new: RoomState
) -> None:
    there = set(old.participants)
    for event in missed(old, new):
        if isinstance(event, ParticipantLeft):
            there.remove(event.participant_id)
        elif isinstance(event, ParticipantJoined):
            assert event.participant.id not in there
            there.add(event.participant.id)
        if isinstance(event, ParticipantLeft | ParticipantJoined):
            assert event.count == len(new.participants)
    assert there == set(new.participants)


@patient
@given(rooms())
def test_where_nothing_changed_nothing_was_missed(old: RoomState) -> None:
    assert list(missed(old, old)) == []


def test_whoever_left_and_came_again_is_told_as_that_with_their_streams() -> None:
    ann = ParticipantId("ann")
    old = room([person("ann"), person("bob")], [stream("p1", "ann")])
    new = room([person("ann", joined_at_ms=2), person("bob")], [stream("p2", "ann")])
    assert follow(old, new) == [
        ProducerClosed(
            producer_id=ProducerId("p1"),
            participant_id=ann,
            source=Source.MIC,
            reason="participant_left",
        ),
        ParticipantLeft(participant_id=ann, display_name="ann", reason="left", count=2),
        ParticipantJoined(participant=person("ann", joined_at_ms=2), count=2),
        ProducerOpened(producer=stream("p2", "ann")),
    ]


def test_whoever_was_removed_is_told_as_removed() -> None:
    new = room(live={"removed:ann": "true"})
    reasons = [
        event.reason
        for event in missed(room([person("ann"), person("bob")]), new)
        if isinstance(event, ParticipantLeft)
    ]
    assert reasons == ["removed", "left"]


def test_who_waits_and_who_was_let_in_meanwhile_are_told_apart() -> None:
    old = room(waiting=[waits("ann"), waits("bob"), waits("cy")])
    new = room(waiting=[waits("cy", "t"), waits("dee")], live={"admitted:ann": "true"})
    queue = [e for e in follow(old, new) if isinstance(e, WaitingJoined | WaitingLeft)]
    left = {e.participant_id: e.outcome for e in queue if isinstance(e, WaitingLeft)}
    assert left == {"ann": "admitted", "bob": "left"}
    assert queue[2:] == [WaitingJoined(person=waits("cy", "t")), WaitingJoined(person=waits("dee"))]


def test_a_replica_that_missed_a_move_s_events_tells_what_became_of_it() -> None:
    people, old, new = [person("ann")], stream("old", "ann"), stream("new", "ann")
    still = room(people, [old])
    begun = room(people, [old], moving=next_home(6, new))
    moved = room(people, [new], epoch=6)
    other = room(people, [new], epoch=7)
    migrating = MediaMigrating(node=NodeName("x"), epoch=Epoch(6), generation=Generation(0))
    opened = ProducerOpened(producer=new)
    assert list(missed(still, begun)) == [migrating, AtNext(epoch=Epoch(6), event=opened)]
    assert list(missed(begun, still)) == [MoveAbandoned(epoch=Epoch(6))]
    assert [type(each) for each in missed(begun, moved)] == [MediaMoved, ProducerOpened]
    assert [type(each) for each in missed(begun, other)] == [MediaReset, ProducerOpened]
    assert list(missed(begun, begun)) == []


def test_streams_of_a_new_room_are_told_after_their_people() -> None:
    new = room([person("ann")], [stream("a", "ann")])
    kinds = [type(event) for event in missed(room(), new)]
    assert kinds == [ParticipantJoined, ProducerOpened]
