"""What it costs a replica to seat people in a room that it follows, on a real Redis."""

import pytest
from redis.asyncio import Redis
from tests.support.rooms import Deaf, peer, person

from kcs_contracts.ids import MeetingId, new_meeting_id
from kcs_contracts.placement import Joined, Placement, connect
from kcs_contracts.rooms import RoomSnapshot
from kcs_signaling.rooms.peer import Seat
from kcs_signaling.service import follower
from kcs_signaling.service.registry import RoomRegistry

PEOPLE = 50


class CountingPlacement(Placement):
    """Knows how often the whole of a meeting was read."""

    def __init__(self, redis: Redis) -> None:
        super().__init__(redis)
        self.snapshots = 0

    async def snapshot(self, meeting_id: MeetingId) -> RoomSnapshot:
        self.snapshots += 1
        return await super().snapshot(meeting_id)


async def test_a_join_waits_for_the_bus_and_does_not_read_the_whole_room(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follower, "_BUS_LATE_S", 30.0)
    redis: Redis = connect(redis_url)
    placement, meeting = CountingPlacement(redis), new_meeting_id()
    await placement.load()
    async with RoomRegistry(placement, redis, grace_s=1) as registry:
        for number in range(PEOPLE):
            name = f"p{number}"
            who = person(name, name)
            joined = await placement.join(meeting, who, limit=PEOPLE)
            assert isinstance(joined, Joined)
            seat = await registry.enter(
                peer(name, name, Deaf()),
                lambda room, who=who: Seat(room, who),
                meeting,
                joined.version,
            )
            assert len(seat.room.state.participants) == number + 1
        assert placement.snapshots == 1, "the first one's"
    await placement.settle()
    await redis.aclose()
