"""One room of this replica, whose state follows the meeting's bus, event by event.

Where events are missing the snapshot is read again, and the room is told what it missed.
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress

import structlog

from kcs_contracts.events import DomainEvent, ParticipantLeft, Published
from kcs_contracts.ids import MeetingId
from kcs_contracts.placement import Bus, Placement
from kcs_signaling.errors import Unavailable
from kcs_signaling.metrics import BUS_EVENTS
from kcs_signaling.rooms.peer import Room
from kcs_signaling.rooms.state import Applied, RoomState, closed_event, missed
from kcs_signaling.service.guard import redis_calls

_log = structlog.get_logger()
_RETRY_S = 0.5
_BUS_LATE_S = 0.2
_KEPT_NEWS = 200
"""As many as placement keeps."""
MAX_WAITING = 1000
"""Events of one meeting that wait for its snapshot while Redis is slow."""


class Follower:
    """A room on its way in, here, or on its way out."""

    def __init__(
        self,
        meeting_id: MeetingId,
        bus: Bus,
        placement: Placement,
        *,
        tell: Callable[[Room, DomainEvent], None],
        start: Callable[[Coroutine[None, None, None]], None],
        lost: Callable[[Room], None],
    ):
        """`tell` gets each event that is in the state, `start` what nobody waits for, and `lost`
        the room when Redis does not know peers that are here."""
        self._meeting_id, self._bus, self._placement = meeting_id, bus, placement
        self._tell, self._start, self._lost = tell, start, lost
        self.room: Room | None = None
        self.entering = 0
        """Those for whom it is kept, whoever is in it."""
        self.distrusted = False
        """Redis lost people of this room: nobody counts as gone for missing there."""
        self._lock = asyncio.Lock()
        self._heard = asyncio.Event()
        """Set with each event of the bus."""
        self._refreshing = False
        self._waiting: list[Published] = []
        self._dropped = False
        """More came than may wait: what `_waiting` holds is not all."""

    @property
    def in_use(self) -> bool:
        """Somebody is in the room, or its lobby, or about to be."""
        return self.entering > 0 or (self.room is not None and self.room.occupied)

    async def at(self, version: int) -> Room:
        """The room, whose state is at that version at least.

        Raises:
            Unavailable: the bus or the snapshot cannot be had now.
        """
        async with self._lock:
            if self.room is None:
                self.room = await self._open()
                self._catch_up(self.room)
            elif not await self._bus_brings(self.room, version):
                await self._refresh_or_mend(self.room)
            return self.room

    def hear(self, published: Published) -> None:
        """An event of the bus."""
        BUS_EVENTS.inc()
        self._heard.set()
        self._take(published)

    def gap(self) -> None:
        """Events may be missing: the snapshot is read again."""
        if self.room is not None and not self._refreshing:
            self._refreshing = True
            self._start(self._mend(self.room))

    async def _open(self) -> Room:
        self._refreshing = True
        async with redis_calls():
            await self._bus.subscribe(self._meeting_id, self.hear)
            snapshot = await self._placement.snapshot(self._meeting_id)
        return Room(self._meeting_id, RoomState(snapshot))

    async def _bus_brings(self, room: Room, version: int) -> bool:
        """Whether the state is at that version, now or in a moment: what was just done is mostly on
        its way here, and the snapshot costs the more the larger the room is."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_BUS_LATE_S):
                while room.state.version < version and not self._refreshing:
                    self._heard.clear()
                    await self._heard.wait()
        return room.state.version >= version

    def _take(self, published: Published) -> None:
        room = self.room
        if self._refreshing or room is None:
            self._keep(published)
            return
        event, state = published.event, room.state
        gone = (
            state.producers_of(event.participant_id) if isinstance(event, ParticipantLeft) else ()
        )
        applied = state.apply(published)
        if applied is Applied.NOW:
            for producer in gone:
                self._tell(room, closed_event(producer, left=True))
            self._tell(room, event)
        elif applied is Applied.GAP:
            self._keep(published)
            self.gap()

    def _keep(self, published: Published) -> None:
        """Lets an event wait for the snapshot."""
        if len(self._waiting) < MAX_WAITING:
            self._waiting.append(published)
        else:
            self._dropped = True

    def _catch_up(self, room: Room) -> None:
        """Takes in what came while the snapshot was read; again, if that was too much to keep."""
        self._refreshing = False
        waiting, self._waiting = self._waiting, []
        dropped, self._dropped = self._dropped, False
        for published in waiting:
            self._take(published)
        if dropped:
            self.gap()

    async def _mend(self, room: Room) -> None:
        """Refreshes until it works: a room that missed something must not stay so."""
        while self.in_use:
            async with self._lock:
                try:
                    await self._refresh(room)
                    return
                except Unavailable:
                    pass
                except Exception:
                    _log.exception("room_not_refreshed", meeting_id=room.id)
            await asyncio.sleep(_RETRY_S)

    async def _refresh_or_mend(self, room: Room) -> None:
        try:
            await self._refresh(room)
        except BaseException:
            self._refreshing = False
            self.gap()
            raise

    async def _refresh(self, room: Room) -> None:
        self._refreshing = True
        before, room.chat = room.state, "unknown"
        async with redis_calls():
            snapshot = await self._placement.snapshot(room.id)
            news = await self._placement.kept_news(room.id, before.version)
        state = RoomState(snapshot)
        here = {peer.participant_id for peer in room.peers.values()}
        if any(not state.live.was_removed(who) for who in here - state.participants.keys()):
            self._lost(room)
        if self.distrusted:
            state.keep(before)
        room.state = state
        for event in list(missed(before, state)):
            self._tell(room, event)
        for published in news:
            if published.version <= state.version:
                self._tell(room, published.event)
        if self.distrusted or state.version - before.version > _KEPT_NEWS:
            for peer in room.peers.values():
                peer.audience.resync(peer, room)
        self._catch_up(room)
