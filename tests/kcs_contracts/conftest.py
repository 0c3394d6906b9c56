"""Short ways to say what the placement tests say often."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.asyncio.client import PubSub

from kcs_contracts.events import PUBLISHED, DomainEvent, Published
from kcs_contracts.ids import BootId, MeetingId, NodeName, ParticipantId, SessionId
from kcs_contracts.placement import NodeLease, Placement
from kcs_contracts.rooms import Participant, Role

HOUR_MS = 3_600_000


class Ear:
    """Hears every meeting's bus; `new()` is all that was published since the last time."""

    def __init__(self, redis: Redis, pubsub: PubSub):
        self._redis, self._pubsub = redis, pubsub

    async def new(self) -> list[Published]:
        await self._redis.publish("kcs:bus:", "so far")
        heard = []
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            message = await self._pubsub.get_message(ignore_subscribe_messages=True, timeout=1)
            if message and message["channel"] == b"kcs:bus:":
                return heard
            if message:
                heard.append(PUBLISHED.validate_json(message["data"]))
        raise TimeoutError("the bus is silent")

    async def events(self) -> list[DomainEvent]:
        return [published.event for published in await self.new()]


async def listen(redis: Redis) -> Ear:
    pubsub = redis.pubsub()
    await pubsub.psubscribe("kcs:bus:*")
    await pubsub.get_message(timeout=5)
    return Ear(redis, pubsub)


@pytest.fixture
async def ear(redis: Redis) -> AsyncIterator[Ear]:
    ear = await listen(redis)
    yield ear
    await ear._pubsub.aclose()


@pytest.fixture(scope="session")
def new_ear() -> Callable[[Redis], Awaitable[Ear]]:
    """For a test that has a client of its own."""
    return listen


@pytest.fixture
async def placement(redis: Redis) -> Placement:
    placement = Placement(redis)
    await placement.load()
    return placement


@pytest.fixture(scope="session")
def lease() -> Callable[..., NodeLease]:
    """A node's lease of an hour: `lease("a", consumers=3)`."""

    def make(node: str, boot: str = "boot", **fields: Any) -> NodeLease:
        fields = {"consumer_capacity": 1000, "lease_ms": HOUR_MS} | fields
        return NodeLease(
            node=NodeName(node), boot=BootId(boot), control_url=f"http://{node}:1", **fields
        )

    return make


@pytest.fixture(scope="session")
def person() -> Callable[..., Participant]:
    """A participant: `person("ann", session="s2", role=Role.HOST)`."""

    def make(name: str, session: str = "s1", **fields: Any) -> Participant:
        fields = {"display_name": name.title(), "role": Role.ATTENDEE, "joined_at_ms": 1} | fields
        return Participant(id=ParticipantId(name), session=SessionId(session), **fields)

    return make


@pytest.fixture
def meeting() -> MeetingId:
    return MeetingId("k7f-x2mq-9tb")
