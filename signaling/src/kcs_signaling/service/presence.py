"""What a replica does by itself: keeps its peers present, tidies up after those who vanished, and
moves meetings away from nodes that died. Each is a loop that outlives a Redis that is away.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

import structlog

from kcs_contracts.ids import UserId
from kcs_contracts.placement import Placement, Presence
from kcs_signaling.errors import (
    AccessDenied,
    MeetingEnded,
    MeetingLocked,
    NoCapacity,
    Unavailable,
)
from kcs_signaling.metrics import LEFT
from kcs_signaling.records.journal import Journal
from kcs_signaling.rooms.peer import Peer, Room
from kcs_signaling.service.guard import redis_calls
from kcs_signaling.service.registry import RoomRegistry
from kcs_signaling.settings import MeetingSettings

_log = structlog.get_logger()
_WATCH_S = 0.25
_SWEEP_S = 2.0
_MAX_TOUCH_S = 5.0
_TOUCHED_AT_ONCE = 500


def touch_interval_s(settings: MeetingSettings) -> float:
    """How often a replica says that its peers are present."""
    return min(_MAX_TOUCH_S, settings.presence_seconds / 4)


class RoomPresence:
    """The three loops; `run` ends when it is cancelled."""

    def __init__(
        self,
        settings: MeetingSettings,
        placement: Placement,
        registry: RoomRegistry,
        journal: Journal,
        now: Callable[[], float] = time.monotonic,
    ):
        self._settings, self._placement, self._journal = settings, placement, journal
        self._registry = registry
        self._now = now
        self._presence_ms = int(settings.presence_seconds * 1000)
        self._sweep_from = now() + settings.presence_seconds
        self._touch_now = asyncio.Event()

    async def run(self) -> None:
        """Runs the loops."""
        touch_s = touch_interval_s(self._settings)
        self._registry.on_loss = self._touch_now.set
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._every(_WATCH_S, self.watch))
            tasks.create_task(self._every(_SWEEP_S, self.sweep))
            tasks.create_task(self._every(touch_s, self.touch, self._touch_now))

    async def _every(
        self,
        seconds: float,
        work: Callable[[], Awaitable[None]],
        sooner: asyncio.Event | None = None,
    ) -> None:
        sooner = sooner or asyncio.Event()
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(sooner.wait(), seconds)
            sooner.clear()
            try:
                await work()
            except Unavailable:
                # Redis was away: everybody gets the time to come back before anybody is swept
                self._sweep_from = self._now() + self._settings.presence_seconds
            except Exception:
                _log.exception("presence_loop_failed", work=work.__name__)

    async def watch(self) -> None:
        """Moves this replica's meetings away from nodes whose lease is over."""
        meetings = [room.id for room in self._registry.rooms]
        if not meetings:
            return
        async with redis_calls():
            lost = await self._placement.lost_meetings(meetings)
        for meeting_id, node, epoch in lost:
            try:
                async with redis_calls():
                    home = await self._placement.evict(
                        meeting_id, node, epoch, "node_lost", region=self._settings.region
                    )
            except NoCapacity:
                continue  # the next round tries again; its people wait
            except MeetingEnded:
                continue
            if home is not None:
                _log.warning("meeting_moved", meeting_id=meeting_id, lost=node, node=home.node)

    async def sweep(self) -> None:
        """Takes out participants whose presence is over; their media follows (`departures`)."""
        if self._now() < self._sweep_from:
            return
        async with redis_calls():
            swept = await self._placement.sweep()
        for meeting_id, participant_id in swept:
            LEFT.labels("timeout").inc()
            self._journal.closed(meeting_id, UserId(participant_id), at=time.time())
            _log.info("participant_timed_out", meeting_id=meeting_id, user_id=participant_id)

    async def touch(self) -> None:
        """Says that this replica's peers are present, and puts back those that Redis lost."""
        peers = {
            Presence(room.id, peer.seat.participant_id, peer.session): peer
            for room in self._registry.rooms
            for peer in room.peers.values()
            if peer.seat is not None
        } | {
            Presence(room.id, peer.participant_id, peer.session): peer
            for room in self._registry.rooms
            for peer in room.lobby.values()
        }
        presences = list(peers)
        for start in range(0, len(presences), _TOUCHED_AT_ONCE):
            some = presences[start : start + _TOUCHED_AT_ONCE]
            async with redis_calls():
                missing = await self._placement.touch(some, self._presence_ms)
            await self._restore([peers[each] for each in missing])

    async def _restore(self, peers: list[Peer]) -> None:
        for peer in peers:
            if peer.seat is not None:
                self._registry.distrust(peer.seat.room)
        for peer in peers:
            if peer.seat is None:
                await self._queue_again(peer)
                continue
            room = peer.seat.room
            try:
                restored = await self._put_back(peer, room)
            except MeetingEnded:
                self._registry.ended(room)
                continue
            except MeetingLocked:
                self._registry.closed(room)
                continue
            except AccessDenied:
                self._registry.removed(peer, room)
                continue
            if not restored:
                self._registry.leave(peer)
                peer.audience.part(peer, room.id)

    async def _queue_again(self, peer: Peer) -> None:
        """Whoever waits and is not known to Redis any more: told as if they had been let in, they
        ask again by themselves, and wait again where that is still so."""
        room = self._registry.stop_waiting(peer)
        if room is not None:
            peer.audience.decided(peer, room.id, True, "")

    async def _put_back(self, peer: Peer, room: Room) -> bool:
        assert peer.seat is not None
        who = peer.seat.participant_id
        known = room.state.participants.get(who, peer.seat.participant)
        async with redis_calls():
            return await self._placement.restore(
                room.id,
                known.model_copy(update={"session": peer.session}),
                room.state.producers_of(who),
                epoch=room.state.epoch,
                generation=room.state.generation,
                live=room.state.live.fields,
                presence_ms=self._presence_ms,
            )
