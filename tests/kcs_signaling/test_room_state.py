"""A replica's copy of a meeting: events bring it up to date, and so do two snapshots."""

from collections.abc import Iterable, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kcs_contracts.events import (
    ActiveSpeaker,
    AtNext,
    BreakoutMoved,
    DomainEvent,
    MediaMigrating,
    MediaMoved,
    MediaReset,
    MoveAbandoned,
    ParticipantChanged,
    ParticipantJoined,
    ParticipantLeft,
    ProducerOpened,
    Published,
    RoomChanged,
    WaitingJoined,
    WaitingLeft,
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
from kcs_contracts.live import as_json
from kcs_contracts.meeting_settings import RoomSettings
from kcs_contracts.protocol.roles import ALLOWED, Action
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
from kcs_signaling.errors import AccessDenied, UnauthorizedRecording
from kcs_signaling.rooms.permissions import authorise
from kcs_signaling.rooms.state import Applied, RoomState, missed

MEETING = MeetingId("m")


def person(name: str, session: str = "s", **more: Any) -> Participant:
    known: dict[str, Any] = {"display_name": name, "role": Role.ATTENDEE, "joined_at_ms": 1}
    return Participant(id=ParticipantId(name), session=SessionId(session), **(known | more))


def waits(name: str, session: str = "s") -> Waiting:
    return Waiting(
        id=ParticipantId(name), display_name=name, session=SessionId(session), since_ms=1
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
    waiting: Iterable[Waiting] = (),
    live: Mapping[str, str] | None = None,
    inside: Mapping[ParticipantId, MeetingId] | None = None,
    moving: NextHome | None = None,
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
        waiting=tuple(waiting),
        live=dict(live or {}),
        inside=dict(inside or {}),
        next=moving,
    )


def next_home(epoch: int, *streams: Producer) -> NextHome:
    home = Assignment(
        meeting_id=MEETING,
        node=NodeName("x"),
        boot=BootId("b"),
        epoch=Epoch(epoch),
        control_url="http://x",
    )
    return NextHome(assignment=home, generation=Generation(0), producers=streams)


def published(version: int, event: DomainEvent) -> Published:
    return Published(meeting_id=MEETING, version=version, event=event)


def test_a_move_leaves_the_home_alone_until_it_is_done() -> None:
    old, new = stream("old", "ann"), stream("new", "ann")
    state = RoomState(snapshot([person("ann"), person("bob")], [old]))
    plane = {"node": NodeName("x"), "epoch": Epoch(6), "generation": Generation(0)}
    state.apply(published(2, MediaMigrating(**plane)))
    state.apply(published(3, AtNext(epoch=Epoch(6), event=ProducerOpened(producer=new))))
    state.apply(published(4, AtNext(epoch=Epoch(9), event=ProducerOpened(producer=old))))
    assert list(state.producers) == ["old"]
    assert state.streams_of(old.participant_id) == [(None, old), (6, new)]
    assert [list(state.producers_at(at) or "?") for at in (None, Epoch(5), Epoch(6))] == [
        ["old"],
        ["old"],
        ["new"],
    ]
    assert state.producers_at(Epoch(9)) is None
    state.apply(published(5, MediaMoved(**plane)))
    assert (list(state.producers), state.next) == (["new"], None)
    assert (state.epoch, state.assignment) == (6, None)


def test_whoever_leaves_or_is_reset_during_a_move_is_nowhere_any_more() -> None:
    state = RoomState(
        snapshot([person("ann")], [stream("old", "ann")], moving=next_home(6, stream("n", "ann")))
    )
    gone = ParticipantLeft(
        participant_id=ParticipantId("ann"), display_name="ann", reason="left", count=0
    )
    state.apply(published(2, gone))
    assert state.streams_of(ParticipantId("ann")) == []
    reset = MediaReset(
        reason="worker_died", node=NodeName("n"), epoch=Epoch(5), generation=Generation(1)
    )
    state.apply(published(3, reset))
    assert state.next is None


def test_a_replica_that_missed_a_move_s_events_tells_what_became_of_it() -> None:
    people, old, new = [person("ann")], stream("old", "ann"), stream("new", "ann")
    still = RoomState(snapshot(people, [old]))
    begun = RoomState(snapshot(people, [old], version=9, moving=next_home(6, new)))
    moved = RoomState(snapshot(people, [new], version=9, epoch=6))
    other = RoomState(snapshot(people, [new], version=9, epoch=7))
    migrating = MediaMigrating(node=NodeName("x"), epoch=Epoch(6), generation=Generation(0))
    opened = ProducerOpened(producer=new)
    assert list(missed(still, begun)) == [migrating, AtNext(epoch=Epoch(6), event=opened)]
    assert list(missed(begun, still)) == [MoveAbandoned(epoch=Epoch(6))]
    assert [type(each) for each in missed(begun, moved)] == [MediaMoved, ProducerOpened]
    assert [type(each) for each in missed(begun, other)] == [MediaReset, ProducerOpened]
    assert list(missed(begun, begun)) == []


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


def test_what_changes_about_somebody_counts_only_while_they_are_in() -> None:
    state = RoomState(snapshot([person("ann")]))
    for version, name in ((2, "ann"), (3, "bob")):
        change = ParticipantChanged(participant=person(name, role=Role.CO_HOST), what="role")
        state.apply(published(version, change))
    assert {each.id: each.role for each in state.participants.values()} == {"ann": Role.CO_HOST}


def test_whoever_is_admitted_waits_no_more_and_is_remembered_as_admitted() -> None:
    state = RoomState(snapshot([person("ann")]))
    for number, name in enumerate(("bob", "cid")):
        state.apply(published(2 + number, WaitingJoined(person=waits(name))))
    assert list(state.waiting) == ["bob", "cid"]

    admitted = WaitingLeft(participant_id=ParticipantId("bob"), outcome="admitted")
    denied = WaitingLeft(participant_id=ParticipantId("cid"), outcome="denied")
    state.apply(published(4, admitted))
    state.apply(published(5, denied))

    assert state.waiting == {}
    assert dict(state.live.fields) == {"admitted:bob": "true"}


def test_what_holds_in_the_meeting_is_what_was_said_last() -> None:
    state = RoomState(snapshot([person("ann")]))
    locked = as_json(RoomSettings(locked=True))
    state.apply(published(2, RoomChanged(field="settings", value=locked)))
    assert state.live.settings.locked
    state.apply(published(3, RoomChanged(field="settings", value=None)))
    assert not state.live.settings.locked


def test_who_is_in_a_breakout_room_is_known_until_they_come_back() -> None:
    state = RoomState(snapshot([person("ann")]))
    bob, room = ParticipantId("bob"), MeetingId("m:1")
    for version, inside in ((2, True), (3, False)):
        moved = BreakoutMoved(participant_id=bob, display_name="", room_id=room, inside=inside)
        state.apply(published(version, moved))
        assert state.inside == ({bob: room} if inside else {})


NAMES = st.sampled_from("abcdef")
FIELDS = st.sampled_from(["spotlight", "layout", "role:a", "role:b"])


@st.composite
def rooms(draw: st.DrawFn) -> RoomSnapshot:
    names = draw(st.sets(NAMES))
    people = [
        person(
            name,
            draw(st.sampled_from(["s", "t"])),
            audio_enabled=draw(st.booleans()),
            video_enabled=draw(st.booleans()),
            role=draw(st.sampled_from(Role)),
            hand_raised_at_ms=draw(st.sampled_from([None, 5, 6])),
            audio_muted=draw(st.booleans()),
            video_muted=draw(st.booleans()),
            screen_sharing=draw(st.booleans()),
            quality=draw(st.sampled_from([None, "good", "poor"])),
        )
        for name in sorted(names)
    ]
    streams = [
        stream(f"{name}-{number}", name, Source.MIC, draw(st.booleans()))
        for name in sorted(names)
        for number in draw(st.sets(st.integers(0, 3)))
    ]
    queue = [waits(name, draw(st.sampled_from("st"))) for name in sorted(draw(st.sets(NAMES)))]
    places = st.sampled_from([MeetingId("m:1"), MeetingId("m:2")])
    return snapshot(
        people,
        streams,
        version=9,
        generation=draw(st.integers(0, 1)),
        waiting=queue,
        live=draw(st.dictionaries(FIELDS, st.sampled_from(["true", "null"]))),
        inside={ParticipantId(k): v for k, v in draw(st.dictionaries(NAMES, places)).items()},
    )


@given(rooms(), rooms())
def test_what_was_missed_leads_from_the_old_room_to_the_new_one(
    before: RoomSnapshot, after: RoomSnapshot
) -> None:
    state, new = RoomState(before), RoomState(after)
    for event in list(missed(state, new)):
        state.apply(published(state.version + 1, event))
    assert state.participants == new.participants
    assert state.producers == new.producers
    assert (state.waiting, state.inside) == (new.waiting, new.inside)
    assert dict(state.live.fields) == dict(new.live.fields)
    assert (state.epoch, state.generation) == (new.epoch, new.generation)


@given(rooms())
def test_a_room_that_did_not_change_missed_nothing(room: RoomSnapshot) -> None:
    assert list(missed(RoomState(room), RoomState(room))) == []


def test_streams_of_a_new_room_are_told_after_their_people() -> None:
    new = RoomState(snapshot([person("ann")], [stream("a", "ann")]))
    kinds = [type(event) for event in missed(RoomState(snapshot()), new)]
    assert kinds == [ParticipantJoined, ProducerOpened]


SEES = {Action.RECEIVE, Action.READ_CHAT, Action.ARRANGE, Action.REPORT}
TALKS = SEES | {
    *(Action.SEND_AUDIO, Action.SEND_VIDEO, Action.CHAT, Action.REACT, Action.RAISE_HAND),
}
MAY = {
    Role.GUEST: SEES,
    Role.ATTENDEE: TALKS,
    Role.PRESENTER: TALKS | {Action.SHARE_SCREEN},
    Role.CO_HOST: set(Action) - {Action.END},
    Role.HOST: set(Action),
}


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("action", list(Action))
def test_the_table_of_roles_decides(role: Role, action: Action) -> None:
    assert ALLOWED[role] == MAY[role]
    if action in MAY[role]:
        authorise(role, action, RoomSettings())
    else:
        kind = UnauthorizedRecording if action is Action.RECORD else AccessDenied
        with pytest.raises(kind, match=action.value):
            authorise(role, action, RoomSettings())


def test_guests_chat_where_the_meeting_says_so() -> None:
    authorise(Role.GUEST, Action.CHAT, RoomSettings(guest_chat=True))
    with pytest.raises(AccessDenied):
        authorise(Role.GUEST, Action.REACT, RoomSettings(guest_chat=True))
