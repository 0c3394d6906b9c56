"""The `/` dialect of the client guide, with all that its sample client takes for granted."""

import asyncio
import time

from tests.kcs_signaling.conftest import MakeClient
from tests.support.call import heard
from tests.support.fake_node import CAPABILITIES, FakeNode
from tests.support.signaling import Client, Signaling

from kcs_contracts import node_api as api

TAKE_UP_S = 1.0
"""The guide's client has so long to take a stream up before it is told of the next one."""


async def joined(client: Client, meeting: str) -> dict[str, object]:
    """Joins as the sample client does; the answer."""
    await client.emit("join-meeting", {"meetingId": meeting})
    answer: dict[str, object] = await client.hears("participant-joined")
    return answer


async def transport(client: Client, meeting: str, direction: str) -> str:
    """Makes a transport; its id."""
    await client.emit("create-transport", {"meetingId": meeting, "direction": direction})
    created = await client.hears("transport-created")
    assert created["direction"] == direction
    return str(created["params"]["id"])


async def produce(client: Client, meeting: str, kind: str) -> str:
    """Produces on the send transport; the producer's id."""
    await client.emit("produce", {"meetingId": meeting, "kind": kind, "rtpParameters": {}})
    return str((await client.hears("produced"))["producerId"])


async def consume(client: Client, meeting: str, told: dict[str, str]) -> dict[str, str]:
    """Takes an announced stream as the sample client does, up to `subscribed`."""
    await client.emit(
        "consume",
        {
            "meetingId": meeting,
            "producerParticipantId": told["participantId"],
            "kind": told["kind"],
            "rtpCapabilities": CAPABILITIES,
        },
    )
    subscribed: dict[str, str] = await client.hears("subscribed")
    return subscribed


def announced_at(client: Client) -> list[float]:
    """When it was told of streams."""
    return [at for name, at in client.came if name == "new-producer"]


async def test_the_joiner_is_told_of_itself_and_the_others_of_it(
    signaling: Signaling, node: FakeNode, clients: MakeClient
) -> None:
    meeting = await signaling.create_meeting("ann")
    ann = await clients(signaling, "/", "ann")
    bob = await clients(signaling, "/", "bob")

    first = await joined(ann, meeting)
    second = await joined(bob, meeting)

    assert first == {
        "participantId": "ann",
        "userName": "Ann",
        "userId": "ann",
        "participantCount": 1,
    }
    assert second == {
        "participantId": "bob",
        "userName": "Bob",
        "userId": "bob",
        "participantCount": 2,
    }
    assert await ann.hears("participant-joined") == second
    await bob.settle()
    assert [name for name, _ in bob.heard] == ["error"]  # `settle` asks for what is not there


async def test_media_goes_from_joining_to_a_resumed_consumer(
    signaling: Signaling, node: FakeNode, clients: MakeClient
) -> None:
    meeting = await signaling.create_meeting("ann")
    ann = await clients(signaling, "/", "ann")
    bob = await clients(signaling, "/", "bob")
    await joined(ann, meeting)
    await joined(bob, meeting)
    sends = await transport(ann, meeting, "send")
    await transport(bob, meeting, "recv")
    await ann.emit("connect-transport", {"transportId": sends, "dtlsParameters": {}})
    assert await ann.hears("transport-connected") == {"transportId": sends}

    producer = await produce(ann, meeting, "video")
    told = await bob.hears("new-producer")
    assert told == {
        "participantId": "ann",
        "producerId": producer,
        "kind": "video",
        "source": "camera",
    }
    subscribed = await consume(bob, meeting, told)
    assert subscribed == {
        "id": subscribed["id"],
        "producerId": producer,
        "kind": "video",
        "rtpParameters": {"codecs": [], "encodings": []},
    }
    consumer = {"consumerId": subscribed["id"]}
    assert await bob.get("resume-consumer", consumer) == consumer
    assert await bob.get("pause-consumer", consumer) == consumer

    change = {"meetingId": meeting, "participantId": "ann", "quality": "medium"}
    await bob.emit("quality:change", change)
    changed = await bob.hears("quality:changed")
    assert changed == {"participantId": "ann", "quality": "medium"}
    assert node.asked(api.SetPreferredLayers)[-1].spatial_layer == 1

    await ann.emit("leave-meeting", {"meetingId": meeting})
    assert await bob.hears("participant-left") == {"participantId": "ann", "userName": "Ann"}


async def test_streams_are_announced_after_the_recv_transport_one_at_a_time(
    signaling: Signaling, node: FakeNode, clients: MakeClient
) -> None:
    meeting = await signaling.create_meeting("ann")
    ann = await clients(signaling, "/", "ann")
    await joined(ann, meeting)
    await transport(ann, meeting, "send")
    audio = await produce(ann, meeting, "audio")
    video = await produce(ann, meeting, "video")

    bob = await clients(signaling, "/", "bob")
    await joined(bob, meeting)
    await transport(bob, meeting, "send")
    await bob.settle()
    assert not [name for name, _ in bob.heard if name == "new-producer"]

    began = time.monotonic()
    await transport(bob, meeting, "recv")
    first = await bob.hears("new-producer")
    subscribed = await consume(bob, meeting, first)
    await bob.settle()
    assert all(at - began >= TAKE_UP_S for at in announced_at(bob)[1:])
    await bob.emit("resume-consumer", {"consumerId": subscribed["id"]})
    await bob.settle()
    (second,) = heard(bob, "new-producer")
    assert {first["producerId"], second["producerId"]} == {audio, video}


async def test_a_stream_that_is_not_taken_up_holds_the_others_for_a_second_only(
    signaling: Signaling, node: FakeNode, clients: MakeClient
) -> None:
    meeting = await signaling.create_meeting("ann")
    ann = await clients(signaling, "/", "ann")
    bob = await clients(signaling, "/", "bob")
    await joined(ann, meeting)
    await joined(bob, meeting)
    await transport(ann, meeting, "send")
    await transport(bob, meeting, "recv")
    began = time.monotonic()
    await produce(ann, meeting, "audio")
    await produce(ann, meeting, "video")

    assert (await bob.hears("new-producer"))["kind"] == "audio"
    assert (await bob.hears("new-producer"))["kind"] == "video"
    _, second = announced_at(bob)
    assert second - began >= TAKE_UP_S


async def test_a_stream_that_ends_gives_its_turn_to_the_next(
    signaling: Signaling, node: FakeNode, clients: MakeClient
) -> None:
    meeting = await signaling.create_meeting("ann")
    ann = await clients(signaling, "/meeting", "ann")
    bob = await clients(signaling, "/", "bob")
    await ann.get("room:join", {"meeting_id": meeting})
    await joined(bob, meeting)
    made = await ann.get("transport:create", {"meeting_id": meeting, "direction": "send"})
    stream = {"transport_id": made["transport_id"], "rtp_parameters": {}}
    await transport(bob, meeting, "recv")
    camera = await ann.get("produce", {**stream, "kind": "video"})
    await ann.get("produce", {**stream, "kind": "screen"})

    assert (await bob.hears("new-producer"))["producerId"] == camera["producer_id"]
    await ann.get("produce:close", {"producer_id": camera["producer_id"]})

    gone = await bob.hears("producer-closed")
    assert gone == {"participantId": "ann", "producerId": camera["producer_id"], "kind": "video"}
    await bob.settle()
    assert len(announced_at(bob)) == 2  # at once


async def test_of_two_videos_consume_means_the_one_announced_last(
    signaling: Signaling, node: FakeNode, clients: MakeClient
) -> None:
    meeting = await signaling.create_meeting("ann")
    ann = await clients(signaling, "/meeting", "ann")
    bob = await clients(signaling, "/", "bob")
    await ann.get("room:join", {"meeting_id": meeting})
    await joined(bob, meeting)
    made = await ann.get("transport:create", {"meeting_id": meeting, "direction": "send"})
    stream = {"transport_id": made["transport_id"], "rtp_parameters": {}}
    await transport(bob, meeting, "recv")
    streams = [
        (await ann.get("produce", {**stream, "kind": kind}))["producer_id"]
        for kind in ("video", "screen")
    ]

    for expected in streams:
        told = await bob.hears("new-producer")
        subscribed = await consume(bob, meeting, told)
        assert subscribed["producerId"] == told["producerId"] == expected
        await bob.emit("resume-consumer", {"consumerId": subscribed["id"]})


async def test_the_dialects_see_each_other(
    signaling: Signaling, node: FakeNode, clients: MakeClient
) -> None:
    meeting = await signaling.create_meeting("ann")
    ann = await clients(signaling, "/meeting", "ann")
    bob = await clients(signaling, "/", "bob")
    await ann.get("room:join", {"meeting_id": meeting})
    assert (await joined(bob, meeting))["participantCount"] == 2
    assert (await ann.hears("participant:joined"))["user_id"] == "bob"

    await transport(bob, meeting, "send")
    producer = await produce(bob, meeting, "audio")
    told = await ann.hears("new-producer")
    assert (told["producer_id"], told["user_id"], told["source"]) == (producer, "bob", "mic")

    await ann.get("room:leave", {"meeting_id": meeting})
    assert await bob.hears("participant-left") == {"participantId": "ann", "userName": "Ann"}


async def test_after_a_media_reset_streams_come_again_with_the_new_recv_transport(
    signaling: Signaling, node: FakeNode, clients: MakeClient
) -> None:
    meeting = await signaling.create_meeting("ann")
    ann = await clients(signaling, "/", "ann")
    bob = await clients(signaling, "/", "bob")
    await joined(ann, meeting)
    await joined(bob, meeting)
    await transport(ann, meeting, "send")
    await transport(bob, meeting, "recv")
    await produce(ann, meeting, "audio")
    await bob.hears("new-producer")

    await node.lose_media(meeting)
    assert await bob.hears("media:reset") == {"meetingId": meeting, "reason": "worker_died"}
    await ann.hears("media:reset")
    await transport(ann, meeting, "send")
    again = await produce(ann, meeting, "audio")
    await bob.settle()
    assert not [name for name, _ in bob.heard if name == "new-producer"]

    await transport(bob, meeting, "recv")
    assert (await bob.hears("new-producer"))["producerId"] == again


async def test_errors_come_as_error_events_with_the_guides_codes(
    signaling: Signaling, node: FakeNode, clients: MakeClient
) -> None:
    meeting = await signaling.create_meeting("ann")
    ann = await clients(signaling, "/", "ann")

    await ann.emit("join-meeting", {"meetingId": "nowhere"})
    missing = await ann.hears("error")
    assert (missing["code"], missing["event"]) == ("MEETING_NOT_FOUND", "join-meeting")
    await ann.emit("produce", {"meetingId": meeting, "kind": "audio", "rtpParameters": {}})
    assert (await ann.hears("error"))["code"] == "NOT_JOINED"
    await ann.emit("send-message", {"meetingId": meeting, "message": "hello"})
    outside = await ann.hears("error")
    assert (outside["code"], outside["event"]) == ("NOT_JOINED", "send-message")
    await ann.emit("no-such-event", {"meetingId": meeting})
    unknown = await ann.hears("error")
    assert (unknown["code"], unknown["event"]) == ("UNKNOWN_EVENT", "no-such-event")


async def test_a_client_that_asks_for_an_acknowledgement_gets_it_too(
    signaling: Signaling, node: FakeNode, clients: MakeClient
) -> None:
    meeting = await signaling.create_meeting("ann")
    ann = await clients(signaling, "/", "ann")

    answer = await ann.ask("join-meeting", {"meetingId": meeting})

    assert answer == {"ok": True, "data": await ann.hears("participant-joined")}


async def test_answers_to_one_socket_come_in_the_order_of_its_requests(
    signaling: Signaling, node: FakeNode, clients: MakeClient
) -> None:
    meeting = await signaling.create_meeting("ann")
    ann = await clients(signaling, "/", "ann")
    await joined(ann, meeting)
    slow = iter([0.3, 0.0])

    def wait(op: api.Operation) -> object:
        return asyncio.sleep(next(slow)) if isinstance(op, api.CreateTransport) else None

    node.before = wait
    await ann.emit("create-transport", {"meetingId": meeting, "direction": "send"})
    await ann.emit("create-transport", {"meetingId": meeting, "direction": "recv"})

    assert (await ann.hears("transport-created"))["direction"] == "send"
    assert (await ann.hears("transport-created"))["direction"] == "recv"
