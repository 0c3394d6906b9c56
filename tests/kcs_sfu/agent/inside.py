"""A node inside the test's process, whose rooms can be looked into."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from kcs_contracts import node_api as api
from kcs_contracts.ids import BootId, Epoch, MeetingId, ParticipantId
from kcs_contracts.placement import Placement
from kcs_sfu.agent import operations
from kcs_sfu.agent.metrics import Metrics
from kcs_sfu.agent.node import Node
from kcs_sfu.agent.room import Room
from kcs_sfu.agent.settings import Settings
from kcs_sfu.mediasoup.producer import Producer

MEETING, EPOCH = MeetingId("abc-defg-hij"), Epoch(1000)


class Inside:
    """A node in this process."""

    def __init__(self, node: Node):
        self.node, self.metrics = node, Metrics(node)

    async def results(self, *ops: api.Operation) -> list[api.Result]:
        """Runs a batch."""
        return list((await operations.run(self.node, self.metrics, MEETING, EPOCH, ops)).results)

    async def answers(self, *ops: api.Operation) -> list[Any]:
        """Runs a batch that must succeed."""
        results = await self.results(*ops)
        assert [r.error for r in results if r.error] == []
        return [r.answer for r in results]

    @property
    def room(self) -> Room:
        """The room."""
        return self.node.rooms[MEETING]

    @property
    def consumers(self) -> list[int]:
        """Consumers by worker."""
        return sorted(slot.consumers for slot in self.node.pool.slots)


@asynccontextmanager
async def running(settings: Settings, placement: Placement) -> AsyncIterator[Inside]:
    """The node with its lease, until the end."""
    node = Node(settings, placement, BootId("life"))
    node.control_url = "http://127.0.0.1:1"
    await node.pool.start()
    tasks = [asyncio.create_task(work) for work in (node.lease.run(), node.reporter.run())]
    await asyncio.wait_for(node.lease.acquired.wait(), 5)
    try:
        yield Inside(node)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await node.close()


def consume(who: ParticipantId, producer: Producer, opened: api.RoomOpened) -> api.Consume:
    """The operation, with the router's own capabilities."""
    return api.Consume(
        participant_id=who, producer_id=producer.id, rtp_capabilities=opened.rtp_capabilities
    )


async def until(holds: Callable[[], Any], within_s: float) -> None:
    """Waits until it holds."""
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline, f"did not come true within {within_s} s"
        await asyncio.sleep(0.02)
