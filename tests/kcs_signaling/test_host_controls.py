"""What hosts do about people's media and roles, and what co-hosts cannot do about hosts."""

from typing import Any

import pytest
from tests.kcs_signaling.conftest import MakeClient
from tests.kcs_signaling.test_dialect_meeting import sending
from tests.support.fake_node import FakeNode
from tests.support.seats import connected, join, leave, named, names, seated
from tests.support.signaling import Client, Signaling

from kcs_contracts import node_api as api
from kcs_contracts.ids import MeetingId
from kcs_contracts.placement import Placement
from kcs_contracts.rooms import MediaKind, Participant, Producer, Role, Source

BOTH = ("/meeting", "/")
KEEP_MUTED = {"allow_unmute_self": False, "default_role": "attendee"}
each_kind = pytest.mark.parametrize("kind", ["audio", "video"])


@pytest.fixture
async def signaling(replicas: tuple[Signaling, Signaling]) -> Signaling:
    return replicas[0]


async def mute(host: Client, meeting: str, who: str, kind: str = "audio", **more: object) -> Any:
    name = "mute_type" if host.namespace == "/" else "kind"
    asked = named(host, meeting, target_user_id=who, **{name: kind}, **more)
    return await host.get("participant:mute", asked)


async def toggled(client: Client, meeting: str, kind: str, enabled: bool) -> Any:
    return await client.ask("media:toggle", named(client, meeting, kind=kind, enabled=enabled))


async def person(
    placement: Placement, meeting: str, who: str
) -> tuple[Participant, Producer | None]:
    """Somebody and the one stream that they send, as placement has it."""
    snapshot = await placement.snapshot(MeetingId(meeting))
    sent = [each for each in snapshot.producers if each.participant_id == who]
    return next(p for p in snapshot.participants if p.id == who), sent[0] if sent else None


def muted_at(node: FakeNode) -> list[tuple[str, MediaKind, bool]]:
    return [(op.participant_id, op.kind, op.muted) for op in node.asked(api.SetMuted)]


# --- muting --------------------------------------------------------------------------------------


@pytest.mark.parametrize("namespace", BOTH)
@each_kind
async def test_a_host_mutes_somebody_at_the_server_and_all_are_told(
    signaling: Signaling,
    node: FakeNode,
    clients: MakeClient,
    placement: Placement,
    namespace: str,
    kind: MediaKind,
) -> None:
    meeting = await signaling.create_meeting("hal")
    hal = await seated(signaling, clients, meeting, "hal", namespace=namespace)
    pia = await seated(signaling, clients, meeting, "pia")
    others = [
        await seated(signaling, clients, meeting, f"bob-{number}", namespace=each)
        for number, each in enumerate(BOTH)
    ]
    producer = await sending(pia, meeting, kind)
    on = {"user_id": "pia", "kind": kind, "enabled": True}
    for client in (hal, pia, *others):
        await client.hears("participant:media:updated", lambda p: p["enabled"])

    answer = await mute(hal, meeting, "pia", kind)

    target, muted = {"target_user_id": "pia"}, {"muted": True}
    by_kind = "mute_type" if namespace == "/" else "kind"
    assert answer == named(hal, meeting, **target, **muted, **{by_kind: kind})
    assert ("pia", kind, True) in muted_at(node)
    assert producer in node.media(meeting, "pia").paused
    pia_now, stream = await person(placement, meeting, "pia")
    assert stream is not None
    assert (stream.id, stream.paused) == (producer, True)
    assert (pia_now.audio_enabled, pia_now.video_enabled) == (False, False)
    told = await pia.hears("muted:by-host")
    assert told == {"meeting_id": meeting, "kind": kind, "reason": "", "may_unmute": True}
    for client in (hal, pia, *others):
        by_kind = "mute_type" if client.namespace == "/" else "kind"
        expected = named(
            client, meeting, **target, **muted, **{by_kind: kind}, moderator_name="Hal"
        )
        assert await client.hears("participant:muted") == expected
        off = named(client, meeting, **{**on, "enabled": False})
        assert await client.hears("participant:media:updated") == off
        assert "muted:by-host" not in names(client)


async def test_a_target_in_the_client_dialect_hears_the_reason(
    signaling: Signaling, node: FakeNode, clients: MakeClient
) -> None:
    meeting = await signaling.create_meeting("hal", settings=KEEP_MUTED)
    hal = await seated(signaling, clients, meeting, "hal")
    pia = await seated(signaling, clients, meeting, "pia", namespace="/")

    await mute(hal, meeting, "pia", reason="Traffic noise")

    told = named(pia, meeting, kind="audio", reason="Traffic noise", may_unmute=False)
    assert await pia.hears("muted:by-host") == told


@each_kind
async def test_who_may_not_unmute_themselves_stays_muted_until_a_host_lifts_it(
    signaling: Signaling,
    node: FakeNode,
    clients: MakeClient,
    placement: Placement,
    kind: MediaKind,
) -> None:
    meeting = await signaling.create_meeting("hal", settings=KEEP_MUTED)
    hal = await seated(signaling, clients, meeting, "hal")
    pia = await seated(signaling, clients, meeting, "pia")
    older = await sending(pia, meeting, kind)
    await mute(hal, meeting, "pia", kind)
    await pia.hears("muted:by-host")

    answer = await toggled(pia, meeting, kind, True)
    assert answer["error"]["code"] == "ACCESS_DENIED"
    made = await pia.get("transport:create", {"meeting_id": meeting, "direction": "send"})
    produce = {"transport_id": made["transport_id"], "kind": kind, "rtp_parameters": {}}
    produced = await pia.get("produce", produce)
    assert produced["paused"] is True
    assert produced["producer_id"] != older
    assert node.media(meeting, "pia").paused == {older, produced["producer_id"]}
    assert (await toggled(pia, meeting, kind, False))["ok"]
    assert (await toggled(pia, meeting, kind, True))["error"]["code"] == "ACCESS_DENIED"
    pia_now, stream = await person(placement, meeting, "pia")
    assert stream is not None
    assert stream.paused is True
    assert (pia_now.audio_enabled, pia_now.video_enabled) == (False, False)

    await mute(hal, meeting, "pia", kind, muted=False)

    assert (await hal.hears("participant:muted", lambda p: not p["muted"]))["kind"] == kind
    assert produced["producer_id"] in node.media(meeting, "pia").paused  # not by others
    assert (await toggled(pia, meeting, kind, True))["ok"]
    assert produced["producer_id"] not in node.media(meeting, "pia").paused
    _, stream = await person(placement, meeting, "pia")
    assert stream is not None
    assert stream.paused is False


@pytest.mark.parametrize("namespace", BOTH)
async def test_who_may_unmute_themselves_does_so_by_toggling(
    signaling: Signaling,
    node: FakeNode,
    clients: MakeClient,
    placement: Placement,
    namespace: str,
) -> None:
    meeting = await signaling.create_meeting("hal")
    hal = await seated(signaling, clients, meeting, "hal")
    pia = await seated(signaling, clients, meeting, "pia", namespace=namespace)
    await mute(hal, meeting, "pia")
    await pia.hears("muted:by-host")

    assert (await toggled(pia, meeting, "audio", True))["ok"]

    assert muted_at(node) == [("pia", "audio", True), ("pia", "audio", False)]
    pia_now, _ = await person(placement, meeting, "pia")
    assert (pia_now.audio_muted, pia_now.audio_enabled) == (False, True)
    updated = await hal.hears(
        "participant:updated", lambda p: not p["updates"]["audio_muted_by_host"]
    )
    assert updated["user_id"] == "pia"


async def test_a_presenter_unmutes_themselves_whatever_the_setting(
    signaling: Signaling, node: FakeNode, clients: MakeClient
) -> None:
    meeting = await signaling.create_meeting("hal", settings=KEEP_MUTED)
    hal = await seated(signaling, clients, meeting, "hal")
    pia = await seated(signaling, clients, meeting, "pia", Role.PRESENTER)
    await mute(hal, meeting, "pia")
    assert (await pia.hears("muted:by-host"))["may_unmute"] is True

    assert (await toggled(pia, meeting, "audio", True))["ok"]

    assert muted_at(node)[-1] == ("pia", "audio", False)


async def test_who_may_unmute_themselves_does_so_by_sending_anew(
    signaling: Signaling, node: FakeNode, clients: MakeClient, placement: Placement
) -> None:
    meeting = await signaling.create_meeting("hal")
    hal = await seated(signaling, clients, meeting, "hal")
    pia = await seated(signaling, clients, meeting, "pia")
    await mute(hal, meeting, "pia")
    await pia.hears("muted:by-host")

    producer = await sending(pia, meeting, "audio")

    assert producer not in node.media(meeting, "pia").paused
    pia_now, _ = await person(placement, meeting, "pia")
    assert (pia_now.audio_muted, pia_now.audio_enabled) == (False, True)


async def test_the_setting_may_change_while_somebody_is_muted(
    signaling: Signaling, node: FakeNode, clients: MakeClient
) -> None:
    meeting = await signaling.create_meeting("hal", settings=KEEP_MUTED)
    hal = await seated(signaling, clients, meeting, "hal")
    pia = await seated(signaling, clients, meeting, "pia")
    await mute(hal, meeting, "pia")
    await pia.hears("muted:by-host")
    assert (await toggled(pia, meeting, "audio", True))["error"]["code"] == "ACCESS_DENIED"

    allowed = {"meeting_id": meeting, "settings": {"allow_unmute_self": True}}
    await hal.get("room:settings", allowed)

    assert (await pia.hears("room:settings:changed"))["settings"]["allow_unmute_self"] is True
    assert (await toggled(pia, meeting, "audio", True))["ok"]


@pytest.mark.parametrize("goes", ["loses the socket", "leaves"])
async def test_a_mute_survives_that_the_person_goes_and_comes_back(
    signaling: Signaling,
    replicas: tuple[Signaling, Signaling],
    node: FakeNode,
    clients: MakeClient,
    goes: str,
) -> None:
    meeting = await signaling.create_meeting("hal", settings=KEEP_MUTED)
    hal = await seated(signaling, clients, meeting, "hal")
    pia = await seated(signaling, clients, meeting, "pia")
    await mute(hal, meeting, "pia")
    await pia.hears("muted:by-host")
    if goes == "leaves":
        await leave(pia, meeting)
    await pia.close()

    again = await connected(replicas[1], clients, meeting, "pia")
    joined = await join(again, meeting)

    (me,) = [each for each in joined["participants"] if each["user_id"] == "pia"]
    assert me["audio_muted_by_host"] is True
    assert (await toggled(again, meeting, "audio", True))["error"]["code"] == "ACCESS_DENIED"
    producer = await sending(again, meeting, "audio")
    assert producer in node.media(meeting, "pia").paused


async def test_a_mute_holds_on_a_node_that_is_new_to_the_meeting(
    signaling: Signaling, node: FakeNode, clients: MakeClient, placement: Placement
) -> None:
    meeting = await signaling.create_meeting("hal", settings=KEEP_MUTED)
    hal = await seated(signaling, clients, meeting, "hal")
    pia = await seated(signaling, clients, meeting, "pia")
    await sending(pia, meeting, "audio")
    await mute(hal, meeting, "pia")
    await pia.hears("muted:by-host")
    home = (await placement.snapshot(MeetingId(meeting))).assignment
    assert home is not None
    keys = {signaling.tokens.signer_kid: signaling.key.public_key()}
    async with FakeNode(placement, keys, "newer") as other:
        await placement.drain(node.name)
        await placement.evict(MeetingId(meeting), home.node, home.epoch, "moved")
        await pia.hears("media:reset")

        made = await pia.get("transport:create", {"meeting_id": meeting, "direction": "send"})
        mic = {"transport_id": made["transport_id"], "kind": "audio", "rtp_parameters": {}}
        produced = await pia.get("produce", mic)

        assert produced["paused"] is True
        assert muted_at(other) == [("pia", "audio", True)]
        assert produced["producer_id"] in other.media(meeting, "pia").paused
        await mute(hal, meeting, "pia", muted=False)
        assert muted_at(other)[-1] == ("pia", "audio", False)
        await placement.undrain(node.name)


async def test_a_mute_while_a_stream_is_being_opened_holds_it_too(
    signaling: Signaling, node: FakeNode, clients: MakeClient, placement: Placement
) -> None:
    meeting = await signaling.create_meeting("hal", settings=KEEP_MUTED)
    hal = await seated(signaling, clients, meeting, "hal")
    pia = await seated(signaling, clients, meeting, "pia")
    made = await pia.get("transport:create", {"meeting_id": meeting, "direction": "send"})

    async def mute_first() -> None:
        node.before = lambda op: None
        await mute(hal, meeting, "pia")

    node.before = lambda op: mute_first() if isinstance(op, api.Produce) else None
    mic = {"transport_id": made["transport_id"], "kind": "audio", "rtp_parameters": {}}
    produced = await pia.get("produce", mic)

    assert produced["paused"] is True
    assert produced["producer_id"] in node.media(meeting, "pia").paused
    pia_now, stream = await person(placement, meeting, "pia")
    assert stream is not None
    assert (stream.paused, pia_now.audio_enabled) == (True, False)


# --- roles ---------------------------------------------------------------------------------------


async def change(host: Client, meeting: str, who: str, role: Role) -> Any:
    new = named(host, meeting, target_user_id=who, new_role=role.value)
    return await host.ask("participant:role:update", new)


@pytest.mark.parametrize("namespace", BOTH)
async def test_a_co_host_does_nothing_about_hosts(
    signaling: Signaling, node: FakeNode, clients: MakeClient, namespace: str
) -> None:
    meeting = await signaling.create_meeting("hal")
    hal = await seated(signaling, clients, meeting, "hal")
    cora = await seated(signaling, clients, meeting, "cora", Role.CO_HOST, namespace)
    await seated(signaling, clients, meeting, "pia")
    kind = "mute_type" if namespace == "/" else "kind"
    at_hal = named(cora, meeting, target_user_id="hal")
    muting = named(cora, meeting, target_user_id="hal", **{kind: "audio"})

    assert await cora.refused("participant:mute", muting) == "ACCESS_DENIED"
    assert await cora.refused("participant:remove", at_hal) == "ACCESS_DENIED"
    assert await cora.refused("screen:stop", at_hal) == "ACCESS_DENIED"
    for who, role in (
        ("hal", Role.ATTENDEE),
        ("hal", Role.CO_HOST),
        ("pia", Role.HOST),
        ("cora", Role.HOST),
    ):
        assert (await change(cora, meeting, who, role))["error"]["code"] == "ACCESS_DENIED"
    add = named(cora, meeting, user_ids=["new"], role="host")
    assert await cora.refused("participant:add", add) == "ACCESS_DENIED"
    assert await cora.refused("room:end", named(cora, meeting)) == "ACCESS_DENIED"
    assert muted_at(node) == []
    assert (await hal.get("room:snapshot", {"meeting_id": meeting}))["your_role"] == Role.HOST

    assert (await change(cora, meeting, "pia", Role.CO_HOST))["ok"]
    await mute(cora, meeting, "pia")


@pytest.mark.parametrize("namespace", BOTH)
async def test_a_host_gives_roles_that_last_as_long_as_the_meeting(
    signaling: Signaling, node: FakeNode, clients: MakeClient, namespace: str
) -> None:
    meeting = await signaling.create_meeting("hal")
    hal = await seated(signaling, clients, meeting, "hal", namespace=namespace)
    gus = await seated(signaling, clients, meeting, "gus", Role.GUEST)

    changed = (await change(hal, meeting, "gus", Role.HOST))["data"]

    assert changed == named(hal, meeting, target_user_id="gus", new_role="host")
    for client in (hal, gus):
        told = named(client, meeting, user_id="gus", old_role="guest", new_role="host")
        assert await client.hears("participant:role:changed") == told
    await gus.get("room:lock", {"meeting_id": meeting, "locked": True})
    await leave(gus, meeting)
    again = await connected(signaling, clients, meeting, "gus", Role.GUEST)
    assert (await join(again, meeting))["your_role"] == Role.HOST
    assert (await change(again, meeting, "hal", Role.ATTENDEE))["ok"]
    assert await hal.refused("room:end", named(hal, meeting)) == "ACCESS_DENIED"
    await leave(hal, meeting)
    assert await hal.refused("room:lock", named(hal, meeting, locked=False)) == "NOT_JOINED"


async def test_who_loses_a_role_sends_no_longer_what_the_new_one_may_not(
    signaling: Signaling, node: FakeNode, clients: MakeClient
) -> None:
    meeting = await signaling.create_meeting("hal")
    hal = await seated(signaling, clients, meeting, "hal")
    pia = await seated(signaling, clients, meeting, "pia")
    made = await pia.get("transport:create", {"meeting_id": meeting, "direction": "send"})
    sent = {}
    for kind in ("audio", "video", "screen"):
        stream = {"transport_id": made["transport_id"], "kind": kind, "rtp_parameters": {}}
        sent[(await pia.get("produce", stream))["producer_id"]] = kind
    await hal.hears("screen:started")

    await change(hal, meeting, "pia", Role.ATTENDEE)

    closed = await hal.hears("producer:closed")
    assert sent.pop(closed["producer_id"]) == "screen"
    await hal.hears("screen:stopped")
    assert node.media(meeting, "pia").producers.keys() == sent.keys()

    await change(hal, meeting, "pia", Role.GUEST)

    gone = {(await hal.hears("producer:closed"))["producer_id"] for _ in sent}
    assert gone == sent.keys()
    assert node.media(meeting, "pia").producers == {}
    for _ in sent:
        told = await hal.hears("participant:media:updated", lambda p: not p["enabled"])
        assert told["user_id"] == "pia"


@pytest.mark.parametrize(("kind", "role"), [("audio", Role.GUEST), ("screen", Role.ATTENDEE)])
async def test_who_loses_a_role_while_a_stream_is_being_opened_does_not_send_it(
    replicas: tuple[Signaling, Signaling],
    node: FakeNode,
    clients: MakeClient,
    placement: Placement,
    kind: str,
    role: Role,
) -> None:
    meeting = await replicas[0].create_meeting("hal")
    hal = await seated(replicas[0], clients, meeting, "hal")
    pia = await seated(replicas[1], clients, meeting, "pia")
    made = await pia.get("transport:create", {"meeting_id": meeting, "direction": "send"})

    async def demote_first() -> None:
        node.before = lambda op: None
        assert (await change(hal, meeting, "pia", role))["ok"]

    node.before = lambda op: demote_first() if isinstance(op, api.Produce) else None
    stream = {"transport_id": made["transport_id"], "kind": kind, "rtp_parameters": {}}
    assert await pia.refused("produce", stream) == "ACCESS_DENIED"

    pia_now, sent = await person(placement, meeting, "pia")
    assert (pia_now.audio_enabled, pia_now.screen_sharing, sent) == (False, False, None)
    assert node.media(meeting, "pia").producers == {}


async def test_a_screen_that_was_begun_as_presenter_is_not_shared_as_attendee(
    signaling: Signaling, node: FakeNode, clients: MakeClient
) -> None:
    meeting = await signaling.create_meeting("hal")
    hal = await seated(signaling, clients, meeting, "hal")
    pia = await seated(signaling, clients, meeting, "pia", namespace="/")
    await pia.get("create-transport", {"meetingId": meeting, "direction": "send"})
    await pia.get("screen:start", {"meetingId": meeting})
    await change(hal, meeting, "pia", Role.ATTENDEE)
    await pia.hears("screen:stopped")

    await pia.get("produce", {"meetingId": meeting, "kind": "video", "rtpParameters": {}})

    assert list(node.media(meeting, "pia").producers.values()) == [Source.CAMERA]


# --- guests --------------------------------------------------------------------------------------


@pytest.mark.parametrize("namespace", BOTH)
async def test_guests_chat_where_the_meeting_lets_them_from_then_on(
    signaling: Signaling, node: FakeNode, clients: MakeClient, namespace: str
) -> None:
    meeting = await signaling.create_meeting("hal")
    hal = await seated(signaling, clients, meeting, "hal")
    gus = await seated(signaling, clients, meeting, "gus", Role.GUEST, namespace)
    said, typing = ("send-message", "typing") if namespace == "/" else ("chat:send", "chat:typing")
    hello = named(gus, meeting, message="Hello")
    writes = named(gus, meeting, **{"typing" if namespace == "/" else "is_typing": True})
    assert await gus.refused(said, hello) == "ACCESS_DENIED"
    assert await gus.refused(typing, writes) == "ACCESS_DENIED"

    await hal.get("room:settings", {"meeting_id": meeting, "settings": {"guest_chat": True}})

    await gus.hears("room:settings:changed")
    await gus.get(said, hello)
    await gus.get(typing, writes)
    assert (await hal.hears("chat:message"))["message"] == "Hello"
    for event, more in (("hand:raise", {}), ("reaction:send", {"emoji": "👍"})):
        assert await gus.refused(event, named(gus, meeting, **more)) == "ACCESS_DENIED"
