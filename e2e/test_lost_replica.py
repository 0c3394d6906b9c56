"""A signaling replica that is killed under a call: its people go on talking and are soon back."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass

import aiohttp
import pytest
from tests.support.signaling import Client

from kcs_dev.api import Inspector, access_token, new_meeting
from kcs_dev.balancer import start_balancer
from kcs_dev.browser import Chromium, Person, everybody_gets_everybody, until
from kcs_dev.gaps import gaps, watch
from kcs_dev.processes import free_port
from kcs_dev.stack import LocalStack, Service

StartStack = Callable[..., Awaitable[LocalStack]]
PEOPLE = ("Ann", "Ben")
MOST_S = 1.0
"""Without anything new to see or hear: the fake microphone beeps once a second, pictures come five
times a second, and a browser that builds its socket anew may be late with both."""


@dataclass
class Balanced:
    """Two replicas, and where people find both."""

    stack: LocalStack
    url: str

    async def with_most(self) -> Service:
        """The replica that has the most people."""
        people = [await _gauge(each, "kcs_signaling_participants") for each in self.stack.signaling]
        return self.stack.signaling[people.index(max(people))]


async def _gauge(replica: Service, name: str) -> float:
    async with aiohttp.ClientSession() as http, http.get(f"{replica.url}/metrics") as answer:
        lines = (await answer.text()).splitlines()
    (found,) = [line.split()[1] for line in lines if line.startswith(f"{name} ")]
    return float(found)


@pytest.fixture
async def balanced(start_stack: StartStack) -> AsyncIterator[Balanced]:
    """HAProxy before two replicas."""
    port = free_port()
    stack = await start_stack(replicas=2, origins=(f"http://127.0.0.1:{port}",))
    replicas = [each.url for each in stack.signaling]
    child, url = await start_balancer(stack.directory, replicas, port)
    async with AsyncExitStack() as stop:
        stop.push_async_callback(child.stop)
        yield Balanced(stack, url)


async def test_a_killed_replica_s_people_are_back_within_5_s_and_nobody_is_seen_to_leave(
    balanced: Balanced,
) -> None:
    meeting = await new_meeting(balanced.stack.url)
    inspector = Inspector(balanced.stack)
    async with Chromium(fps=5) as browser:
        people = [await browser.join(f"{balanced.url}/m/{meeting}", name) for name in PEOPLE]
        await until(lambda: everybody_gets_everybody(people), "they see and hear each other", 30)
        lost = await balanced.with_most()
        (left,) = [each for each in balanced.stack.signaling if each is not lost]
        token = await access_token(left.url, "cy", "Cy")
        witness = await Client("/meeting").connect(left.url, token)
        await witness.get("room:join", {"meeting_id": meeting})
        before = await inspector.snapshot(meeting)
        held = {ssrc for person in people for ssrc in await person.received()}
        await watch(*people)

        lost.child.kill()

        took = await until(lambda: _are_back(people, left), "all are back", 15)
        missed = [await gaps(person) for person in people]
        await until(lambda: everybody_gets_everybody(people), "they see and hear each other", 10)
        assert took <= 5
        assert max(max(each.pictures, each.sound) for each in missed) <= MOST_S, missed
        assert {ssrc for person in people for ssrc in await person.received()} == held
        after = await inspector.snapshot(meeting)
        assert [each.id for each in after.participants] == [each.id for each in before.participants]
        await witness.settle()
        assert [name for name, _ in witness.heard if name.startswith("participant:")] == []
        await witness.close()
    await inspector.close()
    print(f"replica killed: back after {took:.1f} s; {missed}")


async def _are_back(people: list[Person], replica: Service) -> bool:
    """There, beside the witness."""
    there = await _gauge(replica, "kcs_signaling_participants")
    return there == 1 + len(people) and all([await person.joined() for person in people])
