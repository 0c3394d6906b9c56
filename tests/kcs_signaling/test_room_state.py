"""A replica's copy of a meeting: events bring it up to date; and who may do what in it."""

import pytest
from tests.support.rooms import next_home, person, published, snapshot, stream, waits

from kcs_contracts.events import (
    ActiveSpeaker,
    AtNext,
    BreakoutMoved,
    MediaMigrating,
    MediaMoved,
    MediaReset,
    ParticipantChanged,
    ParticipantJoined,
    ParticipantLeft,
    ProducerOpened,
    RoomChanged,
    WaitingJoined,
    WaitingLeft,
)
from kcs_contracts.ids import Epoch, Generation, MeetingId, NodeName, ParticipantId
from kcs_contracts.live import as_json
from kcs_contracts.meeting_settings import RoomSettings
from kcs_contracts.protocol.roles import ALLOWED, Action
from kcs_contracts.rooms import Role
from kcs_signaling.errors import AccessDenied, UnauthorizedRecording
from kcs_signaling.rooms.permissions import authorise
from kcs_signaling.rooms.state import Applied, RoomState, missed


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
    empty = RoomState(snapshot(version=0, epoch=0))
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


SEES = {Action.RECEIVE, Action.READ_CHAT, Action.ARRANGE, Action.REPORT}
TALKS = SEES | {
    *(Action.SEND_AUDIO, Action.SEND_VIDEO, Action.CHAT, Action.REACT, Action.RAISE_HAND),
}
MAY = {
    Role.GUEST: SEES,
    Role.ATTENDEE: TALKS,
    Role.PRESENTER: TALKS | {Action.SHARE_SCREEN, Action.UNMUTE_SELF},
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
