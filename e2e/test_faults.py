"""What breaks, and how soon people see each other again: the bounds are the issue's own.

When a new stream's media first moves is noted in each page, at next to no cost, and read twice a
second: asking the browsers for all that they know would hold up what is measured.
"""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import psutil
import pytest

from kcs_contracts.ids import MeetingId
from kcs_dev.api import Inspector, new_meeting
from kcs_dev.browser import Chromium, Person, everybody_gets_everybody, until
from kcs_dev.stack import LocalStack

StartStack = Callable[..., Awaitable[LocalStack]]
_TO_TELL_S = 4.0
"""A late recovery is seen, and told with its figure."""
_NOTE_NEW_STREAMS = """
(() => {
  const streams = new Map();
  const look = (old) => {
    for (const connection of window.kcsConnections) {
      if (connection.connectionState === 'closed') continue;
      for (const receiver of connection.getReceivers()) {
        for (const { source, timestamp } of receiver.getSynchronizationSources()) {
          const key = `${receiver.track.id} ${source}`;
          const known = streams.get(key);
          if (!known) streams.set(key, { track: receiver.track, timestamp, old, moved: 0 });
          else if (!known.moved && timestamp > known.timestamp) known.moved = Date.now();
        }
      }
    }
  };
  look(true);
  setInterval(() => look(false), 50);
  window.kcsNew = () => [...streams.values()]
    .filter(({ track, old, moved }) => !old && moved && track.readyState === 'live')
    .map(({ track, moved }) => [track.kind, moved]);
})()
"""


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


async def _watch(people: list[Person]) -> None:
    """From now on the pages note when each stream that is not there yet first moves."""
    for person in people:
        await person.page.evaluate(_NOTE_NEW_STREAMS)


async def _flows_again(people: list[Person], since: float, within_s: float) -> float:
    """How long after `since` (Unix time) all media was new and moved, in s.

    Raises:
        AssertionError: later than it should have, or not at all.
    """
    wanted = sorted(["audio", "video"] * (len(people) - 1))

    async def all_move() -> bool:
        await asyncio.sleep(0.4)
        noted = await _noted(people)
        return all(sorted(kind for kind, _ in streams) == wanted for streams in noted)

    await until(all_move, "all media flows again", within_s + _TO_TELL_S)
    took = max(at for streams in await _noted(people) for _, at in streams) / 1000 - since
    assert took <= within_s
    await until(lambda: everybody_gets_everybody(people), "it goes on", 10)
    return took


async def _noted(people: list[Person]) -> list[list[tuple[str, float]]]:
    """Kind and Unix time in ms of each new stream that moves, by person."""
    return [await person.page.evaluate("window.kcsNew()") for person in people]


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
    await _watch(people)
    killed = time.time()
    for worker in workers:
        os.kill(worker.pid, signal.SIGKILL)
    took = await _flows_again(people, killed, 5)
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
    await _watch(people)
    killed = time.time()
    stack.node(before.node).child.kill()
    took = await _flows_again(people, killed, 8)
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
    missed = 0
    while not restart.done():
        missed = 0 if await everybody_gets_everybody(people) else missed + 1
        assert missed < 2, "media stopped while signaling restarted"  # one look may miss a beep
    await restart

    async def all_are_back() -> bool:
        return all([await person.joined() for person in people])

    took = await until(all_are_back, "all clients have resumed", 5)
    await until(lambda: everybody_gets_everybody(people), "media goes on", 10)
    assert {ssrc for person in people for ssrc in await person.received()} == held
    after = await inspector.snapshot(meeting)
    assert [p.id for p in after.participants] == [p.id for p in before.participants]
    assert (after.generation, after.assignment) == (before.generation, before.assignment)
    late = await chromium.join(f"{stack.url}/m/{meeting}", "Dee")
    people.append(late)
    await until(lambda: everybody_gets_everybody(people), "a fourth joins the resumed call", 15)
    await inspector.close()
    print(f"signaling restarted: clients resumed after {took:.1f} s")
