"""Many first joins at once, over two replicas."""

import asyncio
from collections.abc import Callable

from redis.asyncio import Redis

from kcs_contracts.ids import MeetingId
from kcs_contracts.placement import NodeLease, Placement, connect
from kcs_contracts.rooms import Participant

ROUNDS = 20
JOINS = 200
MEETINGS = 10


async def test_200_first_joins_over_two_replicas_give_each_meeting_one_node_and_epoch(
    redis: Redis,
    redis_url: str,
    lease: Callable[..., NodeLease],
    person: Callable[..., Participant],
) -> None:
    clients = [connect(redis_url), connect(redis_url)]
    replicas = [Placement(client) for client in clients]
    for node in ("a", "b", "c"):
        await replicas[0].renew(lease(node, consumer_capacity=100_000), [])
    for round_ in range(ROUNDS):
        barrier = asyncio.Event()

        async def first_join(number: int) -> tuple[str, str, int]:
            meeting = MeetingId(f"r{round_}-m{number % MEETINGS}")  # noqa: B023 - awaited here
            await barrier.wait()  # noqa: B023 - awaited here
            # neighbours of one meeting differ in the replica
            replica = replicas[number // MEETINGS % 2]
            home = await replica.assign(meeting, strategy="spread", warmup_ms=0)
            await replica.join(meeting, person(f"p{number}"), limit=JOINS // MEETINGS)
            return meeting, home.node, home.epoch

        joins = [asyncio.create_task(first_join(number)) for number in range(JOINS)]
        await asyncio.sleep(0)
        barrier.set()
        homes = set(await asyncio.gather(*joins))
        assert len(homes) == MEETINGS
        assert len({meeting for meeting, _, _ in homes}) == MEETINGS
        assert len({node for _, node, _ in homes}) == 3
    for client in clients:
        await client.aclose()
