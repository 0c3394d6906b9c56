"""Who hears what of each domain event. Pure."""

from collections.abc import Iterator
from typing import Any, get_args

import orjson
import pytest
from tests.support.contract import declared
from tests.support.rooms import Deaf, peer

from kcs_contracts import events
from kcs_contracts.events import DomainEvent, Published
from kcs_contracts.ids import (
    ConsumerId,
    Epoch,
    Generation,
    MeetingId,
    NodeName,
    ParticipantId,
    ProducerId,
    SessionId,
    UserId,
)
from kcs_contracts.live import as_json
from kcs_contracts.meeting_settings import RoomSettings
from kcs_contracts.rooms import (
    BreakoutRoom,
    Breakouts,
    Participant,
    Producer,
    Role,
    RoomSnapshot,
    Source,
    Waiting,
)
from kcs_signaling.dialects.rendering import Told, reached, rendered
from kcs_signaling.ports import Meeting
from kcs_signaling.rooms.peer import Peer, Room, Seat
from kcs_signaling.rooms.state import Applied, RoomState

MEETING, ROOM = MeetingId("m"), MeetingId("m:1")
ANN, BOB, CID = ParticipantId("ann"), ParticipantId("bob"), ParticipantId("cid")
HOSTS = {"hanna", "cora"}
OTHERS = {"pete", "ann", "gus"}
EVERYBODY = HOSTS | OTHERS
ROLES = {
    "hanna": Role.HOST,
    "cora": Role.CO_HOST,
    "pete": Role.PRESENTER,
    "ann": Role.ATTENDEE,
    "gus": Role.GUEST,
}
NOW_MS = 1_700_000_000_000
AUDIENCE = Deaf()


def person(name: str, **more: Any) -> Participant:
    known: dict[str, Any] = {"display_name": name.title(), "role": ROLES.get(name, Role.ATTENDEE)}
    known |= {"session": SessionId(name), "joined_at_ms": NOW_MS}
    return Participant(id=ParticipantId(name), **(known | more))


def waits(name: str) -> Waiting:
    who = ParticipantId(name)
    return Waiting(id=who, display_name=name.title(), session=SessionId(name), since_ms=NOW_MS)


def seated(room: Room, name: str, audience: Deaf = AUDIENCE) -> Peer:
    """A peer in the room."""
    made = peer(name, name, audience)
    made.seat = Seat(room, room.state.participants[made.participant_id], settled=True)
    room.peers[made.session] = made
    return made


@pytest.fixture
def room() -> Room:
    """One of each role; Ann sends, two wait, one is in the only breakout room."""
    record = Meeting(
        id=MEETING,
        host_id=UserId("hanna"),
        display_name="Standup",
        max_participants=200,
        expected_participants=0,
        region="",
        default_role=Role.PRESENTER,
        starts_at=None,
        duration_minutes=None,
        created_at=NOW_MS / 1000,
        ended_at=None,
    )
    rooms = Breakouts(
        rooms=(BreakoutRoom(id=ROOM, name="One"),), open=True, assignments={ANN: ROOM}
    )
    snapshot = RoomSnapshot(
        meeting_id=MEETING,
        version=1,
        assignment=None,
        generation=Generation(0),
        participants=tuple(person(name) for name in ROLES),
        producers=(Producer(id=ProducerId("p"), participant_id=ANN, source=Source.CAMERA),),
        waiting=(waits("bob"), waits("cid")),
        live={"record": as_json(record), "breakouts": as_json(rooms)},
        inside={ParticipantId("una"): ROOM},
    )
    room = Room(MEETING, RoomState(snapshot))
    for name in ROLES:
        seat = seated(room, name).seat
        assert seat is not None
        seat.crossing = Epoch(7) if name in HOSTS else None  # told of a move
        seat.crossed = Epoch(7) if name == "cora" else None
    return room


def happens(room: Room, event: DomainEvent) -> list[tuple[Told, set[str]]]:
    """What is told of it, and who hears that; each payload is as it is declared."""
    published = Published(meeting_id=MEETING, version=room.state.version + 1, event=event)
    assert room.state.apply(published) is Applied.NOW
    peers, found = list(room.peers.values()), []
    for told in rendered(room, event):
        payload = orjson.loads(orjson.dumps(told.payload))
        assert list(declared("/meeting").heard(told.name, payload)) == []
        found.append((told, {peer.participant_id for peer in reached(told, peers)}))
    return found


def said(to: str = "all", recipient: str | None = None, sender: str = "ann") -> events.ChatPosted:
    return events.ChatPosted.model_validate(
        {
            "message_id": "1",
            "sender_id": sender,
            "sender_name": sender.title(),
            "text": "hello",
            "recipient_type": to,
            "recipient_id": recipient,
            "at_ms": NOW_MS,
        }
    )


def changed(what: str, name: str = "ann", by: str | None = None, **more: Any) -> DomainEvent:
    old = {"old_role": ROLES[name]} if what == "role" else {}
    return events.ParticipantChanged.model_validate(
        {"participant": person(name, **more), "what": what, "by": by, **old}
    )


def room_changed(field: str, value: object, by: str = "hanna") -> DomainEvent:
    return events.RoomChanged(field=field, value=as_json(value), by=ParticipantId(by))


UPDATED = ("participant:updated", EVERYBODY)
HEARD: list[tuple[str, DomainEvent, list[tuple[str, set[str]]]]] = [
    (
        "somebody comes",
        events.ParticipantJoined(participant=person("zoe"), count=6),
        [("participant:joined", EVERYBODY)],
    ),
    (
        "their own other socket resumes",
        events.ParticipantJoined(participant=person("ann"), count=5),
        [("participant:joined", EVERYBODY - {"ann"})],
    ),
    (
        "somebody goes",
        events.ParticipantLeft(participant_id=ANN, display_name="Ann", reason="left", count=4),
        [("participant:left", EVERYBODY - {"ann"})],
    ),
    (
        "another role",
        changed("role", by="hanna", role=Role.PRESENTER),
        [("participant:role:changed", EVERYBODY), UPDATED],
    ),
    (
        "a promoted co-host hears who waits and of the breakout rooms",
        changed("role", "pete", by="hanna", role=Role.CO_HOST),
        [
            ("participant:role:changed", EVERYBODY),
            ("waiting:added", {"pete"}),
            ("waiting:added", {"pete"}),
            ("breakout:updated", {"pete"}),
            UPDATED,
        ],
    ),
    (
        "a host who becomes co-host knows all that",
        changed("role", "hanna", by="cora", role=Role.CO_HOST),
        [("participant:role:changed", EVERYBODY), UPDATED],
    ),
    (
        "muted by a host",
        changed("audio_muted", by="hanna", audio_muted=True),
        [("participant:muted", EVERYBODY), ("muted:by-host", {"ann"}), UPDATED],
    ),
    (
        "allowed to unmute",
        changed("video_muted", by="hanna", video_muted=False),
        [("participant:muted", EVERYBODY), UPDATED],
    ),
    ("unmuted by themselves", changed("audio_muted"), [UPDATED]),
    (
        "a hand goes up",
        changed("hand_raised_at_ms", hand_raised_at_ms=NOW_MS),
        [("hand:raised", EVERYBODY), UPDATED],
    ),
    ("a hand goes down", changed("hand_raised_at_ms"), [("hand:lowered", EVERYBODY), UPDATED]),
    (
        "a screen is shared",
        changed("screen_sharing", screen_sharing=True),
        [("screen:started", EVERYBODY), UPDATED],
    ),
    ("no longer", changed("screen_sharing"), [("screen:stopped", EVERYBODY), UPDATED]),
    ("a quality", changed("quality", quality="poor"), [("connection:quality", EVERYBODY)]),
    ("no quality", changed("quality"), []),
    (
        "a session replaced",
        events.SessionReplaced(
            participant_id=ANN, old_session=SessionId("ann"), new_session=SessionId("new")
        ),
        [],
    ),
    (
        "a microphone goes on",
        events.MediaToggled(participant_id=ANN, kind="audio", enabled=True),
        [("participant:media:updated", EVERYBODY)],
    ),
    ("somebody waits", events.WaitingJoined(person=waits("zoe")), [("waiting:added", HOSTS)]),
    (
        "waits no longer",
        events.WaitingLeft(participant_id=BOB, outcome="denied", note="not you"),
        [("waiting:left", HOSTS)],
    ),
    (
        "people are added",
        events.PeopleAdded(user_ids=(CID,), emails=2, by=ParticipantId("hanna")),
        [("participant:added", EVERYBODY)],
    ),
    (
        "a stream",
        events.ProducerOpened(
            producer=Producer(id=ProducerId("q"), participant_id=ANN, source=Source.MIC)
        ),
        [("new-producer", EVERYBODY - {"ann"})],
    ),
    (
        "a stream is paused",
        events.ProducerPaused(producer_id=ProducerId("p"), participant_id=ANN, paused=True),
        [("producer:paused", EVERYBODY - {"ann"})],
    ),
    (
        "a stream goes on",
        events.ProducerPaused(producer_id=ProducerId("p"), participant_id=ANN, paused=False),
        [("producer:resumed", EVERYBODY - {"ann"})],
    ),
    (
        "a stream ends",
        events.ProducerClosed(
            producer_id=ProducerId("p"), participant_id=ANN, source=Source.CAMERA, reason="closed"
        ),
        [("producer:closed", EVERYBODY - {"ann"})],
    ),
    (
        "new media",
        events.MediaReset(
            reason="moved", node=NodeName("n"), epoch=Epoch(7), generation=Generation(0)
        ),
        [("media:reset", EVERYBODY)],
    ),
    (
        "the meeting begins to move",
        events.MediaMigrating(node=NodeName("n"), epoch=Epoch(7), generation=Generation(0)),
        [("media:migrate", HOSTS)],
    ),
    (
        "a stream where it moves to",
        events.AtNext(
            epoch=Epoch(7),
            event=events.ProducerOpened(
                producer=Producer(
                    id=ProducerId("q"), participant_id=ParticipantId("cora"), source=Source.MIC
                )
            ),
        ),
        [("media:migrate:stream", {"hanna"})],
    ),
    (
        "a stream of another move",
        events.AtNext(
            epoch=Epoch(6),
            event=events.ProducerClosed(
                producer_id=ProducerId("q"),
                participant_id=ANN,
                source=Source.MIC,
                reason="closed",
            ),
        ),
        [("media:migrate:stream", set())],
    ),
    (
        "it stays",
        events.MoveAbandoned(epoch=Epoch(7)),
        [("media:migrated", HOSTS)],
    ),
    (
        "it has moved",
        events.MediaMoved(node=NodeName("n"), epoch=Epoch(7), generation=Generation(0)),
        [("media:migrated", {"cora"}), ("media:reset", EVERYBODY - {"cora"})],
    ),
    ("a speaker", events.ActiveSpeaker(participant_id=ANN), [("speaker:active", EVERYBODY)]),
    ("levels", events.AudioLevels(levels={ANN: -30}), [("audio:levels", EVERYBODY)]),
    ("said to all", said(), [("chat:message", EVERYBODY)]),
    ("said to one", said("private", "gus"), [("chat:message", {"ann", "gus"})]),
    ("said to one who is gone", said("private", "zoe"), [("chat:message", {"ann"})]),
    ("said to the hosts", said("host"), [("chat:message", HOSTS | {"ann"})]),
    ("unsaid", events.ChatDeleted(message_id="1", by=ANN), [("chat:deleted", EVERYBODY)]),
    (
        "somebody writes",
        events.Typed(participant_id=ANN, typing=True),
        [("chat:typing", EVERYBODY - {"ann"})],
    ),
    (
        "a reaction",
        events.Reacted(participant_id=ANN, emoji="👍", at_ms=NOW_MS),
        [("reaction:received", EVERYBODY)],
    ),
    (
        "settings",
        room_changed("settings", RoomSettings(locked=True)),
        [("room:locked", EVERYBODY), ("room:settings:changed", EVERYBODY)],
    ),
    ("a spotlight", room_changed("spotlight", ANN), [("participant:spotlighted", EVERYBODY)]),
    ("a layout", room_changed("layout", "grid"), [("layout:changed", EVERYBODY)]),
    ("another layout is left to everybody", events.RoomChanged(field="layout", value=None), []),
    ("a mark", events.RoomChanged(field="removed:zoe", value="true"), []),
    (
        "breakout rooms",
        room_changed("breakouts", Breakouts(rooms=(), assignments={ANN: ROOM})),
        [("breakout:updated", HOSTS), ("breakout:updated", OTHERS)],
    ),
    (
        "into a breakout room",
        events.BreakoutMoved(participant_id=BOB, display_name="Bob", room_id=ROOM, inside=True),
        [("breakout:moved", HOSTS)],
    ),
    (
        "told to all rooms",
        events.BreakoutTold(main=MEETING, text="hello", display_name="Hanna"),
        [("breakout:message", EVERYBODY)],
    ),
    (
        "the rooms close",
        events.BreakoutClosing(main=MEETING, seconds=30),
        [("breakout:closing", EVERYBODY)],
    ),
    ("the end", events.MeetingEnded(reason="ended_by_host"), [("room:closed", EVERYBODY)]),
]


@pytest.mark.parametrize(("event", "heard"), [row[1:] for row in HEARD], ids=[h[0] for h in HEARD])
def test_everybody_hears_what_is_for_them(
    room: Room, event: DomainEvent, heard: list[tuple[str, set[str]]]
) -> None:
    assert [(told.name, who) for told, who in happens(room, event)] == heard


def test_who_hears_is_written_down_for_every_domain_event() -> None:
    def kinds(union: Any) -> Iterator[type]:
        yield from [union] if isinstance(union, type) else []
        for each in get_args(union):
            yield from kinds(each)

    assert {type(event) for _, event, _ in HEARD} == set(kinds(DomainEvent))


def test_whoever_has_not_crossed_is_told_of_all_that_is_sent_where_the_meeting_is_now(
    room: Room,
) -> None:
    happens(
        room,
        events.MediaMigrating(node=NodeName("n"), epoch=Epoch(7), generation=Generation(0)),
    )
    mine = Producer(id=ProducerId("q"), participant_id=ANN, source=Source.MIC)
    happens(room, events.AtNext(epoch=Epoch(7), event=events.ProducerOpened(producer=mine)))
    moved = events.MediaMoved(node=NodeName("n"), epoch=Epoch(7), generation=Generation(0))
    told = [(t.name, who) for t, who in happens(room, moved) if t.name == "new-producer"]
    assert told == [("new-producer", EVERYBODY - {"cora", "ann"})]


def test_who_is_where_is_for_hosts_alone(room: Room) -> None:
    now = room.state.live.breakouts
    (hosts, _), (others, _) = happens(room, room_changed("breakouts", now))
    place = {"room_id": ROOM}
    assert hosts.payload["assignments"] == [{"user_id": "ann", **place}]
    assert hosts.payload["inside"] == [{"user_id": "una", **place}]
    assert (others.payload["assignments"], others.payload["inside"]) == ([], [])
    assert hosts.payload["rooms"] == others.payload["rooms"] == [{**place, "name": "One"}]


def test_whoever_is_muted_hears_why_and_whether_they_may_undo_it(room: Room) -> None:
    for allowed in (True, False):
        happens(room, room_changed("settings", RoomSettings(allow_unmute_self=allowed)))
        for name, may in (("ann", allowed), ("pete", True), ("cora", True)):
            mute = changed("audio_muted", name, by="hanna", audio_muted=True, role=ROLES[name])
            mute = mute.model_copy(update={"note": "noisy"})
            (told,) = [t for t, _ in happens(room, mute) if t.name == "muted:by-host"]
            assert told.payload["reason"] == "noisy"
            assert told.payload["may_unmute"] is may, name


def test_the_consumers_of_a_stream_that_ends_are_closed_for_those_who_have_them(
    room: Room,
) -> None:
    stranger = seated(room, "gus", Deaf())  # speaks another dialect
    for name in ("pete", "gus"):
        seat = room.peers[SessionId(name)].seat
        assert seat is not None
        seat.consumers[ProducerId("p")] = ConsumerId(f"of-{name}")
    ended = events.ProducerClosed(
        producer_id=ProducerId("p"), participant_id=ANN, source=Source.CAMERA, reason="closed"
    )

    told = [told for told in rendered(room, ended) if told.name == "consumer:closed"]

    mine = [peer for peer in room.peers.values() if peer is not stranger]
    assert [[peer.participant_id for peer in reached(each, mine)] for each in told] == [
        ["pete"],
        [],
    ]
    assert [each.payload["consumer_id"] for each in told if reached(each, mine)] == ["of-pete"]
    assert [reached(each, [stranger]) for each in told] == [[], [stranger]]
