"""Media of people who are out of their meetings, closed however often its node has to be asked.

Whoever takes somebody out asks the node at once (`RoomNodes.dismiss`). Placement keeps in mind who
is gone until that has worked; each replica asks it a few times a second for those whose nodes are
to be asked again. So a node that was busy, or a replica that died, leaves nobody listening.
"""

import asyncio

import structlog

from kcs_contracts.ids import MeetingId
from kcs_contracts.placement import Placement
from kcs_contracts.placement.gone import GoneFrom
from kcs_signaling.errors import SignalingError
from kcs_signaling.service.guard import redis_calls
from kcs_signaling.service.nodes import RoomNodes

_log = structlog.get_logger()
_EACH_S = 0.2
_AT_ONCE = 32
"""Meetings whose nodes are asked at a time: one that hangs must not hold the others up."""


class Departures:
    """The loop of one replica; `run` ends when it is cancelled, and all that it began with it."""

    def __init__(self, placement: Placement, nodes: RoomNodes):
        self._placement, self._nodes = placement, nodes
        self._asked: set[MeetingId] = set()

    async def run(self) -> None:
        """Runs it."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                await asyncio.sleep(_EACH_S)
                for gone in await self._due():
                    if gone.meeting_id not in self._asked:
                        self._asked.add(gone.meeting_id)
                        tasks.create_task(self._dismiss(gone))

    async def _due(self) -> list[GoneFrom]:
        free = _AT_ONCE - len(self._asked)
        if free <= 0:
            return []
        try:
            async with redis_calls():
                return await self._placement.take_gone(free)
        except SignalingError:
            return []  # Redis is away: the next round asks again
        except Exception:
            _log.exception("departures_not_read")
            return []

    async def _dismiss(self, gone: GoneFrom) -> None:
        try:
            await self._nodes.dismiss(gone.meeting_id, *gone.who)
        except Exception:
            _log.exception("media_not_closed", meeting_id=gone.meeting_id)
        finally:
            self._asked.discard(gone.meeting_id)
