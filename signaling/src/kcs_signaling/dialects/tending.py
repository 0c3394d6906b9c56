"""What a replica does for the rooms that it has sockets in, as time goes by: breakout rooms that
close by themselves, statistics for those who ask, detailed logs, empty meetings that end.

Every replica does the same; whatever is done twice is done once in effect.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, cast

import structlog

from kcs_contracts.ids import Epoch, MeetingId
from kcs_contracts.node_api import SetDebug
from kcs_contracts.protocol.roles import Action, allows
from kcs_contracts.protocol.telemetry import StatsUpdate
from kcs_signaling.dialects.room_services import RoomServices
from kcs_signaling.dialects.table import Dialect, SocketPeer
from kcs_signaling.errors import MeetingEnded, NotFound, SignalingError
from kcs_signaling.pseudonyms import Pseudonyms
from kcs_signaling.rooms.peer import Peer, Room, Seat
from kcs_signaling.service.breakouts import WARN_S
from kcs_signaling.service.detail import is_detailed
from kcs_signaling.service.nodes import RoomNodes
from kcs_signaling.service.registry import RoomRegistry

_log = structlog.get_logger()
_CLOCK_S = 0.5
_STATS_S = 10.0
_IDLE_S = 15.0


class RoomTending:
    """The loops of one replica; `run` ends when it is cancelled."""

    def __init__(
        self,
        services: RoomServices,
        registry: RoomRegistry,
        nodes: RoomNodes,
        dialects: Sequence[Dialect[Any]],
        pseudonyms: Pseudonyms,
    ):
        self._services, self._registry, self._nodes = services, registry, nodes
        self._dialects = {each.name: each for each in dialects}
        self._warned: dict[MeetingId, int] = {}
        self._pseudonym_key = pseudonyms.key.hex()
        self._detailed: dict[MeetingId, tuple[Epoch, int]] = {}
        """Meetings whose node logs in detail: in which epoch, and until when (Unix ms)."""

    async def run(self) -> None:
        """Runs them."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._every(_CLOCK_S, self.close_breakouts))
            tasks.create_task(self._every(_CLOCK_S, self.follow_debug))
            tasks.create_task(self._every(_STATS_S, self.tell_stats))
            tasks.create_task(self._every(_IDLE_S, self._services.endings.end_idle))

    async def _every(self, seconds: float, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            await asyncio.sleep(seconds)
            try:
                await work()
            except SignalingError as error:
                _log.info("tending_put_off", work=work.__name__, error=error.code)
            except Exception:
                _log.exception("tending_failed", work=work.__name__)

    async def close_breakouts(self) -> None:
        """Closes those whose time is over, and warns before; from the main meeting's replica as
        from those of its rooms, as the one or the others may have nobody left."""
        now_ms = int(time.time() * 1000)
        rooms = self._registry.rooms
        self._warned = {r.id: self._warned[r.id] for r in rooms if r.id in self._warned}
        for room in rooms:
            live = room.state.live
            breakouts = live.breakouts or live.of_main
            closes_at_ms = breakouts.closes_at_ms if breakouts else None
            if closes_at_ms is None:
                continue
            main = live.parent or room.id
            if closes_at_ms <= now_ms:
                await self._close(main, closes_at_ms)
            elif live.parent is not None:
                self._warn(room, main, closes_at_ms, now_ms)

    async def _close(self, main: MeetingId, closes_at_ms: int) -> None:
        try:
            await self._services.breakouts.close_now(main, closes_at_ms)
        except (NotFound, MeetingEnded):
            return

    def _warn(self, room: Room, main: MeetingId, closes_at_ms: int, now_ms: int) -> None:
        left_s = round((closes_at_ms - now_ms) / 1000)
        if left_s > WARN_S or self._warned.get(room.id) == closes_at_ms:
            return
        self._warned[room.id] = closes_at_ms
        closing = {"meeting_id": main, "seconds": left_s}
        for peer in room.peers.values():
            self._tell(peer, "breakout:closing", closing)

    async def follow_debug(self) -> None:
        """Lets nodes log in detail what is to be, and no longer; whom that cannot be told now is
        told in the next round. When the time is over, nodes stop by themselves."""
        now_ms = time.time() * 1000
        self._detailed = {each: to for each, to in self._detailed.items() if to[1] > now_ms}
        for room in self._registry.rooms:
            epoch, live = room.state.epoch, room.state.live
            until_ms = live.debug_until_ms if is_detailed(live) else 0
            told = self._detailed.get(room.id)
            if told == (epoch, until_ms) or (told is None and not until_ms):
                continue
            op = SetDebug(until_ms=until_ms, pseudonym_key=self._pseudonym_key)
            if await self._nodes.tell(room.id, op):
                self._detailed[room.id] = epoch, until_ms

    async def tell_stats(self) -> None:
        """`stats:update` for whoever asked."""
        for room in self._registry.rooms:
            asked = [p for p in room.peers.values() if p.seat and _sees_stats(p.seat)]
            if asked:
                summed = await self._services.quality.summed_up(asked[0])
                update: StatsUpdate = {"meeting_id": room.id, "aggregated_stats": summed}
                for peer in asked:
                    self._tell(peer, "stats:update", cast("dict[str, Any]", update))

    def _tell(self, peer: Peer, name: str, payload: dict[str, Any]) -> None:
        dialect = self._dialects[cast(SocketPeer, peer).connection.namespace]
        dialect.send([peer], dialect.say(name, payload))


def _sees_stats(seat: Seat) -> bool:
    """It asked for statistics, and still may."""
    return seat.wants_stats and allows(seat.role, Action.SEE_STATS)
