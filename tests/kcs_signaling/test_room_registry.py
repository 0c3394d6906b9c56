"""A replica that follows the bus while Redis answers late, on a real Redis."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterable

import pytest
from redis.asyncio import Redis
from tests.support.rooms import Deaf, peer, person

from kcs_contracts.events import DomainEvent, MediaToggled
from kcs_contracts.ids import BootId, MeetingId, NodeName, new_meeting_id
from kcs_contracts.placement import NodeLease, Placement, connect
from kcs_contracts.rooms import MediaKind, Role, RoomSnapshot
from kcs_signaling.metrics import BUS_EVENTS
from kcs_signaling.rooms.peer import Peer, Room, Seat
from kcs_signaling.service import follower
from kcs_signaling.service.registry import RoomRegistry

WAITING = 10


class LatePlacement(Placement):
    """Its snapshots are read at once, and arrive when the test lets them."""

    def __init__(self, redis: Redis) -> None:
        super().__init__(redis)
        self.arrive, self.read = asyncio.Event(), asyncio.Event()
        self.arrive.set()

    async def snapshot(self, meeting_id: MeetingId) -> RoomSnapshot:
        snapshot = await super().snapshot(meeting_id)
        self.read.set()
        await self.arrive.wait()
        return snapshot


class Listener(Deaf):
    """An audience that remembers."""

    def __init__(self) -> None:
        self.toggles: list[MediaToggled] = []

    def tell(self, room: Room, event: DomainEvent, peers: Iterable[Peer]) -> None:
        if isinstance(event, MediaToggled):
            self.toggles.append(event)


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    """A client of the Redis that other tests' processes use too: nothing is flushed."""
    client = connect(redis_url)
    yield client
    await client.aclose()


@pytest.fixture
async def late(redis: Redis) -> AsyncIterator[LatePlacement]:
    """Knows one node, until the end of the test."""
    placement = LatePlacement(redis)
    await placement.load()
    node, boot = NodeName("late"), BootId(uuid.uuid4().hex)
    lease = NodeLease(node=node, boot=boot, control_url="http://n", consumer_capacity=1000)
    await placement.renew(lease, [])
    yield placement
    await placement.release(node, boot)
    await placement.settle()


async def test_events_that_wait_for_a_late_snapshot_are_bounded_and_none_is_lost_in_the_end(
    late: LatePlacement, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    meeting = new_meeting_id()
    monkeypatch.setattr(follower, "MAX_WAITING", WAITING)
    ann = person("ann", role=Role.HOST)

    async def toggle(kind: MediaKind, enabled: bool) -> None:
        await late.toggle_media(meeting, ann.id, ann.session, kind, enabled)

    await late.assign(meeting, warmup_ms=0)
    joined = await late.join(meeting, ann, limit=10)
    listener = Listener()
    async with RoomRegistry(late, redis, grace_s=1) as registry:
        seat = await registry.enter(
            peer("ann", ann.session, listener),
            lambda room: Seat(room, ann, settled=True),
            meeting,
            joined.version,
        )
        late.arrive.clear()
        late.read.clear()
        registry._on_gap(meeting)
        await late.read.wait()
        heard = BUS_EVENTS._value.get() + 3 * WAITING + 1
        for number in range(3 * WAITING):
            await toggle("audio", number % 2 == 0)
        await toggle("video", True)
        async with asyncio.timeout(20):
            while BUS_EVENTS._value.get() < heard:
                await asyncio.sleep(0.01)
        before = len(listener.toggles)
        late.arrive.set()

        async with asyncio.timeout(20):
            while not seat.room.state.participants[ann.id].video_enabled:
                await asyncio.sleep(0.01)
        assert before == 0
        assert seat.room.state.version == (await late.snapshot(meeting)).version
        assert len(listener.toggles) == WAITING + 1, "what was kept, and the difference"
        assert listener.toggles[-1].kind == "video"
        await toggle("video", False)
        async with asyncio.timeout(20):
            while listener.toggles[-1].enabled:
                await asyncio.sleep(0.01)
