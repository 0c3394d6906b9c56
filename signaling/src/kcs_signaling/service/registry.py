"""The meetings that have peers on this replica: each one's state, kept true by the bus.

The state follows the bus event by event, and each event is told to the room's peers. Where
events are missing the snapshot is read again, and the peers are told what they missed. A room is
opened by its first peer and let go by its last.
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress

import structlog
from redis.asyncio import Redis

from kcs_contracts.events import (
    DomainEvent,
    MediaReset,
    MeetingEnded,
    ParticipantLeft,
    ProducerClosed,
    Published,
    SessionReplaced,
)
from kcs_contracts.ids import MeetingId
from kcs_contracts.placement import Bus, Placement
from kcs_signaling.errors import Unavailable
from kcs_signaling.metrics import ROOMS
from kcs_signaling.rooms.peer import Audience, Peer, Room, Seat
from kcs_signaling.rooms.state import Applied, RoomState, closed_event, missed
from kcs_signaling.service.guard import redis_calls

_log = structlog.get_logger()
_RETRY_S = 0.5
MAX_WAITING = 1000
"""Events of one meeting that wait for its snapshot while Redis is slow."""


class RoomRegistry:
    """Rooms by meeting. `async with` it: it listens to the bus until the end."""

    def __init__(self, placement: Placement, redis: Redis, grace_s: float):
        """`grace_s`: how long other replicas may need to put back what Redis lost."""
        self._placement, self._grace_s = placement, grace_s
        self.on_loss: Callable[[], None] = lambda: None
        """Told when Redis does not know peers that are here."""
        self._bus = Bus(redis, self._on_gap)
        self._entries: dict[MeetingId, _Entry] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> "RoomRegistry":
        await self._bus.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._bus.close()

    @property
    def rooms(self) -> list[Room]:
        """The rooms with a peer in them."""
        return [entry.room for entry in self._entries.values() if entry.room and entry.room.peers]

    async def enter(
        self, peer: Peer, seat_of: Callable[[Room], Seat], meeting_id: MeetingId, version: int
    ) -> Seat:
        """Seats a peer in a room whose state is at `version` at least.

        From its return on the peer is told of whatever is not in the state yet.

        Raises:
            Unavailable: the bus or the snapshot cannot be had now.
        """
        entry = self._entries.setdefault(meeting_id, _Entry())
        entry.entering += 1
        try:
            async with entry.lock:
                if entry.room is None:
                    await self._open(entry, meeting_id)
                elif entry.room.state.version < version:
                    await self._refresh_or_mend(entry, entry.room)
                assert entry.room is not None
                seat = seat_of(entry.room)
                entry.room.peers[peer.session] = peer
                peer.seat = seat
                return seat
        finally:
            entry.entering -= 1
            await self._let_go(meeting_id, entry)

    async def leave(self, peer: Peer) -> Seat | None:
        """Takes the peer out of its room; answers the seat that it had."""
        seat, peer.seat = peer.seat, None
        if seat is None:
            return None
        room = seat.room
        if room.peers.get(peer.session) is peer:
            del room.peers[peer.session]
        if entry := self._entries.get(room.id):
            await self._let_go(room.id, entry)
        return seat

    def distrust(self, room: Room) -> None:
        """Redis lost people of this room: for a while nobody counts as gone for missing there."""
        entry = self._entries.get(room.id)
        if entry is None or entry.distrusted:
            return
        _log.warning("redis_lost_data", meeting_id=room.id)
        entry.distrusted = True
        self._start(self._trust_again(entry, room.id))

    def ended(self, room: Room) -> None:
        """The meeting is over, though the bus did not say so in time."""
        self._tell(room, MeetingEnded(reason="ended_by_host"))

    # --- opening and letting go ---------------------------------------------------------------

    async def _open(self, entry: "_Entry", meeting_id: MeetingId) -> None:
        entry.refreshing = True
        async with redis_calls():
            await self._bus.subscribe(meeting_id, self._on_published)
            snapshot = await self._placement.snapshot(meeting_id)
        entry.room = Room(meeting_id, RoomState(snapshot))
        ROOMS.set(len(self._entries))
        self._catch_up(entry, entry.room)

    async def _let_go(self, meeting_id: MeetingId, entry: "_Entry") -> None:
        if entry.entering or (entry.room and entry.room.peers):
            return
        if self._entries.get(meeting_id) is entry:
            del self._entries[meeting_id]
            ROOMS.set(len(self._entries))
            await self._bus.unsubscribe(meeting_id)

    # --- following the bus --------------------------------------------------------------------

    def _on_published(self, published: Published) -> None:
        entry = self._entries.get(published.meeting_id)
        if entry is None:
            return
        if entry.refreshing or entry.room is None:
            entry.keep(published)
            return
        event, state = published.event, entry.room.state
        gone = (
            state.producers_of(event.participant_id) if isinstance(event, ParticipantLeft) else ()
        )
        applied = state.apply(published)
        if applied is Applied.NOW:
            for producer in gone:
                self._tell(entry.room, closed_event(producer, left=True))
            self._tell(entry.room, event)
        elif applied is Applied.GAP:
            entry.keep(published)
            self._on_gap(published.meeting_id)

    def _on_gap(self, meeting_id: MeetingId) -> None:
        entry = self._entries.get(meeting_id)
        if entry is None or entry.room is None or entry.refreshing:
            return
        entry.refreshing = True
        self._start(self._mend(entry, entry.room))

    async def _mend(self, entry: "_Entry", room: Room) -> None:
        """Refreshes until it works: a room that missed something must not stay so."""
        while self._entries.get(room.id) is entry:
            async with entry.lock:
                with suppress(Unavailable):
                    await self._refresh(entry, room)
                    return
            await asyncio.sleep(_RETRY_S)

    async def _refresh_or_mend(self, entry: "_Entry", room: Room) -> None:
        try:
            await self._refresh(entry, room)
        except Unavailable:
            entry.refreshing = False
            self._on_gap(room.id)
            raise

    async def _refresh(self, entry: "_Entry", room: Room) -> None:
        entry.refreshing = True
        async with redis_calls():
            snapshot = await self._placement.snapshot(room.id)
        before, state = room.state, RoomState(snapshot)
        if any(
            peer.seat and peer.seat.participant_id not in state.participants
            for peer in room.peers.values()
        ):
            self.distrust(room)
            self.on_loss()
        if entry.distrusted:
            state.keep(before)
        room.state = state
        for event in list(missed(before, room.state)):
            self._tell(room, event)
        self._catch_up(entry, room)

    async def _trust_again(self, entry: "_Entry", meeting_id: MeetingId) -> None:
        await asyncio.sleep(self._grace_s)
        entry.distrusted = False
        self._on_gap(meeting_id)

    def _catch_up(self, entry: "_Entry", room: Room) -> None:
        """Takes in what came while the snapshot was read; again, if that was too much to keep."""
        entry.refreshing = False
        waiting, entry.waiting = entry.waiting, []
        dropped, entry.dropped = entry.dropped, False
        for published in waiting:
            self._on_published(published)
        if dropped:
            self._on_gap(room.id)

    # --- telling ------------------------------------------------------------------------------

    def _tell(self, room: Room, event: DomainEvent) -> None:
        if isinstance(event, MediaReset):
            for peer in room.peers.values():
                if peer.seat is not None:
                    peer.seat.consumers.clear()
        audiences: dict[Audience, list[Peer]] = {}
        for peer in room.peers.values():
            audiences.setdefault(peer.audience, []).append(peer)
        for audience, peers in audiences.items():
            try:
                audience.tell(room, event, peers)
            except Exception:
                _log.exception("event_not_told", meeting_id=room.id, event_type=event.type)
        if isinstance(event, ProducerClosed):
            for peer in room.peers.values():
                if peer.seat is not None:
                    peer.seat.consumers.pop(event.producer_id, None)
        elif isinstance(event, SessionReplaced):
            self._part(room, event)
        elif isinstance(event, MeetingEnded):
            self._dismiss(room)

    def _part(self, room: Room, event: SessionReplaced) -> None:
        peer = room.peers.pop(event.old_session, None)
        if peer is not None:
            peer.seat = None
            peer.audience.part(peer, room.id)
            self._start(self._let_go_room(room))

    def _dismiss(self, room: Room) -> None:
        peers, room.peers = list(room.peers.values()), {}
        for peer in peers:
            peer.seat = None
        self._start(self._let_go_room(room))

    async def _let_go_room(self, room: Room) -> None:
        if entry := self._entries.get(room.id):
            await self._let_go(room.id, entry)

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class _Entry:
    """A room on its way in, here, or on its way out."""

    def __init__(self) -> None:
        self.room: Room | None = None
        self.lock = asyncio.Lock()
        self.entering = 0
        self.refreshing = False
        self.distrusted = False
        self.waiting: list[Published] = []
        self.dropped = False
        """More came than may wait: what `waiting` holds is not all."""

    def keep(self, published: Published) -> None:
        """Lets an event wait for the snapshot."""
        if len(self.waiting) < MAX_WAITING:
            self.waiting.append(published)
        else:
            self.dropped = True
