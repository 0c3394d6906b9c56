"""Bad input to every event of both dialects: a clear error on that socket, and nothing changed."""

import asyncio
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import pytest
from tests.kcs_signaling.conftest import MakeClient
from tests.support.bad_input import MEETING, TAKES, UUID, Takes
from tests.support.fake_node import FakeNode
from tests.support.signaling import Client, RawSocket, Signaling

from kcs_contracts.generate.shapes import Shapes
from kcs_contracts.ids import MeetingId
from kcs_contracts.placement import Placement
from kcs_contracts.protocol import PROTOCOLS, Protocol
from kcs_contracts.protocol.declare import Payload

HUGE = "x" * 1_000_000
AT_ONCE = 32
"""Commands of one socket that wait; from 64 on it is closed."""
BOTH = pytest.mark.parametrize("scene", ["/meeting", "/"], indirect=True)


@pytest.fixture(scope="module")
def unlimited(
    redis_url: str, key_file: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Signaling]:
    """A process that lets everybody do everything as often as they like."""
    home = tmp_path_factory.mktemp("unlimited")
    shutil.copy(key_file, home)
    process = Signaling(home, redis_url, KCS_LIMITS__ENABLED="false")
    with asyncio.Runner() as runner:
        runner.run(process.start())
        yield process
        runner.run(process.stop())


@pytest.fixture
async def signaling(unlimited: Signaling) -> Signaling:
    """That process."""
    return unlimited


@dataclass
class Scene:
    """Ann and Bob talk; Eve, in the same meeting, misbehaves."""

    meeting: str
    ann: Client
    eve: Client
    protocol: Protocol
    snapshot: Callable[[], Any]
    theirs: dict[str, str]
    """Ids of what is Ann's."""

    @property
    def takes(self) -> dict[str, Takes]:
        return TAKES[self.protocol.namespace]


@pytest.fixture
async def scene(
    request: pytest.FixtureRequest,
    signaling: Signaling,
    node: FakeNode,
    clients: MakeClient,
    placement: Placement,
) -> Scene:
    protocol = next(each for each in PROTOCOLS if each.namespace == request.param)
    meeting = await signaling.create_meeting("ann")
    ann = await clients(signaling, "/meeting", "ann")
    bob = await clients(signaling, "/meeting", "bob")
    eve = await clients(signaling, request.param, "eve")
    for client in (ann, bob):
        await client.get("room:join", {"meeting_id": meeting})
    if request.param == "/":
        await eve.get("join-meeting", {"meetingId": meeting})
    else:
        await eve.get("room:join", {"meeting_id": meeting})
    send = await ann.get("transport:create", {"meeting_id": meeting, "direction": "send"})
    recv = await ann.get("transport:create", {"meeting_id": meeting, "direction": "recv"})
    mic = {"transport_id": send["transport_id"], "kind": "audio", "rtp_parameters": {}}
    producer = await ann.get("produce", mic)
    of_bob = await bob.get("transport:create", {"meeting_id": meeting, "direction": "send"})
    bobs = await bob.get("produce", {**mic, "transport_id": of_bob["transport_id"]})
    await ann.hears("new-producer")
    consume = {"producer_id": bobs["producer_id"], "rtp_capabilities": {}}
    consumer = await ann.get("consume", consume)
    said = {"meeting_id": meeting, "message": "between us", "recipient_type": "private"}
    message = await ann.get("chat:send", {**said, "recipient_id": "bob"})
    await ann.hears("participant:media:updated", lambda p: p["user_id"] == "bob")
    await ann.hears("chat:message")
    ann.heard.clear()

    async def snapshot() -> Any:
        return await placement.snapshot(MeetingId(meeting))

    theirs = {
        "send": send["transport_id"],
        "recv": recv["transport_id"],
        "producer": producer["producer_id"],
        "consumer": consumer["consumer_id"],
        "message": message["message_id"],
    }
    return Scene(meeting, ann, eve, protocol, snapshot, theirs)


@BOTH
async def test_a_payload_that_is_wrong_changes_nothing_and_is_told_to_its_sender_alone(
    scene: Scene,
) -> None:
    before = await scene.snapshot()
    for event, takes in scene.takes.items():
        good = takes.good(scene.meeting)
        wrong = [*takes.wrong(scene.meeting), (), (None,), (good, good)]
        for start in range(0, len(wrong), AT_ONCE):
            some = wrong[start : start + AT_ONCE]
            answers = await asyncio.gather(*(scene.eve.ask(event, each) for each in some))
            for payload, answer in zip(some, answers, strict=True):
                assert not answer["ok"], (event, payload)
                assert answer["error"]["code"] == "INVALID_REQUEST", (event, payload, answer)
                assert answer["error"]["message"], (event, payload)
        assert await scene.snapshot() == before, event
        await scene.ann.settle()
        assert scene.ann.heard == [], event


@BOTH
async def test_the_payload_that_all_of_these_differ_from_is_well_formed(scene: Scene) -> None:
    last = ("room:leave", "leave-meeting")
    for event in sorted(scene.takes, key=last.__contains__):
        answer = await scene.eve.ask(event, scene.takes[event].good(scene.meeting))
        assert answer["ok"] or answer["error"]["code"] != "INVALID_REQUEST", (event, answer)


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda each: each.namespace)
def test_bad_input_is_written_down_for_every_event_and_field(protocol: Protocol) -> None:
    shapes = Shapes(protocol)
    declared = {event.name: fields(shapes.model(event)) for event in protocol.client_events}
    assert declared == {event: written(takes) for event, takes in TAKES[protocol.namespace].items()}


def fields(model: type[Payload]) -> dict[str, Any]:
    """Each field of a payload: whether it is required, may be null, and what is inside."""
    found = {}
    for name, each in model.model_fields.items():
        inner = [fields(one) for one in models_in(each.annotation)]
        null = type(None) in get_args(each.annotation)
        found[each.alias or name] = (each.is_required(), null, inner)
    return found


def models_in(annotation: Any) -> Iterator[type[Payload]]:
    if isinstance(annotation, type) and issubclass(annotation, Payload):
        yield annotation
    for each in get_args(annotation):
        yield from models_in(each)


def written(takes: Takes) -> dict[str, Any]:
    """The same of what is written down."""
    return {
        name: (name in takes.required, each.null, [written(each.inside)] if each.inside else [])
        for name, each in takes.fields.items()
    }


@pytest.mark.parametrize("scene", ["/meeting"], indirect=True)
async def test_what_belongs_to_others_is_not_found(scene: Scene) -> None:
    before = await scene.snapshot()
    eve, theirs = scene.eve, scene.theirs
    meeting = {"meeting_id": scene.meeting}
    eves = await eve.get("transport:create", {**meeting, "direction": "send"})
    mic = {"kind": "audio", "rtp_parameters": {}}
    tries: list[tuple[str, dict[str, Any]]] = [
        ("transport:connect", {"transport_id": theirs["send"], "dtls_parameters": {}}),
        ("transport:restart-ice", {"transport_id": theirs["recv"]}),
        ("produce", {**mic, "transport_id": theirs["send"]}),
        ("produce", {**mic, "transport_id": UUID}),
        ("produce:close", {"producer_id": theirs["producer"]}),
        ("consumer:resume", {"consumer_id": theirs["consumer"]}),
        ("consumer:pause", {"consumer_id": theirs["consumer"]}),
        ("consumer:close", {"consumer_id": theirs["consumer"]}),
        ("quality:change", {"producer_id": theirs["producer"], "layer": "low"}),
        ("consume", {"producer_id": UUID, "rtp_capabilities": {}}),
        ("consume", {"producer_id": eves["transport_id"], "rtp_capabilities": {}}),
        ("chat:delete", {**meeting, "message_id": theirs["message"]}),
        ("chat:send", {**meeting, "message": "what?", "reply_to": theirs["message"]}),
    ]

    for event, payload in tries:
        assert await eve.refused(event, payload) == "NOT_FOUND", (event, payload)
    resume = {"consumer_ids": [theirs["consumer"]]}
    assert await eve.get("consumers:resume", resume) == {"consumer_ids": []}
    assert (await eve.get("chat:history", meeting))["messages"] == []

    assert await scene.snapshot() == before
    await scene.ann.settle()
    assert scene.ann.heard == []


@pytest.mark.parametrize("scene", ["/"], indirect=True)
async def test_what_belongs_to_others_is_not_found_in_the_client_dialect(scene: Scene) -> None:
    before = await scene.snapshot()
    eve, theirs = scene.eve, scene.theirs
    meeting = {"meetingId": scene.meeting}
    tries: list[tuple[str, dict[str, Any]]] = [
        ("connect-transport", {"transportId": theirs["send"], "dtlsParameters": {}}),
        ("transport:restart-ice", {"transportId": theirs["recv"]}),
        ("produce:close", {"producerId": theirs["producer"]}),
        ("resume-consumer", {"consumerId": theirs["consumer"]}),
        ("pause-consumer", {"consumerId": theirs["consumer"]}),
        ("consumer:close", {"consumerId": theirs["consumer"]}),
        ("produce", {**meeting, "kind": "audio", "rtpParameters": {}}),
        ("quality:change", {**meeting, "participantId": "ann", "quality": "low"}),
        ("chat:delete", {**meeting, "messageId": theirs["message"]}),
        ("send-message", {**meeting, "message": "what?", "replyTo": theirs["message"]}),
    ]

    for event, payload in tries:
        assert await eve.refused(event, payload) == "NOT_FOUND", (event, payload)
    assert (await eve.get("chat:history", meeting))["messages"] == []

    assert await scene.snapshot() == before
    await scene.ann.settle()
    assert scene.ann.heard == []


@BOTH
async def test_a_string_of_1_mb_closes_that_socket_and_changes_nothing(
    scene: Scene, signaling: Signaling
) -> None:
    before = await scene.snapshot()
    prefix = "" if scene.protocol.namespace == "/" else f"{scene.protocol.namespace},"
    for event, takes in scene.takes.items():
        good = takes.good(scene.meeting)
        socket = await RawSocket.open(signaling.url)
        await socket.join(scene.protocol.namespace, signaling.access("eve"))

        with suppress(ConnectionError):  # it may be closed before all is sent
            payload = {**good, next(iter(good)): HUGE}
            await socket.ws.send_str(f"42{prefix}{json.dumps([event, payload])}")

        assert await socket.rest() == [], event
        await socket.close()
    first = next(iter(scene.takes))
    await scene.eve.emit(first, {**scene.takes[first].good(scene.meeting), "extra": HUGE})
    await scene.eve.gone()
    assert await scene.snapshot() == before
    await scene.ann.settle()
    assert scene.ann.heard == []


@BOTH
async def test_a_command_for_another_meeting_or_too_deep_for_json_is_refused(
    scene: Scene, signaling: Signaling
) -> None:
    eve, other = scene.eve, await signaling.create_meeting("ann")
    for event in scene.protocol.client_events:
        takes = scene.takes[event.name]
        if event.needs is not None and MEETING in takes.required.values():
            assert await eve.refused(event.name, takes.good(other)) == "NOT_JOINED", event.name
    deep: Any = {}
    for _ in range(270):  # deeper than JSON is written
        deep = {"a": deep}
    produce = scene.takes["produce"].good(scene.meeting)
    produce.pop("epoch", None)  # for the media server that is there
    key = "rtp_parameters" if scene.protocol.namespace == "/meeting" else "rtpParameters"
    assert await eve.refused("produce", {**produce, key: deep}) == "INVALID_REQUEST"
