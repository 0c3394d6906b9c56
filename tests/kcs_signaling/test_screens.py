"""Shared screens: two at once or one, told once each, and ended by a host."""

import asyncio
from typing import Any

import pytest
from tests.kcs_signaling.conftest import MakeClient
from tests.support.fake_node import FakeNode
from tests.support.seats import leave, named, names, seated
from tests.support.signaling import Client, Signaling

from kcs_contracts.ids import MeetingId
from kcs_contracts.placement import Placement
from kcs_contracts.rooms import Role, Source

BOTH = ("/meeting", "/")


@pytest.fixture
async def signaling(replicas: tuple[Signaling, Signaling]) -> Signaling:
    return replicas[0]


async def start(client: Client, meeting: str) -> None:
    await client.get("screen:start", named(client, meeting))


async def refused_start(client: Client, meeting: str) -> str:
    return await client.refused("screen:start", named(client, meeting))


async def transport(client: Client, meeting: str) -> str:
    """A way to send; its id."""
    event = "create-transport" if client.namespace == "/" else "transport:create"
    made = await client.get(event, named(client, meeting, direction="send"))
    return str(made["params"]["id"] if client.namespace == "/" else made["transport_id"])


async def produce(client: Client, meeting: str, transport_id: str, **more: object) -> Any:
    """What becomes of sending a screen; in `/` after `screen:start`."""
    if client.namespace == "/":
        video = {"meetingId": meeting, "kind": "video", "rtpParameters": {}}
        return await client.ask("produce", video)
    screen = {"transport_id": transport_id, "kind": "screen", "rtp_parameters": {}, **more}
    return await client.ask("produce", screen)


async def heard(client: Client, event: str) -> list[str]:
    """Whose screens it has heard of so."""
    await client.settle()
    who = "userId" if client.namespace == "/" else "user_id"
    return [payload[who] for name, payload in client.heard if name == event]


async def sharing(placement: Placement, meeting: str) -> set[str]:
    snapshot = await placement.snapshot(MeetingId(meeting))
    return {each.id for each in snapshot.participants if each.screen_sharing}


@pytest.mark.parametrize("begins", ["by saying so", "by sending it"])
@pytest.mark.parametrize("namespace", BOTH)
async def test_a_screen_is_told_once_when_it_starts_and_once_when_it_stops(
    signaling: Signaling, node: FakeNode, clients: MakeClient, namespace: str, begins: str
) -> None:
    meeting = await signaling.create_meeting("hal")
    pia = await seated(signaling, clients, meeting, "pia", namespace=namespace)
    others = [
        await seated(signaling, clients, meeting, f"bob-{number}", namespace=each)
        for number, each in enumerate(BOTH)
    ]
    way = await transport(pia, meeting)
    if begins == "by saying so" or namespace == "/":
        await start(pia, meeting)
    assert (await produce(pia, meeting, way))["ok"]

    for client in (pia, *others):
        told = await client.hears("screen:started")
        assert told.pop("timestamp").endswith("Z")
        assert told == named(client, meeting, user_id="pia", display_name="Pia")
    assert list(node.media(meeting, "pia").producers.values()) == [Source.SCREEN]

    await pia.get("screen:stop", named(pia, meeting))

    assert node.media(meeting, "pia").producers == {}
    for client in (pia, *others):
        told = await client.hears("screen:stopped")
        assert told.pop("timestamp").endswith("Z")
        assert told == named(client, meeting, user_id="pia", display_name="Pia")
        assert await heard(client, "screen:started") == await heard(client, "screen:stopped") == []


async def test_closing_the_stream_stops_the_screen_once_too(
    signaling: Signaling, node: FakeNode, clients: MakeClient, placement: Placement
) -> None:
    meeting = await signaling.create_meeting("hal")
    pia = await seated(signaling, clients, meeting, "pia")
    bob = await seated(signaling, clients, meeting, "bob")
    way = await transport(pia, meeting)
    await start(pia, meeting)
    screen = (await produce(pia, meeting, way))["data"]["producer_id"]

    await pia.get("produce:close", {"producer_id": screen})

    await bob.hears("screen:stopped")
    await pia.get("screen:stop", {"meeting_id": meeting})
    assert await heard(bob, "screen:stopped") == []
    assert await sharing(placement, meeting) == set()


@pytest.mark.parametrize(("several", "places"), [(True, 2), (False, 1)])
@pytest.mark.parametrize("namespace", BOTH)
async def test_as_many_share_as_the_meeting_has_places_and_who_leaves_makes_room(
    signaling: Signaling,
    node: FakeNode,
    clients: MakeClient,
    placement: Placement,
    namespace: str,
    several: bool,
    places: int,
) -> None:
    meeting = await signaling.create_meeting("hal", settings={"several_screens": several})
    people = [
        await seated(signaling, clients, meeting, f"p{number}", namespace=namespace)
        for number in range(places + 1)
    ]
    sharers, late = people[:places], people[-1]
    for client in sharers:
        await start(client, meeting)
        await start(client, meeting)  # a second time takes no second place
    assert await refused_start(late, meeting) == "SCREEN_SHARE_TAKEN"
    assert len(await sharing(placement, meeting)) == places

    await leave(sharers[0], meeting)

    await start(late, meeting)
    if places > 1:
        await sharers[1].get("screen:stop", named(sharers[1], meeting))
        await seated(signaling, clients, meeting, "new", namespace=namespace)
    assert await sharing(placement, meeting) == {f"p{places}"}


async def test_a_screen_that_is_sent_without_a_place_is_closed_at_the_node_again(
    signaling: Signaling, node: FakeNode, clients: MakeClient
) -> None:
    meeting = await signaling.create_meeting("hal", settings={"several_screens": False})
    pia = await seated(signaling, clients, meeting, "pia")
    zoe = await seated(signaling, clients, meeting, "zoe")
    await start(pia, meeting)
    way = await transport(zoe, meeting)

    answer = await produce(zoe, meeting, way)

    assert answer["error"]["code"] == "SCREEN_SHARE_TAKEN"
    assert node.media(meeting, "zoe").producers == {}
    assert await heard(pia, "new-producer") == []


async def test_of_many_at_once_over_two_replicas_exactly_as_many_share_as_may(
    replicas: tuple[Signaling, Signaling],
    node: FakeNode,
    clients: MakeClient,
    placement: Placement,
) -> None:
    meeting = await replicas[0].create_meeting("hal")
    people = [
        await seated(replicas[number % 2], clients, meeting, f"p{number}") for number in range(8)
    ]
    ways = [await transport(client, meeting) for client in people]
    starts = [client.ask("screen:start", {"meeting_id": meeting}) for client in people[::2]]
    sends = [produce(c, meeting, way) for c, way in zip(people[1::2], ways[1::2], strict=True)]

    answers = await asyncio.gather(*starts, *sends)

    refused = [each["error"]["code"] for each in answers if not each["ok"]]
    assert refused == ["SCREEN_SHARE_TAKEN"] * 6
    assert len(await sharing(placement, meeting)) == 2


@pytest.mark.parametrize("namespace", BOTH)
async def test_a_host_stops_somebodys_screen_and_its_sound(
    signaling: Signaling, node: FakeNode, clients: MakeClient, placement: Placement, namespace: str
) -> None:
    meeting = await signaling.create_meeting("hal", settings={"several_screens": False})
    hal = await seated(signaling, clients, meeting, "hal", namespace=namespace)
    pia = await seated(signaling, clients, meeting, "pia")
    zoe = await seated(signaling, clients, meeting, "zoe")
    way = await transport(pia, meeting)
    await start(pia, meeting)
    await pia.hears("screen:started")
    await produce(pia, meeting, way)
    sound = await produce(pia, meeting, way, kind="audio", source="screen_audio")
    assert sound["ok"], sound
    await produce(pia, meeting, way, kind="video")
    at_pia = {"target_user_id": "pia"}
    by_zoe = {"meeting_id": meeting, **at_pia}
    assert await zoe.refused("screen:stop", by_zoe) == "ACCESS_DENIED"

    await hal.get("screen:stop", named(hal, meeting, **at_pia))

    assert list(node.media(meeting, "pia").producers.values()) == [Source.CAMERA]
    assert (await pia.hears("screen:stopped"))["user_id"] == "pia"
    assert await heard(pia, "screen:stopped") == []
    await start(zoe, meeting)
    nobody = named(hal, meeting, target_user_id="nobody")
    assert await hal.refused("screen:stop", nobody) == "NOT_FOUND"


async def test_after_a_host_stopped_a_screen_video_of_the_client_dialect_is_the_camera_again(
    signaling: Signaling, node: FakeNode, clients: MakeClient
) -> None:
    meeting = await signaling.create_meeting("hal")
    hal = await seated(signaling, clients, meeting, "hal")
    pia = await seated(signaling, clients, meeting, "pia", namespace="/")
    way = await transport(pia, meeting)
    await start(pia, meeting)
    await hal.get("screen:stop", {"meeting_id": meeting, "target_user_id": "pia"})
    await pia.hears("screen:stopped")

    assert (await produce(pia, meeting, way))["ok"]

    assert list(node.media(meeting, "pia").producers.values()) == [Source.CAMERA]


async def test_a_sharer_whose_socket_is_lost_keeps_the_place_until_they_are_gone(
    signaling: Signaling, node: FakeNode, clients: MakeClient
) -> None:
    meeting = await signaling.create_meeting("hal", settings={"several_screens": False})
    pia = await seated(signaling, clients, meeting, "pia")
    zoe = await seated(signaling, clients, meeting, "zoe")
    await start(pia, meeting)
    await pia.close()
    assert await refused_start(zoe, meeting) == "SCREEN_SHARE_TAKEN"

    await zoe.hears("participant:left", timeout_s=20)

    await start(zoe, meeting)


async def test_a_place_is_kept_over_a_media_reset(
    signaling: Signaling, node: FakeNode, clients: MakeClient, placement: Placement
) -> None:
    meeting = await signaling.create_meeting("hal", settings={"several_screens": False})
    pia = await seated(signaling, clients, meeting, "pia")
    zoe = await seated(signaling, clients, meeting, "zoe")
    await produce(pia, meeting, await transport(pia, meeting))
    await node.lose_media(meeting)
    await pia.hears("media:reset")
    assert await refused_start(zoe, meeting) == "SCREEN_SHARE_TAKEN"

    assert (await produce(pia, meeting, await transport(pia, meeting)))["ok"]

    await zoe.hears("screen:started")
    assert await heard(zoe, "screen:started") == []
    assert await sharing(placement, meeting) == {"pia"}


async def test_attendees_and_guests_share_no_screen(
    signaling: Signaling, node: FakeNode, clients: MakeClient
) -> None:
    meeting = await signaling.create_meeting("hal")
    for role in (Role.ATTENDEE, Role.GUEST):
        client = await seated(signaling, clients, meeting, role.value, role)
        assert await refused_start(client, meeting) == "ACCESS_DENIED"
        assert "screen:started" not in names(client)
