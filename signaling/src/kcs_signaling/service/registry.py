"""The meetings that have peers on this replica.

A room is opened by its first peer and let go by its last; those in its lobby, who wait to be let
in, count. While it is here it follows the bus (`follower`), and its peers are told (`telling`).
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Literal

import structlog
from redis.asyncio import Redis

from kcs_contracts.events import DomainEvent, MeetingEnded, WaitingLeft
from kcs_contracts.ids import MeetingId
from kcs_contracts.placement import Bus, Placement
from kcs_signaling.metrics import PARTICIPANTS, ROOMS, WAITING
from kcs_signaling.rooms.peer import Peer, Room, Seat
from kcs_signaling.service.follower import Follower
from kcs_signaling.service.telling import decide, put_out, tell, unseat

_log = structlog.get_logger()


class RoomRegistry:
    """Rooms by meeting. `async with` it: it listens to the bus until the end."""

    def __init__(self, placement: Placement, redis: Redis, grace_s: float):
        """`grace_s`: how long other replicas may need to put back what Redis lost."""
        self._placement, self._grace_s = placement, grace_s
        self.on_loss: Callable[[], None] = lambda: None
        """Told when Redis does not know peers that are here."""
        self._bus = Bus(redis, self._on_gap)
        self._followers: dict[MeetingId, Follower] = {}
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
        rooms = (each.room for each in self._followers.values())
        return [room for room in rooms if room is not None and room.occupied]

    def room(self, meeting_id: MeetingId) -> Room | None:
        """The meeting's room, if it has peers here."""
        follower = self._followers.get(meeting_id)
        return follower.room if follower is not None else None

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
                decide(room, WaitingLeft(participant_id=who, outcome=outcome))

    def stop_waiting(self, peer: Peer) -> Room | None:
        """Takes the peer out of the lobby that it is in; answers whose that was."""
        room = peer.waits_for
        if room is not None:
            unseat(room, room.lobby, peer)
            self._let_go(room.id)
        return room

    def leave(self, peer: Peer) -> Seat | None:
        """Takes the peer out of its room; answers the seat that it had."""
        seat = peer.seat
        if seat is not None:
            unseat(seat.room, seat.room.peers, peer)
            self._let_go(seat.room.id)
        return seat

    def distrust(self, room: Room) -> None:
        """Redis lost people of this room: for a while nobody counts as gone for missing there."""
        follower = self._followers.get(room.id)
        if follower is None or follower.distrusted:
            return
        _log.warning("redis_lost_data", meeting_id=room.id)
        follower.distrusted = True
        self._start(self._trust_again(follower))

    def ended(self, room: Room) -> None:
        """The meeting is over, though the bus did not say so in time."""
        self._tell(room, MeetingEnded(reason="ended_by_host"))

    def closed(self, room: Room) -> None:
        """The breakout room was closed, though the bus did not say so in time."""
        self._tell(room, MeetingEnded(reason="breakout_closed", return_to=room.state.live.parent))

    def removed(self, peer: Peer, room: Room) -> None:
        """A host removed the peer, though the bus did not say so in time."""
        if room.peers.get(peer.session) is peer:
            put_out(room, peer, "")
            self._let_go(room.id)

    @asynccontextmanager
    async def _entering(self, meeting_id: MeetingId, version: int) -> AsyncIterator[Room]:
        """The room at that version at least; it is kept while the block runs."""
        follower = self._followers.get(meeting_id) or self._follow(meeting_id)
        follower.entering += 1
        try:
            yield await follower.at(version)
        finally:
            follower.entering -= 1
            self._let_go(meeting_id)

    def _follow(self, meeting_id: MeetingId) -> Follower:
        follower = self._followers[meeting_id] = Follower(
            meeting_id,
            self._bus,
            self._placement,
            tell=self._tell,
            start=self._start,
            lost=self._lose,
        )
        ROOMS.set(len(self._followers))
        return follower

    def _let_go(self, meeting_id: MeetingId) -> None:
        follower = self._followers.get(meeting_id)
        if follower is not None and not follower.in_use:
            del self._followers[meeting_id]
            ROOMS.set(len(self._followers))
            self._bus.unsubscribe(meeting_id)

    def _tell(self, room: Room, event: DomainEvent) -> None:
        tell(room, event)
        self._let_go(room.id)

    def _lose(self, room: Room) -> None:
        self.distrust(room)
        self.on_loss()

    async def _trust_again(self, follower: Follower) -> None:
        await asyncio.sleep(self._grace_s)
        follower.distrusted = False
        follower.gap()

    def _on_gap(self, meeting_id: MeetingId) -> None:
        if follower := self._followers.get(meeting_id):
            follower.gap()

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
