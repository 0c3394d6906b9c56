"""The `/meeting` dialect as its clients meet it."""

import re

from tests.kcs_signaling.conftest import MakeClient
from tests.support.fake_node import CAPABILITIES, FakeNode
from tests.support.signaling import Client, RawSocket, Signaling

from kcs_contracts import node_api as api
from kcs_contracts.events import ActiveSpeaker
from kcs_contracts.ids import MeetingId, ParticipantId
from kcs_contracts.placement import Placement
from kcs_contracts.rooms import Role


async def sending(client: Client, meeting: str, kind: str = "video", **more: object) -> str:
    """Lets a joined client produce; the producer's id."""
    made = await client.get("transport:create", {"meeting_id": meeting, "direction": "send"})
    produce = {"transport_id": made["transport_id"], "kind": kind, "rtp_parameters": {}, **more}
    return str((await client.get("produce", produce))["producer_id"])


async def test_a_join_answers_with_all_that_the_joiner_needs(
    signaling: Signaling, node: FakeNode, clients: MakeClient
) -> None:
    meeting = await signaling.create_meeting("ann", display_name="Standup")
    ann = await clients(signaling, "/meeting", "ann")

    joined = await ann.get("room:join", {"meeting_id": meeting, "display_name": " Ann A. "})

    assert joined == await ann.hears("room:joined")
    token = joined.pop("resume_token")
    assert signaling.tokens.verify(token).meeting_id == meeting
    assert joined.pop("version") > 0
    assert joined.pop("media")["generation"] == 0
    (me,) = joined.pop("participants")
    assert me.pop("joined_at").endswith("Z")
    assert me == {
        "user_id": "ann",
        "display_name": "Ann A.",
        "role": "host",
        "audio_enabled": False,
        "video_enabled": False,
        "screen_sharing": False,
        "hand_raised_at": None,
        "audio_muted_by_host": False,
        "video_muted_by_host": False,
        "quality": None,
    }
    assert joined == {
        "meeting_id": meeting,
        "user_id": "ann",
        "your_role": "host",
        "display_name": "Ann A.",
        "producers": [],
        "rtp_capabilities": CAPABILITIES,
        "transports": [],
        "ice_servers": [],
        "ice_ttl_seconds": None,
        "settings": {
            "max_participants": 200,
            "default_role": "presenter",
            "display_name": "Standup",
            "require_host_approval": False,
            "allow_unmute_self": True,
            "guest_chat": False,
            "several_screens": True,
            "host_succession": True,
            "chat_history": True,
            "locked": False,
        },
        "spotlight": None,
        "layout": None,
        "waiting": [],
        "breakouts": None,
        "parent_id": None,
        "moving": None,
        "recent_messages": [],
        "resumed": False,
    }


async def test_media_goes_from_joining_to_a_resumed_consumer(
    signaling: Signaling, node: FakeNode, clients: MakeClient
) -> None:
    meeting = await signaling.create_meeting("ann")
    ann = await clients(signaling, "/meeting", "ann")
    bob = await clients(signaling, "/meeting", "bob")
    await ann.get("room:join", {"meeting_id": meeting})
    await bob.get("room:join", {"meeting_id": meeting})
    assert await ann.hears("participant:joined") == {
        "meeting_id": meeting,
        "user_id": "bob",
        "display_name": "Bob",
        "role": "presenter",
    }

    sent = await ann.get("transport:create", {"meeting_id": meeting, "direction": "send"})
    assert sent == await ann.hears("transport:created")
    assert set(sent) == {
        "transport_id",
        "direction",
        "ice_parameters",
        "ice_candidates",
        "dtls_parameters",
        "ice_servers",
        "ice_ttl_seconds",
    }
    named = {"transport_id": sent["transport_id"]}
    assert await ann.get("transport:connect", {**named, "dtls_parameters": {}}) == named
    restarted = await ann.get("transport:restart-ice", named)
    assert restarted["ice_parameters"]["usernameFragment"] == "n"

    produced = await ann.get("produce", {**named, "kind": "screen", "rtp_parameters": {}})
    assert produced == await ann.hears("producer:created")
    producer = produced["producer_id"]
    assert produced == {
        "producer_id": producer,
        "kind": "video",
        "source": "screen",
        "paused": False,
    }
    told = await bob.hears("new-producer")
    assert told == {
        "producer_id": producer,
        "user_id": "ann",
        "kind": "video",
        "source": "screen",
        "paused": False,
    }

    await bob.get("transport:create", {"meeting_id": meeting, "direction": "recv"})
    consume = {"producer_id": producer, "rtp_capabilities": CAPABILITIES}
    consumed = await bob.get("consume", consume)
    assert consumed == await bob.hears("consumer:created")
    consumer = {"consumer_id": consumed["consumer_id"]}
    assert consumed == {
        **consumer,
        "producer_id": producer,
        "user_id": "ann",
        "kind": "video",
        "source": "screen",
        "type": "simulcast",
        "rtp_parameters": {"codecs": [], "encodings": []},
        "producer_paused": False,
    }
    assert await bob.get("consumer:resume", consumer) == consumer
    assert await bob.get("consumer:pause", consumer) == consumer
    layer = {"producer_id": producer, "layer": "high"}
    assert await bob.get("quality:change", layer) == layer
    assert node.asked(api.SetPreferredLayers)[-1].spatial_layer == 2

    assert await ann.get("produce:close", {"producer_id": producer}) == {"producer_id": producer}
    closed = await bob.hears("producer:closed")
    assert closed == {"producer_id": producer, "user_id": "ann", "source": "screen"}
    ended = await bob.hears("consumer:closed")
    assert ended == {**consumer, "producer_id": producer, "reason": "closed"}


async def test_a_meeting_that_cannot_be_entered_is_told_by_room_error_and_acknowledgement(
    signaling: Signaling, node: FakeNode, clients: MakeClient
) -> None:
    meeting = await signaling.create_meeting("ann")
    bob = await clients(signaling, "/meeting", "bob")

    for event, payload, code, named in [
        ("room:join", {"meeting_id": "nowhere"}, "MEETING_NOT_FOUND", "nowhere"),
        ("room:create", {"meeting_id": meeting}, "ACCESS_DENIED", meeting),
        ("room:join", {"meeting_id": "x" * 500}, "INVALID_REQUEST", None),
        ("room:join", {"meeting_id": 7}, "INVALID_REQUEST", None),
        ("room:join", [], "INVALID_REQUEST", None),
    ]:
        error = (await bob.ask(event, payload))["error"]
        assert error["code"] == code
        told = {"meeting_id": named, "code": code, "error": error["message"], "event": event}
        assert await bob.hears("room:error") == told
    assert bob.heard == []


async def test_room_error_says_when_to_try_again(
    signaling: Signaling, node: FakeNode, clients: MakeClient
) -> None:
    meeting = await signaling.create_meeting("ann")
    ann = await clients(signaling, "/meeting", "ann")
    await node.die()

    error = (await ann.ask("room:join", {"meeting_id": meeting}))["error"]

    told = await ann.hears("room:error")
    assert told["code"] == error["code"] == "UNAVAILABLE"
    assert told["retry_after"] == error["retry_after"] > 0


async def test_other_commands_that_fail_are_told_by_room_error_unless_they_are_acknowledged(
    signaling: Signaling, node: FakeNode, clients: MakeClient
) -> None:
    meeting = await signaling.create_meeting("ann")
    ann = await clients(signaling, "/meeting", "ann")
    close = {"producer_id": "nobodys"}

    await ann.emit("produce:close", close)
    outside = await ann.hears("room:error")
    assert (outside["meeting_id"], outside["code"]) == (None, "NOT_JOINED")
    await ann.get("room:join", {"meeting_id": meeting})
    await ann.emit("produce:close", close)
    inside = await ann.hears("room:error")
    assert (inside["meeting_id"], inside["code"]) == (meeting, "NOT_FOUND")
    assert inside["event"] == "produce:close"
    assert await ann.refused("produce:close", close) == "NOT_FOUND"
    await ann.emit("no-such-event", {"meeting_id": meeting})
    assert (await ann.hears("room:error"))["code"] == "UNKNOWN_EVENT"
    assert not [name for name, _ in ann.heard if name == "room:error"]


async def test_a_late_joiner_is_told_of_people_and_streams_in_the_answer(
    signaling: Signaling, node: FakeNode, clients: MakeClient
) -> None:
    meeting = await signaling.create_meeting("ann")
    ann = await clients(signaling, "/meeting", "ann")
    await ann.get("room:join", {"meeting_id": meeting})
    producer = await sending(ann, meeting, "audio")

    bob = await clients(signaling, "/meeting", "bob")
    joined = await bob.get("room:join", {"meeting_id": meeting})

    people = {each["user_id"]: each for each in joined["participants"]}
    assert people["ann"]["audio_enabled"] is True
    assert people["bob"]["audio_enabled"] is False
    (stream,) = joined["producers"]
    assert stream == {
        "producer_id": producer,
        "user_id": "ann",
        "kind": "audio",
        "source": "mic",
        "paused": False,
    }
    assert [name for name, _ in bob.heard if name != "room:joined"] == []


async def test_media_toggle_pauses_the_producer_and_tells_everybody(
    signaling: Signaling, node: FakeNode, clients: MakeClient
) -> None:
    meeting = await signaling.create_meeting("ann")
    ann = await clients(signaling, "/meeting", "ann")
    bob = await clients(signaling, "/meeting", "bob")
    await ann.get("room:join", {"meeting_id": meeting})
    await bob.get("room:join", {"meeting_id": meeting})
    producer = await sending(ann, meeting, "audio")
    on = {"meeting_id": meeting, "user_id": "ann", "kind": "audio", "enabled": True}
    assert await bob.hears("participant:media:updated") == on

    await ann.get("media:toggle", {"meeting_id": meeting, "kind": "audio", "enabled": False})

    assert await bob.hears("producer:paused") == {"producer_id": producer, "user_id": "ann"}
    assert await bob.hears("participant:media:updated") == {**on, "enabled": False}
    assert await ann.hears("participant:media:updated", lambda p: not p["enabled"])
    assert producer in node.media(meeting, "ann").paused

    await ann.get("media:toggle", {"meeting_id": meeting, "kind": "audio", "enabled": True})
    assert await bob.hears("producer:resumed") == {"producer_id": producer, "user_id": "ann"}
    assert producer not in node.media(meeting, "ann").paused


async def test_a_new_producer_of_a_source_replaces_the_older_one(
    signaling: Signaling, node: FakeNode, clients: MakeClient
) -> None:
    meeting = await signaling.create_meeting("ann")
    ann = await clients(signaling, "/meeting", "ann")
    bob = await clients(signaling, "/meeting", "bob")
    await ann.get("room:join", {"meeting_id": meeting})
    await bob.get("room:join", {"meeting_id": meeting})
    made = await ann.get("transport:create", {"meeting_id": meeting, "direction": "send"})
    camera = {"transport_id": made["transport_id"], "kind": "video", "rtp_parameters": {}}
    older = (await ann.get("produce", camera))["producer_id"]

    newer = (await ann.get("produce", camera))["producer_id"]

    assert (await bob.hears("producer:closed"))["producer_id"] == older
    assert await bob.hears("new-producer", lambda p: p["producer_id"] == newer)
    assert list(node.media(meeting, "ann").producers) == [newer]


async def test_leaving_tells_the_others_and_closes_the_media(
    signaling: Signaling, node: FakeNode, clients: MakeClient
) -> None:
    meeting = await signaling.create_meeting("ann")
    ann = await clients(signaling, "/meeting", "ann")
    bob = await clients(signaling, "/meeting", "bob")
    await ann.get("room:join", {"meeting_id": meeting})
    await bob.get("room:join", {"meeting_id": meeting})
    producer = await sending(ann, meeting)
    await bob.hears("new-producer")

    assert await ann.get("room:leave", {"meeting_id": meeting}) == {"meeting_id": meeting}

    assert (await bob.hears("producer:closed"))["producer_id"] == producer
    assert await bob.hears("participant:left") == {
        "meeting_id": meeting,
        "user_id": "ann",
        "reason": "left",
    }
    assert node.asked(api.CloseParticipant)[-1].participant_id == "ann"
    assert await ann.refused("transport:create", {"meeting_id": meeting, "direction": "send"}) == (
        "NOT_JOINED"
    )


async def test_a_leave_that_is_followed_by_hanging_up_is_a_leave(
    signaling: Signaling, node: FakeNode, clients: MakeClient
) -> None:
    meeting = await signaling.create_meeting("ann")
    bob = await clients(signaling, "/meeting", "bob")
    ann = await RawSocket.open(signaling.url)
    await ann.join("/meeting", signaling.access("ann"))
    await ann.ws.send_str(f'42/meeting,1["room:join",{{"meeting_id":"{meeting}"}}]')
    await ann.text()
    await bob.get("room:join", {"meeting_id": meeting})

    await ann.ws.send_str(f'42/meeting,2["room:leave",{{"meeting_id":"{meeting}"}}]')
    await ann.close()

    assert (await bob.hears("participant:left"))["reason"] == "left"


async def test_a_lost_socket_keeps_its_place_and_a_new_one_resumes(
    signaling: Signaling, node: FakeNode, clients: MakeClient
) -> None:
    meeting = await signaling.create_meeting("ann")
    ann = await clients(signaling, "/meeting", "ann")
    bob = await clients(signaling, "/meeting", "bob")
    first = await ann.get("room:join", {"meeting_id": meeting})
    await bob.get("room:join", {"meeting_id": meeting})
    producer = await sending(ann, meeting)
    await bob.hears("new-producer")
    await ann.close()

    again = await clients(signaling, "/meeting", "ann", token=first["resume_token"])
    resumed = await again.get("room:join", {"meeting_id": meeting})

    assert resumed["resumed"] is True
    assert resumed["media"] == first["media"]
    assert resumed["your_role"] == "host"
    assert await again.get("produce:close", {"producer_id": producer})
    await bob.hears("producer:closed")
    assert not [name for name, _ in bob.heard if name.startswith("participant:j")]
    assert not [name for name, _ in bob.heard if name == "participant:left"]


async def test_a_second_session_takes_over_and_the_first_is_told(
    signaling: Signaling, node: FakeNode, clients: MakeClient
) -> None:
    meeting = await signaling.create_meeting("ann")
    first = await clients(signaling, "/meeting", "ann")
    await first.get("room:join", {"meeting_id": meeting})

    second = await clients(signaling, "/meeting", "ann")
    joined = await second.get("room:join", {"meeting_id": meeting})

    assert len(joined["participants"]) == 1
    assert await first.hears("session:replaced") == {"meeting_id": meeting}
    await first.gone()
    assert await second.get("room:leave", {"meeting_id": meeting})


async def test_news_of_the_node_reach_everybody(
    signaling: Signaling, node: FakeNode, clients: MakeClient, placement: Placement
) -> None:
    meeting = await signaling.create_meeting("ann")
    ann = await clients(signaling, "/meeting", "ann")
    joined = await ann.get("room:join", {"meeting_id": meeting})
    await sending(ann, meeting)

    speaker = ActiveSpeaker(participant_id=ParticipantId("ann"))
    await placement.publish(MeetingId(meeting), speaker)
    assert await ann.hears("speaker:active") == {"meeting_id": meeting, "user_id": "ann"}

    await node.lose_media(meeting)
    assert await ann.hears("media:reset") == {
        "meeting_id": meeting,
        "reason": "worker_died",
        "epoch": joined["media"]["epoch"],
        "generation": 1,
    }


async def test_an_ended_meeting_closes_for_all_and_lets_nobody_in(
    signaling: Signaling, node: FakeNode, clients: MakeClient, placement: Placement
) -> None:
    meeting = await signaling.create_meeting("ann")
    ann = await clients(signaling, "/meeting", "ann")
    await ann.get("room:join", {"meeting_id": meeting})

    await placement.end(MeetingId(meeting), "ended_by_host")

    closed = await ann.hears("room:closed")
    assert closed == {"meeting_id": meeting, "reason": "ended_by_host", "return_to": None}
    assert await ann.refused("room:join", {"meeting_id": meeting}) == "MEETING_ENDED"


async def test_a_host_creates_the_room_ahead(
    signaling: Signaling, node: FakeNode, clients: MakeClient
) -> None:
    meeting = await signaling.create_meeting("ann")
    ann = await clients(signaling, "/meeting", "ann")
    bob = await clients(signaling, "/meeting", "bob")

    created = await ann.get("room:create", {"meeting_id": meeting})

    assert created == await ann.hears("room:created")
    assert created["meeting_id"] == created["room_id"] == meeting
    assert meeting in node.rooms
    assert await bob.refused("room:create", {"meeting_id": meeting}) == "ACCESS_DENIED"


async def test_roles_decide_what_may_be_sent(
    signaling: Signaling, node: FakeNode, clients: MakeClient
) -> None:
    meeting = await signaling.create_meeting("ann")
    guest_token = signaling.invited(meeting, "gus", Role.GUEST)
    guest = await clients(signaling, "/meeting", "gus", token=guest_token)
    token = signaling.invited(meeting, "ate", Role.ATTENDEE)
    attendee = await clients(signaling, "/meeting", "ate", token=token)
    await guest.get("room:join", {"meeting_id": meeting})
    await attendee.get("room:join", {"meeting_id": meeting})

    send = {"meeting_id": meeting, "direction": "send"}
    assert await guest.refused("transport:create", send) == "ACCESS_DENIED"
    assert await guest.get("transport:create", {"meeting_id": meeting, "direction": "recv"})
    made = await attendee.get("transport:create", send)
    screen = {"transport_id": made["transport_id"], "kind": "screen", "rtp_parameters": {}}
    assert await attendee.refused("produce", screen) == "ACCESS_DENIED"
    assert await attendee.get("produce", {**screen, "kind": "audio"})


async def test_what_the_token_does_not_say_is_refused(
    signaling: Signaling, node: FakeNode, clients: MakeClient
) -> None:
    meeting = await signaling.create_meeting("ann")
    other = await signaling.create_meeting("ann")
    bob = await clients(signaling, "/meeting", "bob")
    token = signaling.invited(other, "cid", Role.HOST)
    cid = await clients(signaling, "/meeting", "cid", token=token)

    join = {"meeting_id": meeting}
    assert await bob.refused("room:join", {**join, "user_id": "ann"}) == "ACCESS_DENIED"
    assert await bob.refused("room:join", {**join, "role": "host"}) == "ACCESS_DENIED"
    assert await bob.refused("room:join", {"meeting_id": "nowhere"}) == "MEETING_NOT_FOUND"
    assert await cid.refused("room:join", join) == "ACCESS_DENIED"
    assert await cid.get("room:join", {"meeting_id": other, "role": "host", "user_id": "cid"})


async def test_a_full_meeting_refuses_the_next_one(
    signaling: Signaling, node: FakeNode, clients: MakeClient
) -> None:
    meeting = await signaling.create_meeting("ann", max_participants=2)
    for user in ("ann", "bob"):
        client = await clients(signaling, "/meeting", user)
        await client.get("room:join", {"meeting_id": meeting})

    third = await clients(signaling, "/meeting", "cid")
    assert await third.refused("room:join", {"meeting_id": meeting}) == "MEETING_FULL"


async def test_without_a_node_the_answer_is_no_capacity_and_when_to_retry(
    signaling: Signaling, clients: MakeClient
) -> None:
    meeting = await signaling.create_meeting("ann")
    ann = await clients(signaling, "/meeting", "ann")

    async def counted() -> float:
        """Meetings of tests before, whose node is gone, may be counted as well."""
        (found,) = re.findall(
            r"^kcs_signaling_no_capacity_total (\S+)", await signaling.metrics(), re.M
        )
        return float(found)

    before = await counted()

    answer = await ann.ask("room:join", {"meeting_id": meeting})

    assert answer["error"]["code"] == "NO_CAPACITY"
    assert answer["error"]["retry_after"] > 0
    assert await counted() > before
