"""The meetings that have peers on this replica: each one's state, kept true by the bus.

The state follows the bus event by event, and each event is told to the room's peers. Where
events are missing the snapshot is read again, and the peers are told what they missed. A room is
opened by its first peer and let go by its last; those in its lobby, who wait to be let in, count.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Literal

import structlog
from redis.asyncio import Redis

from kcs_contracts.events import (
    KEPT,
    AtNext,
    ChatPosted,
    DomainEvent,
    MediaMoved,
    MediaReset,
    MeetingEnded,
    MoveAbandoned,
    ParticipantChanged,
    ParticipantJoined,
    ParticipantLeft,
    ProducerClosed,
    Published,
    SessionReplaced,
    WaitingJoined,
    WaitingLeft,
)
from kcs_contracts.ids import MeetingId, SessionId
from kcs_contracts.placement import Bus, Placement
from kcs_signaling.errors import Unavailable
from kcs_signaling.metrics import BUS_EVENTS, LEFT, PARTICIPANTS, ROOMS, WAITING
from kcs_signaling.rooms.peer import Audience, Peer, Room, Seat
from kcs_signaling.rooms.state import Applied, RoomState, closed_event, missed
from kcs_signaling.service.guard import redis_calls

_log = structlog.get_logger()
_NEWS = (*KEPT, MediaReset, MediaMoved)
"""What the answer to a join does not hold, if it happens while that is made."""
_RETRY_S = 0.5
_BUS_LATE_S = 0.2
_KEPT_NEWS = 200
"""As many as placement keeps."""
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
        """The rooms with a peer in them, or in their lobby."""
        return [
            entry.room
            for entry in self._entries.values()
            if entry.room and (entry.room.peers or entry.room.lobby)
        ]

    def room(self, meeting_id: MeetingId) -> Room | None:
        """The meeting's room, if it has peers here."""
        entry = self._entries.get(meeting_id)
        return entry.room if entry is not None else None

    async def enter(
        self, peer: Peer, seat_of: Callable[[Room], Seat], meeting_id: MeetingId, version: int
    ) -> Seat:
        """Seats a peer in a room whose state is at `version` at least.

        From its return on the peer is told of whatever is not in the state yet.

        Raises:
            Unavailable: the bus or the snapshot cannot be had now.
        """
        async with self._entering(meeting_id, version) as room:
            seat = seat_of(room)
            if room.peers.get(peer.session) is not peer:
                PARTICIPANTS.inc()
            room.peers[peer.session] = peer
            peer.seat = seat
            seat.entered = room.state.version
            return seat

    async def wait(self, peer: Peer, meeting_id: MeetingId, version: int) -> None:
        """Lets a peer wait in the room's lobby; what was decided by then it is told at once.

        Raises:
            Unavailable: as `enter`.
        """
        async with self._entering(meeting_id, version) as room:
            if room.lobby.get(peer.session) is not peer:
                WAITING.inc()
            room.lobby[peer.session] = peer
            peer.waits_for = room
            who = peer.participant_id
            if who not in room.state.waiting:
                admitted = f"admitted:{who}" in room.state.live.fields
                outcome: Literal["admitted", "denied"] = "admitted" if admitted else "denied"
                self._decide(room, WaitingLeft(participant_id=who, outcome=outcome))

    async def stop_waiting(self, peer: Peer) -> Room | None:
        """Takes the peer out of the lobby that it is in; answers whose that was."""
        room, peer.waits_for = peer.waits_for, None
        if room is None:
            return None
        if room.lobby.get(peer.session) is peer:
            del room.lobby[peer.session]
            WAITING.dec()
        await self._let_go_room(room)
        return room

    @asynccontextmanager
    async def _entering(self, meeting_id: MeetingId, version: int) -> AsyncIterator[Room]:
        """The room at that version at least; it is kept while the block runs."""
        entry = self._entries.setdefault(meeting_id, _Entry())
        entry.entering += 1
        try:
            async with entry.lock:
                if entry.room is None:
                    await self._open(entry, meeting_id)
                elif not await self._bus_brings(entry, entry.room, version):
                    await self._refresh_or_mend(entry, entry.room)
                assert entry.room is not None
                yield entry.room
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
            PARTICIPANTS.dec()
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

    def closed(self, room: Room) -> None:
        """The breakout room was closed, though the bus did not say so in time."""
        self._tell(room, MeetingEnded(reason="breakout_closed", return_to=room.state.live.parent))

    def removed(self, peer: Peer, room: Room) -> None:
        """A host removed the peer, though the bus did not say so in time."""
        if room.peers.get(peer.session) is peer:
            self._unseat(room, room.peers, peer)
            peer.audience.removed(peer, room.id, "")

    # --- opening and letting go ---------------------------------------------------------------

    async def _open(self, entry: "_Entry", meeting_id: MeetingId) -> None:
        entry.refreshing = True
        async with redis_calls():
            await self._bus.subscribe(meeting_id, self._hear)
            snapshot = await self._placement.snapshot(meeting_id)
        entry.room = Room(meeting_id, RoomState(snapshot))
        ROOMS.set(len(self._entries))
        self._catch_up(entry, entry.room)

    @staticmethod
    async def _bus_brings(entry: "_Entry", room: Room, version: int) -> bool:
        """Whether the state is at that version, now or in a moment: what was just done is mostly on
        its way here, and the snapshot costs the more the larger the room is."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_BUS_LATE_S):
                while room.state.version < version and not entry.refreshing:
                    entry.heard.clear()
                    await entry.heard.wait()
        return room.state.version >= version

    async def _let_go(self, meeting_id: MeetingId, entry: "_Entry") -> None:
        if entry.entering or (entry.room and (entry.room.peers or entry.room.lobby)):
            return
        if self._entries.get(meeting_id) is entry:
            del self._entries[meeting_id]
            ROOMS.set(len(self._entries))
            await self._bus.unsubscribe(meeting_id)

    # --- following the bus --------------------------------------------------------------------

    def _hear(self, published: Published) -> None:
        BUS_EVENTS.inc()
        self._on_published(published)

    def _on_published(self, published: Published) -> None:
        entry = self._entries.get(published.meeting_id)
        if entry is None:
            return
        entry.heard.set()
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
                try:
                    await self._refresh(entry, room)
                    return
                except Unavailable:
                    pass
                except Exception:
                    _log.exception("room_not_refreshed", meeting_id=room.id)
            await asyncio.sleep(_RETRY_S)

    async def _refresh_or_mend(self, entry: "_Entry", room: Room) -> None:
        try:
            await self._refresh(entry, room)
        except BaseException:
            entry.refreshing = False
            self._on_gap(room.id)
            raise

    async def _refresh(self, entry: "_Entry", room: Room) -> None:
        entry.refreshing = True
        before, room.chat = room.state, "unknown"
        async with redis_calls():
            snapshot = await self._placement.snapshot(room.id)
            news = await self._placement.kept_news(room.id, before.version)
        state = RoomState(snapshot)
        here = {peer.participant_id for peer in room.peers.values()}
        if any(not state.live.was_removed(who) for who in here - state.participants.keys()):
            self.distrust(room)
            self.on_loss()
        if entry.distrusted:
            state.keep(before)
        room.state = state
        for event in list(missed(before, room.state)):
            self._tell(room, event)
        for published in news:
            if published.version <= room.state.version:
                self._tell(room, published.event)
        if entry.distrusted or state.version - before.version > _KEPT_NEWS:
            self._resync(room)
        self._catch_up(entry, room)

    def _resync(self, room: Room) -> None:
        for peer in room.peers.values():
            peer.audience.resync(peer, room)

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

    def settle(self, peer: Peer, seat: Seat, missed_news: Sequence[Published] = ()) -> None:
        """The peer has its answer: it is told what it missed while it was away, and the news of
        the time in which the answer was made."""
        seat.settled = True
        held, seat.held = seat.held, []
        for event in (*(each.event for each in missed_news), *held):
            peer.audience.tell(seat.room, event, [peer])

    def _tell(self, room: Room, event: DomainEvent) -> None:
        if isinstance(event, MediaReset):
            for seat in _seats(room):
                seat.consumers.clear()
                seat.crossing = None
        audiences: dict[Audience, list[Peer]] = {}
        for peer in _listeners(room, event):
            audiences.setdefault(peer.audience, []).append(peer)
        for audience, peers in audiences.items():
            try:
                audience.tell(room, event, peers)
            except Exception:
                _log.exception("event_not_told", meeting_id=room.id, event_type=event.type)
        self._follow(room, event)

    def _follow(self, room: Room, event: DomainEvent) -> None:
        """What an event means for the peers here."""
        match event:
            case ChatPosted():
                room.chat = "spoken"
            case MediaMoved(epoch=epoch):
                for seat in _seats(room):
                    seat.keep_consumers(room.state.producers if seat.crossed == epoch else ())
                    seat.crossing = None
            case MoveAbandoned():
                for seat in _seats(room):
                    seat.keep_consumers(room.state.producers)
                    seat.crossing = seat.crossed = None
            case (
                ProducerClosed(producer_id=which) | AtNext(event=ProducerClosed(producer_id=which))
            ):
                for peer in room.peers.values():
                    if peer.seat is not None:
                        peer.seat.consumers.pop(which, None)
            case ParticipantChanged(what="screen_sharing", participant=who):
                for peer in room.peers.values():
                    if peer.seat is not None and peer.seat.participant_id == who.id:
                        peer.seat.starts_screen &= who.screen_sharing
            case SessionReplaced(old_session=session):
                self._part(room, room.peers, room.peers.get(session))
            case ParticipantLeft(reason="removed"):
                self._put_out(room, event)
            case WaitingJoined(person=person) | ParticipantJoined(participant=person):
                for peer in list(room.lobby.values()):
                    mine = peer.participant_id == person.id
                    if mine and peer.session != person.session:
                        self._part(room, room.lobby, peer)
            case WaitingLeft(outcome="left"):
                pass  # whoever is in the lobby all the same asks again, see RoomPresence
            case WaitingLeft():
                self._decide(room, event)
            case MeetingEnded():
                self._dismiss(room)

    def _part(self, room: Room, among: dict[SessionId, Peer], peer: Peer | None) -> None:
        """Another session speaks for the peer's person."""
        if peer is None:
            return
        self._unseat(room, among, peer)
        peer.audience.part(peer, room.id)

    def _put_out(self, room: Room, event: ParticipantLeft) -> None:
        for peer in list(room.peers.values()):
            if peer.seat is not None and peer.seat.participant_id == event.participant_id:
                self._unseat(room, room.peers, peer)
                peer.audience.removed(peer, room.id, event.note)

    def _decide(self, room: Room, event: WaitingLeft) -> None:
        for peer in list(room.lobby.values()):
            if peer.participant_id == event.participant_id:
                self._unseat(room, room.lobby, peer)
                admitted = event.outcome == "admitted"
                peer.audience.decided(peer, room.id, admitted, event.note)

    def _dismiss(self, room: Room) -> None:
        LEFT.labels("ended").inc(len(room.peers))
        for among in (room.peers, room.lobby):
            for peer in list(among.values()):
                self._unseat(room, among, peer)

    def _unseat(self, room: Room, among: dict[SessionId, Peer], peer: Peer) -> None:
        del among[peer.session]
        if among is room.peers:
            PARTICIPANTS.dec()
            peer.seat = None
        else:
            WAITING.dec()
            peer.waits_for = None
        self._start(self._let_go_room(room))

    async def _let_go_room(self, room: Room) -> None:
        if entry := self._entries.get(room.id):
            await self._let_go(room.id, entry)

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _seats(room: Room) -> Iterator[Seat]:
    for peer in room.peers.values():
        if peer.seat is not None:
            yield peer.seat


def _listeners(room: Room, event: DomainEvent) -> Iterator[Peer]:
    """Who is told now; for those who have no answer to their join yet, news is held back."""
    is_end = isinstance(event, MeetingEnded)
    for peer in room.peers.values():
        if is_end or peer.seat is None or peer.seat.settled:
            yield peer
        elif isinstance(event, _NEWS):
            peer.seat.held.append(event)
    if is_end:
        yield from room.lobby.values()


class _Entry:
    """A room on its way in, here, or on its way out."""

    def __init__(self) -> None:
        self.room: Room | None = None
        self.lock = asyncio.Lock()
        self.entering = 0
        self.heard = asyncio.Event()
        """Set with each event of the bus."""
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
