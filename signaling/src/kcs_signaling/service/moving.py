"""Meetings that move to another node while they run: make before break.

Placement says that a meeting has a next home, and when the move is over (`Placement.migrate`,
`tend_moves`). Each replica sees to it that the next home can be used, tells its peers, ten people
of the meeting at a time and each at a moment of their own, and hears from them when they have
crossed. Clients that do not know of moves are not waited for: they build anew at the end.

Nothing is kept here but who is told when: what a replica forgets, or never knew, of a move, the
next look at its rooms shows.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field

import structlog

from kcs_contracts.events import MediaMigrating
from kcs_contracts.ids import Epoch, MeetingId, ParticipantId, SessionId
from kcs_contracts.node_api import OpenRoom
from kcs_contracts.placement import Placement, StaleEpoch
from kcs_signaling.errors import NotFound, SignalingError, Unavailable
from kcs_signaling.rooms.peer import Peer, Room
from kcs_signaling.rooms.state import NextPlane
from kcs_signaling.service.guard import redis_calls
from kcs_signaling.service.nodes import RoomNodes
from kcs_signaling.service.registry import RoomRegistry

_log = structlog.get_logger()
_LOOK_S = 0.1
_TEND_S = 0.25
TOLD_AT_ONCE = 10
SLICE_S = 0.3
"""From ten people to the next ten; each is told at a moment of its own within it."""


@dataclass
class _Move:
    """A move that peers of this replica take part in."""

    epoch: Epoch
    began: float
    places: dict[ParticipantId, int]
    """In which order people are told: the same on all replicas."""
    jitter_s: dict[SessionId, float] = field(default_factory=dict)
    usable: bool = False
    """The next home has opened its room."""

    def due_at(self, peer: Peer) -> float:
        """When the peer is to be told; whoever came since is told at once."""
        place = self.places.get(peer.participant_id, 0)
        jitter_s = self.jitter_s.setdefault(peer.session, random.uniform(0, SLICE_S))
        return self.began + place // TOLD_AT_ONCE * SLICE_S + jitter_s


class Moving:
    """One replica's part in all moves; `run` ends when it is cancelled, and all that it began."""

    def __init__(
        self,
        placement: Placement,
        registry: RoomRegistry,
        nodes: RoomNodes,
        now: Callable[[], float] = time.monotonic,
    ):
        self._placement, self._registry, self._nodes = placement, registry, nodes
        self._now = now
        self._moves: dict[MeetingId, _Move] = {}

    async def run(self) -> None:
        """Runs the loops: what Redis or a node is asked holds up nothing else."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_every(_TEND_S, self.tend))
            while True:
                await asyncio.sleep(_LOOK_S)
                for room, move in self.look():
                    tasks.create_task(self._open(room, move))

    async def cross(self, peer: Peer, epoch: Epoch) -> None:
        """The peer sends and receives at the next home, too.

        Raises:
            NotFound: the meeting is not moving there (any more).
        """
        seat = peer.seated()
        if seat.room.state.producers_at(epoch) is None:
            raise NotFound("the meeting is not moving there (any more)")
        seat.crossed = epoch
        async with redis_calls():
            await self._placement.cross(seat.room.id, epoch, [seat.participant_id])

    async def tend(self) -> None:
        """Ends the moves that are over, here or elsewhere; those who cannot cross do not count."""
        for room in self._registry.rooms:
            if room.state.next is not None:
                await self._excuse(room, room.state.next.epoch)
        async with redis_calls():
            ended = await self._placement.tend_moves()
        for meeting_id, outcome, epoch in ended:
            _log.info("move_ended", meeting_id=meeting_id, outcome=outcome, epoch=epoch)

    def look(self) -> list[tuple[Room, _Move]]:
        """Tells whoever is due; answers the moves that have just begun here."""
        moves: dict[MeetingId, _Move] = {}
        begun = []
        for room in self._registry.rooms:
            plane = room.state.next
            if plane is None:
                continue
            move = self._moves.get(room.id)
            if move is None or move.epoch != plane.epoch:
                places = {who: place for place, who in enumerate(sorted(room.state.participants))}
                move = _Move(plane.epoch, self._now(), places)
                begun.append((room, move))
            moves[room.id] = move
            if move.usable:
                self._tell(room, plane, move)
        self._moves = moves
        return begun

    def _tell(self, room: Room, plane: NextPlane, move: _Move) -> None:
        event = MediaMigrating(node=plane.node, epoch=plane.epoch, generation=plane.generation)
        now = self._now()
        for peer in list(room.peers.values()):
            seat = peer.seat
            if seat is None or not seat.settled or seat.crossing == plane.epoch:
                continue
            if peer.audience.crosses and move.due_at(peer) <= now:
                seat.crossing = plane.epoch
                peer.audience.tell(room, event, [peer])

    async def _open(self, room: Room, move: _Move) -> None:
        """Makes the next home usable; where that cannot be, the meeting stays."""
        try:
            await self._nodes.ask(room, OpenRoom(), epoch=move.epoch)
        except SignalingError as error:
            _log.warning("move_given_up", meeting_id=room.id, epoch=move.epoch, error=error.code)
            await self._abandon(room, move.epoch)
        except Exception:
            _log.exception("move_given_up", meeting_id=room.id, epoch=move.epoch)
            await self._abandon(room, move.epoch)
        else:
            move.began, move.usable = self._now(), True

    async def _abandon(self, room: Room, epoch: Epoch) -> None:
        try:
            async with redis_calls():
                await self._placement.abandon_move(room.id, epoch)
        except SignalingError as error:  # it ends by itself, in a while
            _log.info("move_not_abandoned", meeting_id=room.id, error=error.code)

    async def _excuse(self, room: Room, epoch: Epoch) -> None:
        peers = [peer for peer in room.peers.values() if not peer.audience.crosses]
        who = [peer.seat.participant_id for peer in peers if peer.seat is not None]
        if who:
            async with redis_calls():
                with suppress(StaleEpoch):  # it is over
                    await self._placement.cross(room.id, epoch, who)


async def _every(seconds: float, work: Callable[[], Awaitable[None]]) -> None:
    while True:
        await asyncio.sleep(seconds)
        try:
            await work()
        except Unavailable:
            continue  # Redis is away: the next round tries again
        except Exception:
            _log.exception("moves_not_tended")
