"""Who finds the door shut: full, locked, too early, or over; and how meetings end."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from itertools import product
from typing import Any

import aiohttp
import pytest
from redis.asyncio import Redis
from tests.kcs_signaling.conftest import MakeClient
from tests.support.fake_node import FakeNode
from tests.support.seats import JOIN, connected, join, leave, named, names, refused_join, seated
from tests.support.signaling import Client, Signaling

from kcs_contracts.ids import MeetingId
from kcs_contracts.placement import Placement
from kcs_contracts.rooms import Role

BOTH = ("/meeting", "/")
each_namespace = pytest.mark.parametrize("namespace", BOTH)


@pytest.fixture
async def signaling(replicas: tuple[Signaling, Signaling]) -> Signaling:
    return replicas[0]


async def rest(signaling: Signaling, method: str, path: str, host: str = "hal") -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {signaling.access(host)}"}
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, f"{signaling.url}/api/v1/{path}", headers=headers) as answer,
    ):
        assert answer.status < 300, await answer.text()
        return {} if answer.status == 204 else dict(await answer.json())


def iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat()


# --- full ----------------------------------------------------------------------------------------


async def test_of_a_burst_over_two_replicas_exactly_as_many_come_in_as_may(
    replicas: tuple[Signaling, Signaling],
    node: FakeNode,
    clients: MakeClient,
    placement: Placement,
) -> None:
    meeting = await replicas[0].create_meeting("hal", max_participants=12)
    ways = [*product(replicas, BOTH)] * 10
    burst = [
        await connected(server, clients, meeting, f"p{number}", namespace=namespace)
        for number, (server, namespace) in enumerate(ways)
    ]

    answers = await asyncio.gather(
        *(
            client.ask(JOIN[client.namespace], named(client, meeting), timeout_s=30)
            for client in burst
        )
    )

    codes = Counter("in" if answer["ok"] else answer["error"]["code"] for answer in answers)
    assert codes == {"in": 12, "MEETING_FULL": 28}
    snapshot = await placement.snapshot(MeetingId(meeting))
    came_in = {f"p{number}" for number, answer in enumerate(answers) if answer["ok"]}
    assert {each.id for each in snapshot.participants} == came_in


@each_namespace
async def test_a_full_meeting_takes_the_next_one_when_somebody_leaves_and_everybody_back(
    signaling: Signaling,
    shared_signaling: Signaling,
    node: FakeNode,
    clients: MakeClient,
    namespace: str,
) -> None:
    meeting = await signaling.create_meeting("hal", max_participants=2)
    hal = await seated(signaling, clients, meeting, "hal")
    # a replica that waits longer than 2 s for a lost socket
    bob = await seated(shared_signaling, clients, meeting, "bob", namespace=namespace)
    cyd = await connected(signaling, clients, meeting, "cyd", namespace=namespace)
    assert await refused_join(cyd, meeting) == "MEETING_FULL"
    await bob.close()
    again = await connected(signaling, clients, meeting, "bob", namespace=namespace)
    await join(again, meeting)
    assert await refused_join(cyd, meeting) == "MEETING_FULL"

    await hal.get("breakout:create", {"meeting_id": meeting, "count": 1})
    await join(hal, f"{meeting}:1")
    assert await refused_join(cyd, meeting) == "MEETING_FULL"
    await join(hal, meeting)

    await leave(again, meeting)
    await join(cyd, meeting)


# --- locked --------------------------------------------------------------------------------------


@each_namespace
async def test_into_a_locked_meeting_come_hosts_and_those_who_were_in_already(
    signaling: Signaling,
    shared_signaling: Signaling,
    replicas: tuple[Signaling, Signaling],
    node: FakeNode,
    clients: MakeClient,
    namespace: str,
) -> None:
    meeting = await signaling.create_meeting("hal")
    hal = await seated(signaling, clients, meeting, "hal", namespace=namespace)
    # a replica that waits longer than 2 s for a lost socket
    bob = await seated(shared_signaling, clients, meeting, "bob", namespace=namespace)
    locked = named(hal, meeting, locked=True)
    assert await hal.get("room:lock", locked) == locked
    assert await bob.hears("room:locked") == locked

    for server, other in product(replicas, BOTH):
        new = await connected(server, clients, meeting, "new", Role.PRESENTER, other)
        assert await refused_join(new, meeting) == "MEETING_LOCKED"
    await seated(signaling, clients, meeting, "cora", Role.CO_HOST, namespace)
    await seated(signaling, clients, meeting, "hope", Role.HOST, namespace)
    await bob.close()
    back = await connected(replicas[1], clients, meeting, "bob", namespace=namespace)
    await join(back, meeting)
    await leave(back, meeting)
    assert await refused_join(back, meeting) == "MEETING_LOCKED"

    await hal.get("room:lock", named(hal, meeting, locked=False))
    await join(back, meeting)


async def test_a_lock_is_on_record_and_holds_for_a_meeting_that_begins_anew(
    signaling: Signaling, node: FakeNode, clients: MakeClient, redis: Redis
) -> None:
    meeting = await signaling.create_meeting("hal")
    hal = await seated(signaling, clients, meeting, "hal")
    await hal.get("room:lock", {"meeting_id": meeting, "locked": True})
    await leave(hal, meeting)
    await redis.flushall()
    await node.renew()

    assert (await rest(signaling, "GET", f"meetings/{meeting}"))["settings"]["locked"] is True
    new = await connected(signaling, clients, meeting, "new")
    assert await refused_join(new, meeting) == "MEETING_LOCKED"


# --- too early -----------------------------------------------------------------------------------


@each_namespace
async def test_a_scheduled_meeting_opens_a_quarter_of_an_hour_before_it_starts(
    signaling: Signaling, node: FakeNode, clients: MakeClient, namespace: str
) -> None:
    opens_at = time.time() + 60
    meeting, other = [
        await signaling.create_meeting("hal", starts_at=iso(starts_at), duration_minutes=30)
        for starts_at in (opens_at + 15 * 60, time.time() + 15 * 60)
    ]
    bob = await connected(signaling, clients, meeting, "bob", namespace=namespace)
    before = time.time()

    error = (await bob.ask(JOIN[namespace], named(bob, meeting)))["error"]

    assert error["code"] == "MEETING_NOT_OPEN"
    told = await bob.hears("room:error" if namespace == "/meeting" else "error")
    assert told["retry_after"] == error["retry_after"]
    assert opens_at - time.time() - 0.1 <= error["retry_after"] <= opens_at - before + 0.1
    await seated(signaling, clients, meeting, "hal", namespace=namespace)
    await seated(signaling, clients, meeting, "cora", Role.CO_HOST, namespace)
    await join(bob, other)


async def test_a_meetings_settings_say_how_early_people_may_come(
    signaling: Signaling, node: FakeNode, clients: MakeClient
) -> None:
    settings = {"open_minutes_before": 60}
    later = iso(time.time() + 50 * 60)
    meeting = await signaling.create_meeting("hal", starts_at=later, settings=settings)
    await seated(signaling, clients, meeting, "bob")


# --- over ----------------------------------------------------------------------------------------


async def closed_for(client: Client, meeting: str, reason: str) -> None:
    closed = named(client, meeting, reason=reason, return_to=None)
    assert await client.hears("room:closed") == closed
    if client.namespace == "/":
        assert (await client.hears("error"))["code"] == "MEETING_ENDED"


async def test_a_host_ends_the_meeting_and_its_breakout_rooms_for_all_and_on_record(
    signaling: Signaling,
    replicas: tuple[Signaling, Signaling],
    node: FakeNode,
    clients: MakeClient,
    placement: Placement,
) -> None:
    meeting = await signaling.create_meeting("hal")
    room = f"{meeting}:1"
    hal = await seated(signaling, clients, meeting, "hal")
    here = [
        await seated(replicas[1], clients, meeting, f"here-{number}", namespace=namespace)
        for number, namespace in enumerate(BOTH)
    ]
    there = [
        await seated(replicas[1], clients, meeting, f"there-{number}", namespace=namespace)
        for number, namespace in enumerate(BOTH)
    ]
    await hal.get("breakout:create", {"meeting_id": meeting, "count": 1, "choose": True})
    await hal.get("breakout:open", {"meeting_id": meeting})
    for client in there:
        await join(client, room)

    assert await hal.get("room:end", {"meeting_id": meeting}) == {"meeting_id": meeting}

    for client in (hal, *here):
        await closed_for(client, meeting, "ended_by_host")
    for client in there:
        await closed_for(client, room, "ended_by_host")
    for client in (hal, *here, *there):
        assert await refused_join(client, meeting) == "MEETING_ENDED"
        # a replica may take its record of the meeting for true some seconds longer
        assert await refused_join(client, room) in ("MEETING_ENDED", "MEETING_NOT_FOUND")
    assert (await rest(signaling, "GET", f"meetings/{meeting}"))["ended_at"] is not None
    assert (await placement.snapshot(MeetingId(room))).participants == ()


async def test_a_host_who_visits_a_breakout_room_ends_the_whole_meeting(
    signaling: Signaling, node: FakeNode, clients: MakeClient
) -> None:
    meeting = await signaling.create_meeting("hal")
    hal = await seated(signaling, clients, meeting, "hal")
    bob = await seated(signaling, clients, meeting, "bob", namespace="/")
    await hal.get("breakout:create", {"meeting_id": meeting, "count": 1})
    await join(hal, f"{meeting}:1")

    await hal.get("room:end", {"meeting_id": f"{meeting}:1"})

    await closed_for(bob, meeting, "ended_by_host")
    await closed_for(hal, f"{meeting}:1", "ended_by_host")


@pytest.mark.parametrize(
    ("method", "path", "reason"), [("POST", "/end", "ended_by_host"), ("DELETE", "", "deleted")]
)
async def test_a_meeting_that_is_ended_or_deleted_over_rest_closes_for_all(
    signaling: Signaling,
    replicas: tuple[Signaling, Signaling],
    node: FakeNode,
    clients: MakeClient,
    method: str,
    path: str,
    reason: str,
) -> None:
    meeting = await signaling.create_meeting("hal")
    people = [
        await seated(server, clients, meeting, f"p{number}", namespace=namespace)
        for number, (server, namespace) in enumerate(product(replicas, BOTH))
    ]

    await rest(signaling, method, f"meetings/{meeting}{path}")

    for client in people:
        await closed_for(client, meeting, reason)


@pytest.fixture
async def bus(redis: Redis) -> AsyncIterator[Any]:
    """What all replicas hear of all meetings."""
    async with redis.pubsub() as bus:
        await bus.psubscribe("kcs:bus:*")
        yield bus


async def test_a_meeting_that_was_empty_long_enough_ends_unless_its_planned_time_is_not_over(
    signaling: Signaling,
    node: FakeNode,
    clients: MakeClient,
    redis: Redis,
    bus: Any,
) -> None:
    """What the clock would do is done by hand: the moments when they are due are moved."""
    now = time.time()
    idle = await signaling.create_meeting("hal")
    runs = await signaling.create_meeting("hal", starts_at=iso(now - 60), duration_minutes=5)
    late = await signaling.create_meeting("hal", starts_at=iso(now + 300), duration_minutes=5)
    over = await signaling.create_meeting("hal", starts_at=iso(now - 600), duration_minutes=5)
    used = await signaling.create_meeting("hal")
    held = await signaling.create_meeting("hal", settings={"require_host_approval": True})
    for meeting in (idle, runs, late, over, held):
        hal = await seated(signaling, clients, meeting, "hal")
        await leave(hal, meeting)
    await seated(signaling, clients, used, "hal")
    wes = await seated(signaling, clients, held, "wes")
    scores = {meeting: await redis.zscore("kcs:idle", meeting) for meeting in (idle, used, held)}
    assert scores[idle] == pytest.approx((now + 30 * 60) * 1000, abs=20_000)
    assert (scores[used], scores[held]) == (None, None)

    await redis.zadd("kcs:idle", {each: int(now * 1000) - 1 for each in (idle, runs, late, over)})

    ended: dict[str, str] = {}
    async with asyncio.timeout(20):
        while {idle, over} - ended.keys():
            message = await bus.get_message(ignore_subscribe_messages=True, timeout=1)
            told = json.loads(message["data"]) if message else {"event": {"type": ""}}
            if told["event"]["type"] == "meeting_ended":
                ended[told["meeting_id"]] = told["event"]["reason"]
    assert ended == {idle: "idle", over: "idle"}
    for meeting in (idle, over):
        late_comer = await connected(signaling, clients, meeting, "bob")
        assert await refused_join(late_comer, meeting) == "MEETING_ENDED"
        assert (await rest(signaling, "GET", f"meetings/{meeting}"))["ended_at"] is not None
    for meeting in (runs, late, used, held):
        assert (await rest(signaling, "GET", f"meetings/{meeting}"))["ended_at"] is None
    assert await redis.zscore("kcs:idle", runs) > now * 1000  # looked at again in a minute
    assert "room:closed" not in names(wes)
