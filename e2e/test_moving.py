"""A meeting moves to another node while people talk: what they see and hear of it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from redis.asyncio import Redis

from kcs_contracts.placement import Placement
from kcs_contracts.rooms import Assignment
from kcs_dev.api import Inspector, new_meeting
from kcs_dev.browser import Chromium, Person, everybody_gets_everybody, until
from kcs_dev.gaps import gaps, watch
from kcs_dev.stack import LocalStack

StartStack = Callable[..., Awaitable[LocalStack]]
Enter = Callable[[LocalStack, Chromium, str, str], Awaitable[Person]]

GAP_S = 2.0
"""The longest that our client may show and play nothing new of somebody."""


@pytest.fixture
async def chromium() -> AsyncIterator[Chromium]:
    """A browser whose fake camera leaves the machine's two cores to what is measured."""
    async with Chromium(fps=5) as browser:
        yield browser


class Mover:
    """Moves a meeting as the operator does when a node drains."""

    def __init__(self, stack: LocalStack, meeting: Any):
        self._redis = Redis.from_url(stack.redis_url)
        self.placement, self._meeting = Placement(self._redis), meeting

    async def begin(self) -> tuple[Assignment, Assignment]:
        """Marks the node as draining and moves the meeting away; from where, and to where."""
        home = await self.placement.assignment(self._meeting)
        assert home is not None
        await self.placement.drain(home.node)
        moving = await self.placement.migrate(self._meeting, home.node, home.epoch)
        assert moving is not None
        return home, moving

    async def ended(self) -> bool:
        return not await self.placement.moves()

    async def close(self) -> None:
        await self._redis.aclose()


async def test_our_client_crosses_to_another_node_with_no_gap_of_2_s_and_nobody_is_there_twice(
    start_stack: StartStack, chromium: Chromium
) -> None:
    stack = await start_stack(nodes_wanted=2)
    meeting = await new_meeting(stack.url)
    people = [await chromium.join(f"{stack.url}/m/{meeting}", name) for name in ("Ann", "Ben")]
    await until(lambda: everybody_gets_everybody(people), "the call runs", 60)
    inspector, mover = Inspector(stack), Mover(stack, meeting)
    before = await inspector.snapshot(meeting)
    await watch(*people)
    await asyncio.sleep(2)
    home, moving = await mover.begin()
    took = await until(mover.ended, "the move is over", 20)
    await until(lambda: everybody_gets_everybody(people), "all media flows from there", 20)

    after = await inspector.snapshot(meeting)
    assert after.assignment == moving
    assert moving.node != home.node
    assert [p.id for p in after.participants] == [p.id for p in before.participants]
    assert not {p.id for p in before.producers} & {p.id for p in after.producers}
    for person in people:
        seen = await gaps(person)
        print(f"moved in {took:.1f} s; {seen}")
        assert seen.people == 1
        assert seen.pictures <= GAP_S
        assert seen.sound <= GAP_S
        assert (seen.videos, seen.tiles_twice, seen.sounds) == (1, 0, 1)
        assert await person.joined()
    await mover.close()
    await inspector.close()


async def test_a_client_of_the_guide_begins_anew_when_the_meeting_has_moved(
    start_stack: StartStack, chromium: Chromium, enter_with_the_guides_client: Enter
) -> None:
    stack = await start_stack(nodes_wanted=2)
    meeting = await new_meeting(stack.url)
    ours = await chromium.join(f"{stack.url}/m/{meeting}", "Ann")
    guest = await enter_with_the_guides_client(stack, chromium, meeting, "Gus")
    people = [ours, guest]
    # what the sample leaves to its reader: see `media:reset` in docs/events.md
    await guest.page.evaluate(
        """() => client.socket.on('media:reset', async () => {
          client.sendTransport.close();
          client.recvTransport.close();
          await client.createTransports();
          const wanted = { video: { width: 640, height: 360 }, audio: true };
          await client.produceMedia(await navigator.mediaDevices.getUserMedia(wanted));
        })"""
    )
    await until(lambda: everybody_gets_everybody(people), "both see each other", 60)
    mover = Mover(stack, meeting)
    _, moving = await mover.begin()
    await until(mover.ended, "the move is over", 20)
    await until(lambda: everybody_gets_everybody(people), "both see each other again", 20)
    assert await mover.placement.assignment(meeting) == moving
    assert await ours.tiles() == ["gus"]
    errors = [d for kind, d in await guest.page.evaluate("client.events") if kind == "error"]
    assert errors == []
    await mover.close()


async def test_a_move_to_a_node_that_dies_leaves_the_call_as_it_is(
    start_stack: StartStack, chromium: Chromium
) -> None:
    stack = await start_stack(nodes_wanted=2)
    meeting = await new_meeting(stack.url)
    people = [await chromium.join(f"{stack.url}/m/{meeting}", name) for name in ("Ann", "Ben")]
    await until(lambda: everybody_gets_everybody(people), "the call runs", 60)
    mover = Mover(stack, meeting)
    home = await mover.placement.assignment(meeting)
    assert home is not None
    other = next(node for node in stack.nodes if node.child.name != home.node)
    held = {ssrc for person in people for ssrc in await person.received()}
    # it answers nothing from the move's first moment on
    other.child.process.send_signal(19)  # SIGSTOP
    try:
        await mover.begin()
        await until(mover.ended, "the move is given up", 15)
    finally:
        other.child.process.send_signal(18)
    await until(lambda: everybody_gets_everybody(people), "the call goes on", 20)
    assert await mover.placement.assignment(meeting) == home
    assert held <= {ssrc for person in people for ssrc in await person.received()}
    await mover.close()
