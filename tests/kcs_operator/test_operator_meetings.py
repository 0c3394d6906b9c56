"""Declared meetings with the real operator process, signaling, Redis and API server.

Most cases are in `test_meetings_life`, where the operator's part runs in the test's process.
"""

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from redis.asyncio import Redis
from tests.support.declared import KEY, LONG_MS, declared, in_s
from tests.support.kubernetes import Namespace
from tests.support.operator import (
    OperatorProcess,
    Pods,
    operators_writes,
    person,
    rests,
    sfu_pool,
    until,
)
from tests.support.signaling import Signaling

from kcs_contracts.ids import MeetingId
from kcs_contracts.placement import Placement
from kcs_operator.cluster import Cluster

NewOperator = Callable[..., OperatorProcess]


@pytest.fixture
async def signaling(tmp_path: Path, redis_url: str, redis: Redis) -> AsyncIterator[Signaling]:
    """One that knows the operator's key."""
    home = tmp_path / "signaling"
    home.mkdir()
    process = await Signaling(home, redis_url, KCS_INTERNAL__KEY=KEY).start()
    yield process
    await process.stop()


@pytest.fixture
def leader(
    new_operator: NewOperator, signaling: Signaling
) -> Callable[[], Awaitable[OperatorProcess]]:
    """Starts an operator for that signaling, and waits until it leads."""

    async def start() -> OperatorProcess:
        found = new_operator(KCS_SIGNALING__URL=signaling.url, KCS_SIGNALING__KEY=KEY)
        await found.leads()
        return found

    return start


@pytest.fixture
async def pool(
    namespace: Namespace, leader: Callable[[], Awaitable[OperatorProcess]], pods: Pods
) -> OperatorProcess:
    """An operator that leads, with a pool whose one pod runs."""
    operator = await leader()
    namespace.apply(sfu_pool(replicas={"min": 1, "max": 1}))

    async def runs() -> bool:
        return len(pods.of("pool")) == 1

    await until(runs, "the pod runs")
    return operator


async def status(api: Cluster, name: str = "lab", **wanted: object) -> dict[str, Any]:
    """The Meeting's status, once these fields are so."""
    found: dict[str, Any] = {}

    async def is_so() -> bool:
        nonlocal found
        found = (await api.get("meetings", name)).get("status", {})
        return all(found.get(key) == value for key, value in wanted.items())

    try:
        await until(is_so, f"{name}: {wanted}")
    except AssertionError as error:
        raise AssertionError(f"{error}; it is {found}") from None
    return found


async def come(pods: Pods, placement: Placement, meeting: MeetingId, *numbers: int) -> None:
    """People come: the pod opens the room, and they are in it."""
    home = await placement.assign(meeting, warmup_ms=0)
    pods.named(home.node).hosted[meeting] = home.epoch
    joins = (
        placement.join(meeting, person(number), limit=99, presence_ms=LONG_MS) for number in numbers
    )
    await asyncio.gather(*joins)  # at once: how many there are is told every 30 s at most


async def record(signaling: Signaling, meeting: str) -> dict[str, Any]:
    """What signaling's public API says of it to its host."""
    headers = {"Authorization": f"Bearer {signaling.access('ada')}"}
    url = f"{signaling.url}/api/v1/meetings/{meeting}"
    async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as answer:
        assert answer.status == 200, await answer.text()
        found: dict[str, Any] = await answer.json()
        return found


async def ended(signaling: Signaling, meeting: str) -> None:
    async def is_so() -> bool:
        return (await record(signaling, meeting))["ended_at"] is not None

    await until(is_so, "signaling has ended it")


async def test_a_meeting_from_its_apply_to_its_end(
    namespace: Namespace,
    api: Cluster,
    pool: OperatorProcess,
    pods: Pods,
    placement: Placement,
    signaling: Signaling,
) -> None:
    namespace.apply(declared(maxParticipants=30))
    found = await status(api, phase="Ready", node=pods.of("pool")[0].name)
    known = await record(signaling, found["meetingId"])
    assert (known["host_id"], known["max_participants"]) == ("ada", 30)
    assert found["joinURL"] == known["join_url"]
    secret = await api.get("secrets", found["tokenSecretRef"]["name"])
    said = {key: base64.b64decode(text).decode() for key, text in secret["data"].items()}
    assert said["hostURL"] == f"{found['joinURL']}#token={said['hostToken']}"
    assert signaling.tokens.verify(said["hostToken"]).meeting_id == found["meetingId"]

    meeting = MeetingId(found["meetingId"])
    await come(pods, placement, meeting, 1, 2, 3)
    found = await status(api, phase="Active", participants=3)
    assert found["startedAt"]

    namespace.kubectl("delete", "mtg", "lab")
    await ended(signaling, meeting)
    assert said["hostToken"] not in pool.log.read_text()


async def test_kubectl_get_mtg_is_a_departure_board(
    namespace: Namespace, api: Cluster, pool: OperatorProcess, pods: Pods, placement: Placement
) -> None:
    namespace.apply(
        declared("now"),
        declared("open"),
        declared("later", start=in_s(7200)),
        declared("astray", poolRef={"name": "missing"}),
    )
    found = await status(api, "now", phase="Ready")
    await come(pods, placement, MeetingId(found["meetingId"]), 1, 2)
    await status(api, "now", phase="Active", participants=2)
    await status(api, "open", phase="Ready")
    await status(api, "later", phase="Scheduled")

    async def said() -> bool:
        return "NoSuchPool" in namespace.kubectl("get", "mtg", "astray")

    await until(said, "the board says that the pool is missing")
    head, *lines = namespace.kubectl("get", "mtg").splitlines()
    columns = ("NAME", "START", "PHASE", "PEOPLE", "POOL", "NODE", "NOTE", "AGE")
    assert tuple(head.split()) == columns
    starts = [head.index(each) for each in columns]
    rows = {}
    for line in lines:
        cells = [line[a:b].strip() for a, b in zip(starts, [*starts[1:], len(line)], strict=True)]
        rows[cells[0]] = dict(zip(columns[2:7], cells[2:7], strict=True))
    node = pods.of("pool")[0].name
    active = {"PHASE": "Active", "PEOPLE": "2", "POOL": "", "NODE": node, "NOTE": "OnNode"}
    assert rows["now"] == active
    assert rows["open"] == {**active, "PHASE": "Ready", "PEOPLE": "0"}
    assert rows["later"]["PHASE"] == "Scheduled"
    assert (rows["astray"]["POOL"], rows["astray"]["NOTE"]) == ("missing", "NoSuchPool")


async def test_a_restart_writes_nothing_and_what_happened_meanwhile_is_told(
    namespace: Namespace,
    api: Cluster,
    pool: OperatorProcess,
    pods: Pods,
    placement: Placement,
    signaling: Signaling,
    leader: Callable[[], Awaitable[OperatorProcess]],
) -> None:
    namespace.apply(declared("busy"), declared("idle"), declared("later", start=in_s(7200)))
    busy = MeetingId((await status(api, "busy", phase="Ready"))["meetingId"])
    idle = (await status(api, "idle", phase="Ready"))["meetingId"]
    await status(api, "later", phase="Scheduled")
    await come(pods, placement, busy, 1, 2)
    await status(api, "busy", phase="Active", participants=2)
    await rests(namespace)
    assert pool.stop() == 0
    await asyncio.sleep(1)  # the audit log is a little late
    before = operators_writes(namespace)
    second = await leader()
    await asyncio.sleep(5)
    assert operators_writes(namespace)[len(before) :] == []

    assert second.stop() == 0
    namespace.kubectl("delete", "mtg", "idle")
    await placement.leave(busy, person(2).id, person(2).session)
    await leader()
    await status(api, "busy", phase="Active", participants=1)
    await ended(signaling, idle)


@pytest.mark.parametrize("key", ["another-key-of-some-length", ""])
async def test_a_signaling_that_does_not_know_us_is_said_and_mended(
    namespace: Namespace,
    api: Cluster,
    new_operator: NewOperator,
    signaling: Signaling,
    leader: Callable[[], Awaitable[OperatorProcess]],
    key: str,
) -> None:
    wrong = new_operator(KCS_SIGNALING__URL=signaling.url, KCS_SIGNALING__KEY=key)
    await wrong.leads()
    namespace.apply(declared())

    async def said() -> bool:
        return "KCS_INTERNAL__KEY" in namespace.kubectl("describe", "mtg", "lab")

    await until(said, "the Meeting says that the keys differ")
    assert wrong.stop() == 0
    await leader()

    async def registered() -> bool:
        found = (await api.get("meetings", "lab"))["status"]
        told = {each["type"]: each["status"] for each in found["conditions"]}
        return told["Registered"] == "True" and bool(found.get("joinURL"))

    await until(registered, "it is registered once the keys are the same")
