"""The simulation's placement chooses what the Redis library chooses."""

from random import Random

import pytest
from bench.simulate.placing import Node, Placing, Room, Strategy
from redis.asyncio import Redis

from kcs_contracts.ids import BootId, MeetingId, NodeName, ParticipantId, SessionId
from kcs_contracts.placement import NoCapacity, NodeLease, Placement
from kcs_contracts.rooms import Participant, Role

_LONG_MS = 3_600_000
_CAPACITY = 600  # 60 people


class Both:
    """The same nodes and meetings in Redis and in the simulation."""

    def __init__(self, placement: Placement, strategy: Strategy):
        self.placement, self.strategy = placement, strategy
        self.placing = Placing(strategy)
        self.rooms: dict[str, Room] = {}
        self.refused = self.chosen = 0

    async def add_node(self, name: str) -> None:
        self.placing.nodes[name] = Node(name, _CAPACITY)
        await self.tell(name)

    async def tell(self, name: str) -> None:
        """A node tells how loaded it is."""
        lease = NodeLease(
            node=NodeName(name),
            boot=BootId(f"b-{name}"),
            control_url="http://127.0.0.1:1",
            consumer_capacity=_CAPACITY,
            consumers=self.placing.nodes[name].people * 10,
            lease_ms=_LONG_MS,
        )
        await self.placement.renew(lease, [])

    async def drain(self, name: str, on: bool) -> None:
        self.placing.nodes[name].draining = on
        await (self.placement.drain if on else self.placement.undrain)(NodeName(name))

    async def assign(self, name: str, expected: int) -> None:
        """Both choose, and choose alike."""
        room = self.rooms.setdefault(name, Room(name, expected))
        try:
            home = await self.placement.assign(
                MeetingId(name), expected=room.expected, strategy=self.strategy, warmup_ms=0
            )
        except NoCapacity:
            assert not self.placing.assign(room, 0.0)
            self.refused += 1
            return
        assert self.placing.assign(room, 0.0)
        assert room.home is not None
        assert room.home.name == home.node, f"{name} of {len(self.rooms)}"
        self.chosen += 1

    async def join(self, name: str, number: int) -> None:
        room = self.rooms[name]
        if room.home is None:
            return
        who = Participant(
            id=ParticipantId(f"p{number}"),
            display_name="Somebody",
            role=Role.ATTENDEE,
            session=SessionId(f"s{number}"),
            joined_at_ms=1,
        )
        await self.placement.join(MeetingId(name), who, limit=1000, presence_ms=_LONG_MS)
        room.people += 1
        await self.tell(room.home.name)


@pytest.mark.parametrize("strategy", ["packed", "spread"])
async def test_it_chooses_as_redis_does(redis: Redis, strategy: Strategy) -> None:
    placement = Placement(redis)
    await placement.load()
    both, random = Both(placement, strategy), Random(7)
    for number in range(6):
        await both.add_node(f"n{number}")
    draining = "n0"
    for step in range(150):
        name = f"m{random.randrange(60)}"
        what = random.random()
        if what < 0.45 or name not in both.rooms:
            await both.assign(name, random.choice((0, 0, 5, 20, 31)))
        elif what < 0.9:
            await both.join(name, step)
        else:
            await both.drain(draining, False)
            draining = f"n{random.randrange(6)}"
            await both.drain(draining, True)
    assert both.chosen > 20
    assert both.refused > 0
