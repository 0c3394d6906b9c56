"""Which replicas an event reaches: counted, so that any machine gives the same.

    python bench/bus/bench_bus.py

With 2, 4 and 8 replicas, each with a meeting of its own, and one meeting with people on two of
them; everybody says something at the same time.
"""

import argparse
import asyncio
import re
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import aiohttp
import uvloop
from redis.asyncio import Redis

from kcs_contracts.events import bus_channel
from kcs_contracts.ids import MeetingId
from kcs_dev.api import new_meeting
from kcs_dev.crowd import UNLIMITED, Crowd, grow
from kcs_dev.measure import Figure, at_most, save
from kcs_dev.raw_socket import RawSocket
from kcs_dev.stack import LocalStack

METHOD = (
    "Counted. Each of the replicas has a meeting whose two people are both on it, and one meeting"
    " has a person on each of the first two replicas. In all meetings at once 50 chat messages are"
    " said. Reached: how many connections Redis sends a meeting's events to (PUBSUB NUMSUB), one"
    " per replica. Decoded: what each replica's counter kcs_signaling_bus_events has grown by, less"
    " the events of the meetings that it has people of."
)
REPLICAS = (2, 4, 8)
MESSAGES = 50
_DECODED = re.compile(r"^kcs_signaling_bus_events_total (\S+)$", re.MULTILINE)


@dataclass(frozen=True)
class Counted:
    """What became of the events with so many replicas."""

    replicas: int
    reached_of_one: int
    """Replicas that get the events of a meeting whose people are on one of them; the most."""
    reached_of_two: int
    decoded: list[int]
    """Events that each replica read."""
    own: list[int]
    """Those of meetings that it has people of."""


@dataclass(frozen=True)
class Held:
    """A meeting, and where its people are."""

    id: MeetingId
    people: list[RawSocket]
    replicas: set[int]


async def _hold(stack: LocalStack, crowd: Crowd, places: Sequence[int]) -> Held:
    meeting = await new_meeting(stack.url)
    people = []
    for number, replica in enumerate(places):
        socket = await crowd.connect(stack.signaling[replica].url, f"person-{number}")
        await socket.request("room:join", {"meeting_id": meeting})
        people.append(socket)
    return Held(meeting, people, set(places))


async def _speak(held: Held) -> None:
    """One says it all; returns when each has heard all."""
    for socket in held.people:
        socket.events = 0
    for _ in range(MESSAGES):
        said = {"meeting_id": held.id, "message": "hello"}
        await held.people[0].request("chat:send", said)
    async with asyncio.timeout(10):
        while any(socket.events < MESSAGES for socket in held.people):
            await asyncio.sleep(0.05)


async def _decoded(stack: LocalStack) -> list[int]:
    async with aiohttp.ClientSession(raise_for_status=True) as http:
        texts = []
        for service in stack.signaling:
            async with http.get(f"{service.url}/metrics") as answer:
                texts.append(await answer.text())
    found = [_DECODED.search(text) for text in texts]
    assert all(found), "a replica does not count what it reads from the bus"
    return [int(float(match[1])) for match in found if match]


async def _reached(redis: Redis, meetings: Sequence[Held]) -> int:
    rows = await redis.pubsub_numsub(*(bus_channel(each.id) for each in meetings))
    return max(int(count) for _, count in rows)


async def _count(stack: LocalStack, crowd: Crowd, redis: Redis) -> Counted:
    count = len(stack.signaling)
    alone = [await _hold(stack, crowd, (replica, replica)) for replica in range(count)]
    spread = await _hold(stack, crowd, (0, 1))
    await asyncio.sleep(0.5)
    before = await _decoded(stack)
    async with asyncio.TaskGroup() as tasks:
        for held in (*alone, spread):
            tasks.create_task(_speak(held))
    after = await _decoded(stack)
    counted = Counted(
        replicas=count,
        reached_of_one=await _reached(redis, alone),
        reached_of_two=await _reached(redis, [spread]),
        decoded=[now - then for now, then in zip(after, before, strict=True)],
        own=[
            MESSAGES * sum(replica in held.replicas for held in (*alone, spread))
            for replica in range(count)
        ],
    )
    for held in (*alone, spread):
        for socket in held.people:
            await socket.request("room:leave", {"meeting_id": held.id})
            socket.close()
    return counted


def _figures(counted: Sequence[Counted]) -> list[Figure]:
    figures = []
    for one in counted:
        of = f"of {one.replicas} replicas"
        beyond = sum(d - o for d, o in zip(one.decoded, one.own, strict=True))
        title = f"events decoded beyond those of a replica's own people, {one.replicas} replicas"
        figures += [
            at_most(f"replicas reached, people on 1 {of}", one.reached_of_one, "replicas", 1),
            at_most(f"replicas reached, people on 2 {of}", one.reached_of_two, "replicas", 2),
            at_most(title, beyond, "events", 0, f"of {sum(one.own)}"),
        ]
    return figures


async def _run() -> list[Counted]:
    counted = []
    with tempfile.TemporaryDirectory() as directory:
        async with LocalStack(Path(directory), env=UNLIMITED) as stack:
            crowd, redis = Crowd(stack), Redis.from_url(stack.redis_url)
            await crowd.begin(stack.url)
            for count in REPLICAS:
                await grow(stack, count)
                counted.append(await _count(stack, crowd, redis))
                print(f"  {counted[-1]}", flush=True)
            await redis.aclose()
    return counted


def main() -> None:
    """The entry point."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    counted = uvloop.run(_run())
    samples: dict[str, Any] = {"counted": [asdict(each) for each in counted]}
    save("bus", METHOD, _figures(counted), samples)


if __name__ == "__main__":
    main()
