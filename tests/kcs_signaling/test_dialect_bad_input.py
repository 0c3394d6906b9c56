"""Bad input to every event of both dialects: a clear error on that socket, and nothing changed."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from tests.kcs_signaling.conftest import MakeClient
from tests.support.bad_input import TAKES, UUID
from tests.support.fake_node import FakeNode
from tests.support.signaling import Client, Signaling

from kcs_contracts.ids import MeetingId
from kcs_contracts.placement import Placement
from kcs_signaling.dialects.client import ClientDialect
from kcs_signaling.dialects.meeting import MeetingDialect

HUGE = "x" * 1_000_000
EVENTS = [(namespace, event) for namespace, events in TAKES.items() for event in events]


@dataclass
class Scene:
    """Ann and Bob talk; Eve, in the same meeting, misbehaves."""

    meeting: str
    ann: Client
    eve: Client
    namespace: str
    snapshot: Callable[[], Any]
    theirs: dict[str, str]
    """Ids of what is Ann's."""


@pytest.fixture
async def scene(
    request: pytest.FixtureRequest,
    signaling: Signaling,
    node: FakeNode,
    clients: MakeClient,
    placement: Placement,
) -> Scene:
    namespace: str = request.param
    meeting = await signaling.create_meeting("ann")
    ann = await clients(signaling, "/meeting", "ann")
    bob = await clients(signaling, "/meeting", "bob")
    eve = await clients(signaling, namespace, "eve")
    for client in (ann, bob):
        await client.get("room:join", {"meeting_id": meeting})
    if namespace == "/":
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
    await ann.hears("participant:media:updated", lambda p: p["user_id"] == "bob")
    ann.heard.clear()

    async def snapshot() -> Any:
        return await placement.snapshot(MeetingId(meeting))

    theirs = {
        "send": send["transport_id"],
        "recv": recv["transport_id"],
        "producer": producer["producer_id"],
        "consumer": consumer["consumer_id"],
    }
    return Scene(meeting, ann, eve, namespace, snapshot, theirs)


@pytest.mark.parametrize(
    ("scene", "event"), EVENTS, indirect=["scene"], ids=[f"{n} {e}" for n, e in EVENTS]
)
async def test_a_payload_that_is_wrong_changes_nothing_and_is_told_to_its_sender_alone(
    scene: Scene, event: str
) -> None:
    takes, eve = TAKES[scene.namespace][event], scene.eve
    before = await scene.snapshot()

    for payload in takes.wrong(scene.meeting):
        assert await eve.refused(event, payload) == "INVALID_REQUEST", payload
    for args in ((), (None,), (takes.good(scene.meeting), takes.good(scene.meeting))):
        answer = await eve.sio.call(event, args, namespace=scene.namespace)
        assert answer["error"]["code"] == "INVALID_REQUEST", args

    assert await scene.snapshot() == before
    await scene.ann.settle()
    assert scene.ann.heard == []
    # the payload that all of these differ from in one thing is well-formed
    answer = await eve.ask(event, takes.good(scene.meeting))
    assert answer["ok"] or answer["error"]["code"] in ("ACCESS_DENIED", "NOT_FOUND"), answer


@pytest.mark.parametrize("dialect", [MeetingDialect, ClientDialect])
def test_bad_input_is_written_down_for_every_event_and_field(
    dialect: type[MeetingDialect | ClientDialect],
) -> None:
    events = dialect.__new__(dialect).events()  # declared without what the handlers need

    declared = {
        each.name: {f.alias or n: f.is_required() for n, f in each.payload.model_fields.items()}
        for each in events
    }

    assert declared == {
        event: {name: name in takes.required for name in takes.fields}
        for event, takes in TAKES[dialect.name].items()
    }


@pytest.mark.parametrize("scene", ["/meeting"], indirect=True)
async def test_what_belongs_to_others_is_not_found(scene: Scene) -> None:
    before = await scene.snapshot()
    eve, theirs = scene.eve, scene.theirs
    eves = await eve.get("transport:create", {"meeting_id": scene.meeting, "direction": "send"})
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
    ]

    for event, payload in tries:
        assert await eve.refused(event, payload) == "NOT_FOUND", (event, payload)

    assert await scene.snapshot() == before
    await scene.ann.settle()
    assert scene.ann.heard == []


@pytest.mark.parametrize("scene", ["/"], indirect=True)
async def test_what_belongs_to_others_is_not_found_in_the_client_dialect(scene: Scene) -> None:
    before = await scene.snapshot()
    eve, theirs = scene.eve, scene.theirs
    quality = {"meetingId": scene.meeting, "participantId": "ann", "quality": "low"}
    tries: list[tuple[str, dict[str, Any]]] = [
        ("connect-transport", {"transportId": theirs["send"], "dtlsParameters": {}}),
        ("resume-consumer", {"consumerId": theirs["consumer"]}),
        ("pause-consumer", {"consumerId": theirs["consumer"]}),
        ("produce", {"meetingId": scene.meeting, "kind": "audio", "rtpParameters": {}}),
        ("quality:change", quality),
    ]

    for event, payload in tries:
        assert await eve.refused(event, payload) == "NOT_FOUND", (event, payload)

    assert await scene.snapshot() == before
    await scene.ann.settle()
    assert scene.ann.heard == []


@pytest.mark.parametrize(
    ("scene", "event"), EVENTS, indirect=["scene"], ids=[f"{n} {e}" for n, e in EVENTS]
)
async def test_a_string_of_1_mb_closes_that_socket_and_changes_nothing(
    scene: Scene, event: str
) -> None:
    good = TAKES[scene.namespace][event].good(scene.meeting)
    before = await scene.snapshot()

    await scene.eve.emit(event, {**good, next(iter(good)): HUGE})

    await scene.eve.gone()
    assert await scene.snapshot() == before
    await scene.ann.settle()
    assert scene.ann.heard == []


@pytest.mark.parametrize("scene", ["/meeting", "/"], indirect=True)
async def test_a_command_for_another_meeting_or_too_deep_for_json_is_refused(
    scene: Scene, signaling: Signaling
) -> None:
    eve, dialect = scene.eve, TAKES[scene.namespace]
    other = await signaling.create_meeting("ann")
    event = "transport:create" if scene.namespace == "/meeting" else "create-transport"
    assert await eve.refused(event, dialect[event].good(other)) == "NOT_JOINED"
    deep: Any = {}
    for _ in range(270):  # deeper than JSON is written
        deep = {"a": deep}
    produce = dialect["produce"].good(scene.meeting)
    key = "rtp_parameters" if scene.namespace == "/meeting" else "rtpParameters"
    assert await eve.refused("produce", {**produce, key: deep}) == "INVALID_REQUEST"
