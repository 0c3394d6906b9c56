"""What breaks, and how soon people see each other again: the bounds are the issue's own."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable

import psutil
import pytest

from kcs_contracts.ids import MeetingId
from kcs_dev.api import Inspector, new_meeting
from kcs_dev.browser import Chromium, Person, everybody_gets_everybody, until
from kcs_dev.stack import LocalStack

StartStack = Callable[..., Awaitable[LocalStack]]


@pytest.fixture
async def chromium() -> AsyncIterator[Chromium]:
    """A browser whose fake camera leaves the machine's two cores to what is measured."""
    async with Chromium(fps=5) as browser:
        yield browser


async def _call_of_three(stack: LocalStack, chromium: Chromium) -> tuple[MeetingId, list[Person]]:
    meeting = await new_meeting(stack.url)
    people = [
        await chromium.join(f"{stack.url}/m/{meeting}", name) for name in ("Ann", "Ben", "Cy")
    ]
    await until(lambda: everybody_gets_everybody(people), "the call of three runs", 30)
    return meeting, people


async def _flows_again(people: list[Person], within_s: float) -> float:
    """How long until all media flows; the 1.1 s that it takes to see it count too."""
    return await until(lambda: everybody_gets_everybody(people), "all media flows again", within_s)


async def _ids(inspector: Inspector, meeting: MeetingId) -> list[str]:
    return sorted(p.id for p in (await inspector.snapshot(meeting)).participants)


async def test_a_killed_worker_is_back_and_all_media_flows_again_within_5_s(
    start_stack: StartStack, chromium: Chromium
) -> None:
    stack = await start_stack()
    meeting, people = await _call_of_three(stack, chromium)
    inspector = Inspector(stack)
    before = await inspector.snapshot(meeting)
    node = psutil.Process(stack.nodes[0].child.pid)
    workers = [p for p in node.children(recursive=True) if "mediasoup-worker" in p.name()]
    for worker in workers:
        os.kill(worker.pid, signal.SIGKILL)
    took = await _flows_again(people, 5)
    after = await inspector.snapshot(meeting)
    assert [p.id for p in after.participants] == [p.id for p in before.participants]
    assert after.generation > before.generation
    assert len(after.producers) == 6
    assert all([len(await person.tiles()) == 2 for person in people])
    await inspector.close()
    print(f"worker killed: media back after {took:.1f} s")


async def test_a_killed_node_s_meeting_moves_and_media_flows_again_within_8_s(
    start_stack: StartStack, chromium: Chromium
) -> None:
    stack = await start_stack(nodes_wanted=2)
    meeting, people = await _call_of_three(stack, chromium)
    inspector = Inspector(stack)
    before, people_before = await inspector.home(meeting), await _ids(inspector, meeting)
    stack.node(before.node).child.kill()
    took = await _flows_again(people, 8)
    after = await inspector.home(meeting)
    assert after.node != before.node
    assert after.epoch > before.epoch
    assert await _ids(inspector, meeting) == people_before
    assert all([len(await person.tiles()) == 2 for person in people])
    await inspector.close()
    print(f"node killed: media back after {took:.1f} s")


async def test_media_never_stops_while_signaling_restarts_and_clients_resume_within_5_s(
    start_stack: StartStack, chromium: Chromium
) -> None:
    stack = await start_stack()
    meeting, people = await _call_of_three(stack, chromium)
    inspector = Inspector(stack)
    before = await inspector.snapshot(meeting)
    held = {ssrc for person in people for ssrc in await person.received()}
    restart = asyncio.create_task(stack.restart_signaling(stack.signaling[0]))
    while not restart.done():
        assert await everybody_gets_everybody(people), "media stopped while signaling restarted"
    await restart

    async def all_are_back() -> bool:
        return all([await person.joined() for person in people])

    took = await until(all_are_back, "all clients have resumed", 5)
    assert await everybody_gets_everybody(people)
    assert {ssrc for person in people for ssrc in await person.received()} == held
    after = await inspector.snapshot(meeting)
    assert [p.id for p in after.participants] == [p.id for p in before.participants]
    assert (after.generation, after.assignment) == (before.generation, before.assignment)
    late = await chromium.join(f"{stack.url}/m/{meeting}", "Dee")
    people.append(late)
    await until(lambda: everybody_gets_everybody(people), "a fourth joins the resumed call", 15)
    await inspector.close()
    print(f"signaling restarted: clients resumed after {took:.1f} s")
