"""Bad input to every event of both dialects: a clear error on that socket, and nothing changed."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from tests.kcs_signaling.conftest import MakeClient
from tests.support.fake_node import FakeNode
from tests.support.signaling import Client, Signaling

from kcs_contracts.ids import MeetingId
from kcs_contracts.placement import Placement

UUID = "7d0a3e4e-0000-4000-8000-000000000000"
LONG = "x" * 60_000
HUGE = "x" * 1_000_000

GOOD: dict[str, dict[str, dict[str, Any]]] = {
    "/meeting": {
        "room:create": {"meeting_id": "M"},
        "room:join": {"meeting_id": "M", "display_name": "Eve"},
        "room:leave": {"meeting_id": "M"},
        "transport:create": {"meeting_id": "M", "direction": "send"},
        "transport:connect": {"transport_id": UUID, "dtls_parameters": {}},
        "transport:restart-ice": {"transport_id": UUID},
        "produce": {"transport_id": UUID, "kind": "audio", "rtp_parameters": {}},
        "produce:close": {"producer_id": UUID},
        "consume": {"producer_id": UUID, "rtp_capabilities": {}},
        "consumer:resume": {"consumer_id": UUID},
        "consumer:pause": {"consumer_id": UUID},
        "consumer:close": {"consumer_id": UUID},
        "media:toggle": {"meeting_id": "M", "kind": "audio", "enabled": True},
        "quality:change": {"producer_id": UUID, "layer": "low"},
    },
    "/": {
        "join-meeting": {"meetingId": "M"},
        "leave-meeting": {"meetingId": "M"},
        "create-transport": {"meetingId": "M", "direction": "send"},
        "connect-transport": {"transportId": UUID, "dtlsParameters": {}},
        "produce": {"meetingId": "M", "kind": "audio", "rtpParameters": {}},
        "consume": {
            "meetingId": "M",
            "producerParticipantId": "ann",
            "kind": "audio",
            "rtpCapabilities": {},
        },
        "resume-consumer": {"consumerId": UUID},
        "pause-consumer": {"consumerId": UUID},
        "quality:change": {"meetingId": "M", "participantId": "ann", "quality": "low"},
    },
}
EVENTS = [(namespace, event) for namespace, events in GOOD.items() for event in events]
OPTIONAL = {"display_name", "rtp_capabilities"}


def wrong(good: dict[str, Any]) -> list[Any]:
    """Payloads that are not what the event takes."""
    payloads: list[Any] = [None, [], "text", 7, True, {**good, "extra": 1}, {}]
    for field, value in good.items():
        kinds = [None, 7, [], {}, "", LONG, "../../etc", "a b", "\u0000"]
        if isinstance(value, bool):
            kinds = [None, 1, "true", []]
        elif isinstance(value, dict):
            kinds = [7, [], "", "text"]
        if field not in OPTIONAL:
            payloads.append({name: v for name, v in good.items() if name != field})
        for kind in kinds:
            if field == "display_name" and kind in ("../../etc", "a b", "\u0000", None):
                continue  # a name may be any text, or left out
            payloads.append({**good, field: kind})
    return payloads


def in_meeting(payload: Any, meeting: str) -> Any:
    if isinstance(payload, dict):
        return {name: meeting if value == "M" else value for name, value in payload.items()}
    return payload


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
    before = await scene.snapshot()

    for payload in wrong(GOOD[scene.namespace][event]):
        code = await scene.eve.refused(event, in_meeting(payload, scene.meeting))
        assert code in ("INVALID_REQUEST", "MEETING_NOT_FOUND", "NOT_FOUND", "NOT_JOINED"), payload

    assert await scene.snapshot() == before
    await scene.ann.settle()
    assert scene.ann.heard == []


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
    good = GOOD[scene.namespace][event]
    field = next(iter(good))
    before = await scene.snapshot()

    await scene.eve.emit(event, {**in_meeting(good, scene.meeting), field: HUGE})

    await scene.eve.gone()
    assert await scene.snapshot() == before
    await scene.ann.settle()
    assert scene.ann.heard == []


@pytest.mark.parametrize("scene", ["/meeting", "/"], indirect=True)
async def test_an_event_takes_one_object_and_of_its_own_meeting(
    scene: Scene, signaling: Signaling
) -> None:
    eve, dialect = scene.eve, GOOD[scene.namespace]
    other = await signaling.create_meeting("ann")
    event = "transport:create" if scene.namespace == "/meeting" else "create-transport"
    good = dialect[event]
    assert await eve.refused(event, in_meeting(good, other)) == "NOT_JOINED"
    two = await eve.sio.call(event, (good, good), namespace=scene.namespace)
    assert two["error"]["code"] == "INVALID_REQUEST"
    deep: Any = {}
    for _ in range(270):  # deeper than JSON is written
        deep = {"a": deep}
    produce = {**in_meeting(dialect["produce"], scene.meeting)}
    key = "rtp_parameters" if scene.namespace == "/meeting" else "rtpParameters"
    assert await eve.refused("produce", {**produce, key: deep}) in ("INVALID_REQUEST", "NOT_FOUND")
