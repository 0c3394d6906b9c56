"""Whoever is out of a meeting soon has no media there, also when the node fails at first."""

import asyncio
import time
from typing import Any

import pytest
from redis.asyncio import Redis
from tests.kcs_signaling.conftest import MakeClient
from tests.kcs_signaling.test_dialect_meeting import sending
from tests.support.fake_node import FakeNode
from tests.support.seats import leave, named, seated
from tests.support.signaling import Client, Signaling

from kcs_contracts import node_api as api
from kcs_contracts.ids import MeetingId, ParticipantId
from kcs_contracts.rooms import Role


@pytest.fixture
async def signaling(replicas: tuple[Signaling, Signaling]) -> Signaling:
    return replicas[0]


class Trouble:
    """A node that fails to close people's media so often, or takes too long to."""

    def __init__(self, node: FakeNode):
        self.fails, self.takes_s = 0, 0.0
        node.before = self._before

    def _before(self, op: api.Operation) -> Any:
        if not isinstance(op, api.CloseParticipant):
            return None
        if self.fails:
            self.fails -= 1
            return asyncio.sleep(self.takes_s) if self.takes_s else _breaks()
        return None


async def _breaks() -> None:
    raise RuntimeError("the node is busy")


@pytest.fixture
async def trouble(node: FakeNode) -> Trouble:
    return Trouble(node)


async def remove(host: Client, meeting: str, who: str) -> None:
    await host.get("participant:remove", named(host, meeting, target_user_id=who))


def has_media(node: FakeNode, meeting: str, who: str) -> bool:
    media = node.rooms[MeetingId(meeting)].media
    return ParticipantId(who) in media and bool(media[ParticipantId(who)].transports)


async def until_closed(node: FakeNode, meeting: str, who: str) -> None:
    deadline = time.monotonic() + 10
    while has_media(node, meeting, who):
        assert time.monotonic() < deadline, "they still have their transports"
        await asyncio.sleep(0.02)


@pytest.mark.parametrize("takes_s", [0.0, 30.0], ids=["fails", "hangs"])
async def test_a_removal_closes_their_media_soon_though_the_first_call_fails_or_hangs(
    signaling: Signaling, node: FakeNode, trouble: Trouble, clients: MakeClient, takes_s: float
) -> None:
    meeting = await signaling.create_meeting("hal")
    hal = await seated(signaling, clients, meeting, "hal")
    eve = await seated(signaling, clients, meeting, "eve", Role.PRESENTER)
    await sending(eve, meeting)
    assert has_media(node, meeting, "eve")
    trouble.fails, trouble.takes_s = 1, takes_s

    removal = asyncio.create_task(remove(hal, meeting, "eve"))
    await eve.hears("removed:from-meeting")

    await until_closed(node, meeting, "eve")  # the first call hangs still
    await removal  # it holds no host up for long, either


async def test_a_node_is_asked_until_it_has_closed_it_and_then_no_more(
    redis: Redis, signaling: Signaling, node: FakeNode, trouble: Trouble, clients: MakeClient
) -> None:
    meeting = await signaling.create_meeting("hal")
    hal = await seated(signaling, clients, meeting, "hal")
    eve = await seated(signaling, clients, meeting, "eve", Role.PRESENTER)
    await sending(eve, meeting)
    trouble.fails = 3

    await remove(hal, meeting, "eve")
    await until_closed(node, meeting, "eve")

    assert trouble.fails == 0
    async with asyncio.timeout(10):  # nobody asks about whom placement has no note of
        while await redis.exists("kcs:gone", f"kcs:gone:{meeting}"):
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("how", ["leaves", "vanishes"])
async def test_whoever_leaves_or_does_not_come_back_keeps_no_media_either(
    signaling: Signaling, node: FakeNode, trouble: Trouble, clients: MakeClient, how: str
) -> None:
    meeting = await signaling.create_meeting("hal")
    hal = await seated(signaling, clients, meeting, "hal")
    eve = await seated(signaling, clients, meeting, "eve", Role.PRESENTER)
    await sending(eve, meeting)
    trouble.fails = 1

    if how == "leaves":
        await leave(eve, meeting)
    else:
        await eve.close()

    await hal.hears("participant:left", timeout_s=8)
    await until_closed(node, meeting, "eve")


async def test_whoever_is_back_before_the_node_answers_keeps_what_they_have_now(
    redis: Redis, signaling: Signaling, node: FakeNode, clients: MakeClient
) -> None:
    meeting, other = [await signaling.create_meeting("hal") for _ in range(2)]
    await seated(signaling, clients, meeting, "hal")
    eve = await seated(signaling, clients, meeting, "eve", Role.PRESENTER)
    zoe = await seated(signaling, clients, other, "zoe", Role.PRESENTER)
    await sending(zoe, other)
    failed: set[ParticipantId] = set()

    async def busy(op: api.Operation) -> None:
        if isinstance(op, api.CloseParticipant) and op.participant_id not in failed:
            failed.add(op.participant_id)
            if op.participant_id == "eve":  # asked about again when the test says so
                await redis.zadd("kcs:gone", {meeting: 1e15}, xx=True)
            await _breaks()

    node.before = busy
    await leave(eve, meeting)
    again = await seated(signaling, clients, meeting, "eve", Role.PRESENTER)
    await sending(again, meeting)
    asked = asked_about(node, "eve")
    await redis.zadd("kcs:gone", {meeting: 0}, xx=True)

    await leave(zoe, other)  # who is due later than eve would be
    await until_closed(node, other, "zoe")

    assert failed == {"eve", "zoe"}
    assert asked_about(node, "eve") == asked
    assert has_media(node, meeting, "eve")


def asked_about(node: FakeNode, who: str) -> int:
    """How often the node was asked to close their media."""
    return sum(op.participant_id == who for op in node.asked(api.CloseParticipant))
