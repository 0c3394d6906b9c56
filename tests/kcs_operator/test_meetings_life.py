"""A declared meeting on a real API server, Redis and signaling: from its apply to its end."""

import asyncio
import base64
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from redis.asyncio import Redis
from tests.support.declared import KEY, Declared, declared, in_s
from tests.support.kubernetes import Namespace
from tests.support.operator import sfu_pool, until
from tests.support.signaling import Signaling

from kcs_contracts.ids import MeetingId, NodeName
from kcs_contracts.placement import Placement
from kcs_contracts.rooms import Role
from kcs_operator.cluster import Cluster
from kcs_operator.handlers.meeting_steps import AHEAD_S


@pytest.fixture(scope="module")
def signaling(tmp_path_factory: pytest.TempPathFactory, redis_url: str) -> Iterator[Signaling]:
    """A signaling that knows the operator's key, for all tests that leave it alone."""
    home = tmp_path_factory.mktemp("signaling")
    process = asyncio.run(Signaling(home, redis_url, KCS_INTERNAL__KEY=KEY).start())
    yield process
    asyncio.run(process.stop())


@pytest.fixture
async def own_signaling(tmp_path: Path, redis_url: str, redis: Redis) -> AsyncIterator[Signaling]:
    """One for a test that stops it."""
    process = await Signaling(tmp_path, redis_url, KCS_INTERNAL__KEY=KEY).start()
    yield process
    await process.stop()


@pytest.fixture
async def world(
    namespace: Namespace, api: Cluster, placement: Placement, signaling: Signaling
) -> AsyncIterator[Declared]:
    """Where meetings are declared."""
    world = Declared(namespace, api, placement, signaling)
    yield world
    await world.kill_all()


async def rest(world: Declared, method: str, path: str, **more: Any) -> tuple[int, Any]:
    """What signaling's public API says to Ada."""
    headers = {
        "Authorization": f"Bearer {world.signaling.access('ada')}",
        **more.pop("headers", {}),
    }
    async with aiohttp.ClientSession() as session:
        url = f"{world.signaling.url}/api/v1/meetings/{path}"
        async with session.request(method, url, headers=headers, **more) as answer:
            return answer.status, await answer.json() if answer.status != 204 else None


async def is_over(world: Declared, meeting_id: str) -> bool:
    status, found = await rest(world, "GET", meeting_id)
    return status == 200 and found["ended_at"] is not None


async def test_an_open_meeting_is_registered_has_room_and_a_way_in_for_its_host(
    world: Declared,
) -> None:
    await world.node("n1")
    async with world.lead():
        world.namespace.apply(declared(settings={"guestChat": True}, maxParticipants=30))
        found = await world.until(phase="Ready", Registered="Registered", Placed="OnNode")
    assert found["node"] == "n1"
    assert found["meetingId"] == await world.id_of()
    code, record = await rest(world, "GET", found["meetingId"])
    assert (code, record["host_id"], record["max_participants"]) == (200, "ada", 30)
    assert record["settings"]["guest_chat"] is True
    assert found["joinURL"] == record["join_url"]
    secret = await world.api.get("secrets", found["tokenSecretRef"]["name"])
    said = {key: base64.b64decode(value).decode() for key, value in secret["data"].items()}
    assert said["hostURL"] == f"{found['joinURL']}#token={said['hostToken']}"
    bearer = world.signaling.tokens.verify(said["hostToken"])
    assert (bearer.meeting_id, bearer.role) == (found["meetingId"], Role.HOST)
    assert secret["metadata"]["ownerReferences"][0]["uid"] == (await world.get())["metadata"]["uid"]


async def test_its_status_tells_how_it_goes_and_its_life_costs_four_writes(
    world: Declared,
) -> None:
    await world.node("n1")
    async with world.lead():
        world.namespace.apply(declared())
        await world.until(phase="Ready")
        meeting_id = await world.id_of()
        await world.join(meeting_id, 1, 2, 3)
        found = await world.until(phase="Active", node="n1")
        assert found["participants"] >= 1
        assert found["startedAt"]
        await rest(world, "POST", f"{meeting_id}/end")
        found = await world.until(phase="Ended", Placed="Ended", participants=0)
        assert "node" not in found
        assert found["endedAt"]
        world.namespace.kubectl("delete", "meeting", "lab", "--wait=true")  # no finalizer
    writes = [(each.verb, each.resource) for each in await world.writes()]
    assert writes == [("create", "secrets"), *[("patch", "meetings/status")] * 3]


async def test_a_restart_writes_nothing(world: Declared) -> None:
    await world.node("n1")
    world.namespace.apply(declared("open"), declared("later", start=in_s(7200)))
    async with world.lead():
        await world.until("open", phase="Ready")
        await world.until("later", phase="Scheduled", Placed="NotYet")
        await world.join(await world.id_of("open"), 1)
        await world.until("open", phase="Active", participants=1)
    before = await world.writes()
    for _ in range(2):
        async with world.lead() as meetings:
            await meetings.review()
            for _ in range(5):
                await meetings.sweep()
            assert meetings.index.phases["Active"] == 1
    assert await world.writes() == before


async def test_deleting_it_ends_the_call(world: Declared) -> None:
    await world.node("n1")
    async with world.lead():
        world.namespace.apply(declared())
        meeting_id = (await world.until(phase="Ready"))["meetingId"]
        await world.join(meeting_id, 1)
        world.namespace.kubectl("delete", "meeting", "lab")
        await until(lambda: is_over(world, meeting_id), "the meeting is over", 20)
    assert (await world.placement.whereabouts([meeting_id]))[meeting_id].over


async def test_a_list_that_lacks_it_does_not_end_it(world: Declared) -> None:
    await world.node()
    async with world.lead():
        world.namespace.apply(declared())
        meeting_id = (await world.until(phase="Ready"))["meetingId"]
        heard: list[str] = []
        world.cache.listen(lambda kind, name: heard.append(kind))
        world.cache.replace("meetings", [], str(10**15))
        assert heard == ["meetings"]
        await asyncio.sleep(1)
        assert not await is_over(world, meeting_id)


async def test_deleted_while_no_operator_ran_it_is_ended_by_the_next_one(world: Declared) -> None:
    world.namespace.apply(declared("gone"), declared("kept"))
    async with world.lead():
        gone = (await world.until("gone", Registered="Registered"))["meetingId"]
        kept = (await world.until("kept", Registered="Registered"))["meetingId"]
    world.namespace.kubectl("delete", "meeting", "gone")
    by_people = await world.signaling.create_meeting("ada")
    async with world.lead():
        await until(lambda: is_over(world, gone), "the meeting is over", 20)
    assert not await is_over(world, kept)
    assert not await is_over(world, by_people)


async def test_deleted_while_signaling_was_away_it_is_ended_when_that_is_back(
    world: Declared, own_signaling: Signaling
) -> None:
    world.signaling = own_signaling
    async with world.lead() as meetings:
        world.namespace.apply(declared())
        meeting_id = (await world.until(Registered="Registered"))["meetingId"]
        await world.signaling.stop()
        world.namespace.kubectl("delete", "meeting", "lab")

        async def noticed() -> bool:
            return meetings.index.get("lab") is None

        await until(noticed, "it is noticed", 10)
    await world.signaling.start()
    async with world.lead():
        await until(lambda: is_over(world, meeting_id), "the meeting is over", 20)


async def test_made_anew_under_its_name_it_is_another_meeting(world: Declared) -> None:
    async with world.lead():
        world.namespace.apply(declared())
        first = (await world.until(Registered="Registered"))["meetingId"]
        world.namespace.kubectl("delete", "meeting", "lab")
        world.namespace.kubectl("delete", "secret", "lab-host")  # as the garbage collector does
        world.namespace.apply(declared())
        second = (await world.until(Registered="Registered"))["meetingId"]
        assert first != second
        await until(lambda: is_over(world, first), "the first one is over", 20)
        assert not await is_over(world, second)


async def test_a_change_of_the_spec_reaches_signaling_and_a_new_time_the_token(
    world: Declared,
) -> None:
    async with world.lead():
        world.namespace.apply(declared(start=in_s(7200)))
        before = await world.until(phase="Scheduled")
        world.namespace.apply(declared(start=in_s(7200), displayName="Renamed"))
        await world.until(observedGeneration=2)
        assert [w.resource for w in await world.writes()].count("secrets") <= 2
        world.namespace.apply(declared(start=in_s(90_000), displayName="Renamed"))
        after = await world.until(observedGeneration=3)
        _, record = await rest(world, "GET", after["meetingId"])
    assert record["display_name"] == "Renamed"
    assert after["tokenExpiresAt"] > before["tokenExpiresAt"]
    secret = await world.api.get("secrets", "lab-host")
    token = base64.b64decode(secret["data"]["hostToken"]).decode()
    expires = world.signaling.tokens.verify(token).expires_at
    assert time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(expires)) == after["tokenExpiresAt"]


async def test_room_is_kept_before_its_start_and_said_with_the_first_people(
    world: Declared,
) -> None:
    await world.node("n1")
    world.namespace.apply(sfu_pool("pool"))
    async with world.lead() as meetings:
        world.namespace.apply(declared(start=in_s(AHEAD_S + 60), expectedParticipants=40))
        meeting_id = (await world.until(phase="Scheduled", Placed="NotYet"))["meetingId"]
        assert await world.placement.assignment(meeting_id) is None
        assert meetings.scheduled("pool", 70, most=50) == 40

        async def kept() -> bool:
            return meetings.scheduled("pool", 70, most=50) == 0

        world.start_s = 120  # a pod takes so long: now it is time
        await until(kept, "room is kept", 20)
        (node,) = await world.placement.nodes()
        assert 0.07 < node.reserved <= 0.08  # 40 of 500
        assert (await world.status())["phase"] == "Scheduled"
        await world.join(meeting_id, 1)
        await world.until(phase="Active", Placed="OnNode", node="n1")
        await rest(world, "POST", f"{meeting_id}/end")
        await world.until(phase="Ended")
    writes = [(each.verb, each.resource) for each in await world.writes()]
    assert writes == [("create", "secrets"), *[("patch", "meetings/status")] * 3]


async def test_one_that_nobody_has_come_to_is_ready_at_its_start(world: Declared) -> None:
    await world.node("n1")
    world.namespace.apply(sfu_pool("pool"))
    world.start_s = -2 * AHEAD_S  # no room is looked for yet
    async with world.lead():
        start = in_s(8)
        world.namespace.apply(declared(start=start))
        await world.until(phase="Scheduled", Placed="NotYet")
        world.start_s = 5 - AHEAD_S  # it is looked for 5 s before
        await world.until(phase="Ready", Placed="OnNode", node="n1")
        assert in_s(0) >= start


async def test_a_full_pool_is_said_and_gets_over_it(world: Declared) -> None:
    await world.node("small", people=20)
    await world.placement.assign(MeetingId("another"), warmup_ms=0)
    world.namespace.apply(sfu_pool("pool"))
    async with world.lead() as meetings:
        world.namespace.apply(declared(expectedParticipants=40))
        found = await world.until(phase="Scheduled", Placed="NoCapacity")
        assert found["joinURL"]
        assert meetings.scheduled("pool", 0, most=50) == 40
        assert meetings.scheduled("other", 0, most=50) == 0
        await world.node("large", people=100)
        await world.until(phase="Ready", node="large")
        assert meetings.scheduled("pool", 0, most=50) == 0
    reasons = world.namespace.kubectl("get", "events", "-o", "jsonpath={.items[*].reason}")
    assert reasons.split() == ["NoCapacity"]


async def test_a_pool_that_is_not_there_is_said_long_before_and_gets_over_it(
    world: Declared,
) -> None:
    await world.node("n1", pool="main")
    async with world.lead():
        world.namespace.apply(
            declared("now", poolRef={"name": "main"}),
            declared("later", start=in_s(7200), poolRef={"name": "main"}),
        )
        for name in ("now", "later"):
            await world.until(name, phase="Scheduled", Placed="NoSuchPool")
        world.namespace.apply(sfu_pool("main"))
        await world.until("now", phase="Ready", node="n1")
        await world.until("later", phase="Scheduled", Placed="NotYet")
        world.namespace.kubectl("delete", "sfupool", "main")
        await world.until("later", Placed="NoSuchPool")
        await world.until("now", phase="Ready", Placed="OnNode")


async def test_a_date_in_the_past_is_said_and_gets_over_it(world: Declared) -> None:
    await world.node("n1")
    async with world.lead() as meetings:
        world.namespace.apply(declared(start=in_s(-86_400)))
        found = await world.until(phase="Failed", Placed="InThePast", Registered="StartIsPast")
        assert found["joinURL"]
        assert meetings.scheduled("pool", 86_400, most=50) == 0
        world.namespace.apply(declared(start=in_s(86_400)))
        await world.until(phase="Scheduled", Placed="NotYet", Registered="Registered")
        world.namespace.apply(declared(start=in_s(-600)))
        await world.until(phase="Ready", Placed="OnNode", Registered="StartIsPast")


async def test_its_room_moves_with_the_drain_and_is_found_anew_when_its_node_dies(
    world: Declared,
) -> None:
    await world.node("n1")
    async with world.lead():
        world.namespace.apply(declared())
        meeting_id = (await world.until(phase="Ready", node="n1"))["meetingId"]
        await world.join(meeting_id, 1)
        await world.until(phase="Active")
        await world.placement.drain(NodeName("n1"))
        await world.until(Migrating="Draining", node="n1")
        await world.node("n2")
        home = await world.placement.assignment(meeting_id)
        assert home is not None
        await world.placement.evict(meeting_id, home.node, home.epoch, "moved")
        found = await world.until(Migrating="Settled", node="n2")
        assert found["epoch"] > home.epoch
        await world.kill("n2")
        await world.until(Placed="NoNode", phase="Active")


async def test_room_that_was_kept_on_a_node_that_died_is_kept_on_another(world: Declared) -> None:
    await world.node("n1")
    async with world.lead():
        world.namespace.apply(declared())
        await world.until(phase="Ready", node="n1")
        await world.node("n2")
        await world.kill("n1")
        await world.until(phase="Ready", node="n2", Placed="OnNode")


async def test_counts_alone_are_not_told_at_once(world: Declared) -> None:
    await world.node("n1")
    async with world.lead():
        world.namespace.apply(declared())
        meeting_id = (await world.until(phase="Ready"))["meetingId"]
        await world.join(meeting_id, 1)
        await world.until(phase="Active", participants=1)
        before = await world.writes()
        await world.join(meeting_id, 2, 3)
        await world.leave(meeting_id, 1)
        assert await world.writes() == before


async def test_what_signaling_refuses_is_said_and_gets_over_it(world: Declared) -> None:
    async with world.lead():
        world.namespace.apply(declared(displayName="two\nlines"))
        found = await world.until(phase="Failed", Registered="Refused")
        (said,) = [each for each in found["conditions"] if each["type"] == "Registered"]
        assert "display_name" in said["message"]
        world.namespace.apply(declared())
        await world.until(Registered="Registered")


async def test_a_secret_of_somebody_elses_is_left_alone_and_said(world: Declared) -> None:
    mine = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "lab-host"}}
    world.namespace.apply({**mine, "stringData": {"mine": "yes"}})
    async with world.lead():
        world.namespace.apply(declared())
        found = await world.until(Registered="SecretTaken")
        assert "tokenSecretRef" not in found
        secret = await world.api.get("secrets", "lab-host")
        assert set(secret["data"]) == {"mine"}
        world.namespace.kubectl("delete", "secret", "lab-host")
        await world.until(Registered="Registered")


async def test_signaling_that_is_away_is_waited_for_and_said_when_it_lasts(
    world: Declared, own_signaling: Signaling
) -> None:
    world.signaling = own_signaling
    await world.signaling.stop()
    async with world.lead():
        world.namespace.apply(declared())
        await world.until(Registered="SignalingAway")
    await world.signaling.start()
    async with world.lead():
        await world.until(Registered="Registered")


async def test_a_wrong_key_is_said(world: Declared) -> None:
    world.key = "quite-another-key"
    async with world.lead():
        world.namespace.apply(declared())
        await world.until(Registered="NotConfigured")


async def test_one_that_signaling_lost_is_registered_again(
    world: Declared, own_signaling: Signaling
) -> None:
    world.signaling = own_signaling
    async with world.lead():
        world.namespace.apply(declared())
        meeting_id = (await world.until(Registered="Registered"))["meetingId"]
    await world.signaling.stop()
    (world.signaling.home / "records.sqlite").unlink()
    await world.signaling.start()
    async with world.lead():

        async def is_back() -> bool:
            return (await rest(world, "GET", meeting_id))[0] == 200

        await until(is_back, "it is on record again", 20)


async def test_its_links_follow_signalings_public_address(
    world: Declared, own_signaling: Signaling
) -> None:
    world.signaling = own_signaling
    async with world.lead():
        world.namespace.apply(declared())
        before = (await world.until(Registered="Registered"))["joinURL"]
    await own_signaling.stop()
    home, redis_url = own_signaling.home, own_signaling.redis_url
    settings = {"KCS_INTERNAL__KEY": KEY, "KCS_HTTP__PUBLIC_URL": "https://meet.example.net"}
    world.signaling = await Signaling(home, redis_url, **settings).start()
    try:
        async with world.lead() as meetings:
            path = before.partition("/m/")[2]
            after = f"https://meet.example.net/m/{path}"
            await world.until(joinURL=after)
            secret = await world.api.get("secrets", "lab-host")
            link = base64.b64decode(secret["data"]["hostURL"]).decode()
            assert link.startswith(f"{after}#token=")
            written = await world.writes()
            await meetings.review()
            await meetings.sweep()
            assert await world.writes() == written
    finally:
        await world.signaling.stop()


async def test_one_that_its_host_deleted_is_over(world: Declared) -> None:
    async with world.lead() as meetings:
        world.namespace.apply(declared())
        meeting_id = (await world.until(Registered="Registered"))["meetingId"]
        assert (await rest(world, "DELETE", meeting_id))[0] == 204
        await meetings.review()
        await world.until(phase="Ended")
        world.namespace.apply(declared(displayName="Again"))
        await meetings.review()
        assert (await rest(world, "GET", meeting_id))[0] == 404


async def test_an_api_server_that_stops_is_survived(world: Declared) -> None:
    await world.node("n1")
    async with world.lead():
        world.namespace.apply(declared())
        meeting_id = (await world.until(phase="Ready"))["meetingId"]
        with world.namespace.kubernetes.stopped():
            await world.join(meeting_id, 1)
        await world.until(phase="Active", participants=1)


async def test_the_table_reads_like_a_departure_board(world: Declared) -> None:
    await world.node("n1")
    async with world.lead():
        world.namespace.apply(declared("lab"), declared("talk", start=in_s(7200)))
        await world.until("lab", phase="Ready")
        await world.until("talk", phase="Scheduled")
        head, *rows = world.namespace.kubectl("get", "mtg").splitlines()
    assert head.split() == ["NAME", "START", "PHASE", "PEOPLE", "POOL", "NODE", "NOTE", "AGE"]
    assert "Ready" in rows[0]
    assert "n1" in rows[0]
    assert "Scheduled" in rows[1]
    assert "NotYet" in rows[1]
