"""Whoever is out of a meeting soon has no media there, also when the node fails at first."""

import asyncio
import time
from typing import Any

import pytest
from tests.kcs_signaling.conftest import MakeClient
from tests.kcs_signaling.test_dialect_meeting import sending
from tests.support.fake_node import FakeNode
from tests.support.seats import leave, named, seated
from tests.support.signaling import Client, Signaling

from kcs_contracts import node_api as api
from kcs_contracts.ids import MeetingId, ParticipantId
from kcs_contracts.placement import Placement
from kcs_contracts.rooms import Role


@pytest.fixture
async def signaling(replicas: tuple[Signaling, Signaling]) -> Signaling:
    return replicas[0]


class Trouble:
    """A node that fails to close people's media so often, or takes too long to."""

    def __init__(self, node: FakeNode):
        self.fails, self.takes_s, self.asked = 0, 0.0, 0
        node.before = self._before

    def _before(self, op: api.Operation) -> Any:
        if not isinstance(op, api.CloseParticipant):
            return None
        self.asked += 1
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


async def until_closed(node: FakeNode, meeting: str, who: str, within_s: float) -> None:
    deadline = time.monotonic() + within_s
    while has_media(node, meeting, who):
        assert time.monotonic() < deadline, "they still have their transports"
        await asyncio.sleep(0.02)


@pytest.mark.parametrize("takes_s", [0.0, 4.0], ids=["fails", "hangs"])
async def test_a_removal_closes_their_media_within_a_second_though_the_first_call_fails(
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

    await until_closed(node, meeting, "eve", 1.0)
    began = time.monotonic()
    await removal  # a node that hangs holds no host up for long
    assert time.monotonic() - began < 1.2


async def test_a_node_is_asked_until_it_has_closed_it_and_then_no_more(
    signaling: Signaling,
    node: FakeNode,
    trouble: Trouble,
    clients: MakeClient,
    placement: Placement,
) -> None:
    meeting = await signaling.create_meeting("hal")
    hal = await seated(signaling, clients, meeting, "hal")
    eve = await seated(signaling, clients, meeting, "eve", Role.PRESENTER)
    await sending(eve, meeting)
    trouble.fails = 3

    await remove(hal, meeting, "eve")
    await until_closed(node, meeting, "eve", 4.0)

    assert trouble.asked == 4
    await asyncio.sleep(0.6)
    assert trouble.asked == 4
    assert await placement.take_gone() == []


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
    await until_closed(node, meeting, "eve", 1.0)


async def test_whoever_is_back_before_the_node_answers_keeps_what_they_have_now(
    signaling: Signaling, node: FakeNode, trouble: Trouble, clients: MakeClient
) -> None:
    meeting = await signaling.create_meeting("hal")
    await seated(signaling, clients, meeting, "hal")
    eve = await seated(signaling, clients, meeting, "eve", Role.PRESENTER)
    trouble.fails = 1
    await leave(eve, meeting)
    again = await seated(signaling, clients, meeting, "eve", Role.PRESENTER)
    await sending(again, meeting)

    await asyncio.sleep(1.0)

    assert trouble.asked == 1
    assert has_media(node, meeting, "eve")
