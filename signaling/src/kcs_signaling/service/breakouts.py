"""Breakout rooms, as the hosts of the main meeting run them.

A room is a meeting of its own in placement, `<main>:<n>`. Which rooms there are and who belongs
where is one field of the main meeting's `Live`, changed by comparing and setting, so that two
hosts do not undo each other. Who goes into a room leaves the main meeting's media; placement keeps
in mind that they are inside, and their way back stays open.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

import structlog

from kcs_contracts.events import BreakoutClosing, BreakoutTold
from kcs_contracts.ids import MeetingId, ParticipantId
from kcs_contracts.node_api import CloseRoom
from kcs_contracts.placement import MeetingIsOver, Placement
from kcs_contracts.rooms import Assignment, BreakoutRoom, Breakouts, Participant
from kcs_signaling.errors import AccessDenied, InvalidRequest, NotFound, Unavailable
from kcs_signaling.rooms.peer import Peer, Room
from kcs_signaling.rooms.permissions import is_host
from kcs_signaling.service.entry import breakout_id, main_of
from kcs_signaling.service.guard import redis_calls
from kcs_signaling.service.nodes import RoomNodes

_log = structlog.get_logger()
_TRIES = 10
WARN_S = 60
"""Before breakout rooms close by themselves, those inside are told."""
_MAX_MAIN_ID = 58
"""A room's id is that and up to six characters more: 64 are an id's bound."""


class RoomBreakouts:
    """The breakout rooms of the meeting that a peer is in."""

    def __init__(self, placement: Placement, nodes: RoomNodes):
        self._placement, self._nodes = placement, nodes

    async def create(self, peer: Peer, count: int, names: Sequence[str], choose: bool) -> Breakouts:
        """So many rooms, closed; instead of those before, which must be closed, and end.

        Raises:
            InvalidRequest: rooms are open, or this is a breakout room itself.
        """
        main = peer.seated().room
        if main_of(main.id) is not None or len(main.id) > _MAX_MAIN_ID:
            raise InvalidRequest("a breakout room has no breakout rooms")
        rooms = tuple(
            BreakoutRoom(
                id=breakout_id(main.id, number),
                name=names[number - 1] if number <= len(names) else f"Room {number}",
            )
            for number in range(1, count + 1)
        )

        def fresh(now: Breakouts | None) -> Breakouts:
            if now is not None and now.open:
                raise InvalidRequest("close the breakout rooms first")
            return Breakouts(rooms=rooms, choose=choose, made_at_ms=int(time.time() * 1000))

        return await self._end_rooms(main.id, fresh)

    async def assign(
        self, peer: Peer, assignments: dict[ParticipantId, MeetingId | None]
    ) -> Breakouts:
        """Says of some where they belong; None: in the main meeting.

        Raises:
            NotFound: there is no such room, or somebody is not in the meeting.
        """
        state = peer.seated().room.state
        strangers = assignments.keys() - state.participants.keys() - state.inside.keys()
        if strangers:
            raise NotFound(f"not in the meeting: {', '.join(sorted(strangers)[:5])}")

        def assigned(now: Breakouts) -> Breakouts:
            wanted = {room for room in assignments.values() if room is not None}
            if wanted - {room.id for room in now.rooms}:
                raise NotFound("there is no such breakout room")
            merged = {**now.assignments, **assignments}
            placed = {who: room for who, room in merged.items() if room is not None}
            return now.model_copy(update={"assignments": placed})

        return await self._change(peer, _there(assigned))

    async def assign_evenly(self, peer: Peer) -> Breakouts:
        """Deals everybody but the hosts out, by when they came; who is in a room keeps theirs."""
        state = peer.seated().room.state

        def dealt(now: Breakouts) -> Breakouts:
            inside = {who: there for who, there in now.assignments.items() if who in state.inside}
            assignments = deal(state.participants.values(), now.rooms, inside)
            return now.model_copy(update={"assignments": assignments})

        return await self._change(peer, _there(dealt))

    async def open(self, peer: Peer, minutes: float | None) -> Breakouts:
        """Opens the rooms; they close by themselves after `minutes`."""
        closes_at_ms = None if minutes is None else int((time.time() + minutes * 60) * 1000)

        def opened(now: Breakouts) -> Breakouts:
            return now.model_copy(update={"open": True, "closes_at_ms": closes_at_ms})

        return await self._change(peer, _there(opened))

    def way_into(self, peer: Peer, room_id: MeetingId) -> BreakoutRoom:
        """The room, if the peer may go there now.

        Raises:
            NotFound: there is no such room.
            AccessDenied: it is closed, or not the peer's.
        """
        seat = peer.seated()
        now = seat.room.state.live.breakouts
        room = next((r for r in now.rooms if r.id == room_id), None) if now else None
        if now is None or room is None:
            raise NotFound("there is no such breakout room")
        if is_host(seat.role):
            return room
        if not now.open:
            raise AccessDenied("the breakout rooms are closed")
        if not now.choose and now.assignments.get(seat.participant_id) != room_id:
            raise AccessDenied("you belong to another breakout room")
        return room

    async def tell(self, peer: Peer, text: str) -> None:
        """Tells all rooms something."""
        seat = peer.seated()
        told = BreakoutTold(main=seat.room.id, text=text, display_name=seat.now.display_name)
        for room in self._rooms_of(seat.room):
            await self._publish(room.id, told)

    async def close(self, peer: Peer, seconds: int) -> Breakouts:
        """Closes the rooms in so many seconds."""
        room = peer.seated().room
        if not seconds:
            return await self.close_now(room.id)
        moment = int((time.time() + seconds) * 1000)

        def closing(now: Breakouts) -> Breakouts:
            return now.model_copy(update={"closes_at_ms": moment})

        after = await self._change(peer, _there(closing))
        if seconds > WARN_S:  # else those inside are warned by the time that is left
            for each in after.rooms:
                await self._publish(each.id, BreakoutClosing(main=room.id, seconds=seconds))
        return after

    async def close_now(self, main: MeetingId, due_ms: int | None = None) -> Breakouts:
        """Ends every room; whoever is inside is called back.

        Args:
            main: the main meeting.
            due_ms: only if they close at that time still.

        Raises:
            NotFound: the meeting has no rooms, or they are not due.
        """

        def closed(now: Breakouts) -> Breakouts:
            if due_ms not in (None, now.closes_at_ms):
                raise NotFound("the breakout rooms close at another time")
            return now.model_copy(update={"open": False, "closes_at_ms": None, "assignments": {}})

        after = await self._end_rooms(main, _there(closed))
        _log.info("breakouts_closed", meeting_id=main)
        return after

    async def _end_rooms(
        self, main: MeetingId, change: Callable[[Breakouts | None], Breakouts]
    ) -> Breakouts:
        """Says what holds now and ends the rooms of before in one step, then their media."""
        for _ in range(_TRIES):
            async with redis_calls():
                now = (await self._placement.live(main)).breakouts
                after = change(now)
                homes = await self._changed(main, now, after)
            if homes is not None:
                await asyncio.gather(*(self._nodes.tell_home(home, CloseRoom()) for home in homes))
                return after
        raise _busy()

    async def _changed(
        self, main: MeetingId, now: Breakouts | None, after: Breakouts
    ) -> list[Assignment] | None:
        """Where the media of the ended rooms is; None: others came between."""
        if now is not None:
            return await self._placement.close_breakouts(main, now, after)
        done = await self._placement.change_live(main, "breakouts", after, expected=None)
        return [] if done else None

    def now(self, peer: Peer) -> Breakouts:
        """The rooms.

        Raises:
            NotFound: there are none.
        """
        found = peer.seated().room.state.live.breakouts
        if found is None:
            raise NotFound("the meeting has no breakout rooms")
        return found

    @staticmethod
    def _rooms_of(room: Room) -> tuple[BreakoutRoom, ...]:
        breakouts = room.state.live.breakouts
        if breakouts is None:
            raise NotFound("the meeting has no breakout rooms")
        return breakouts.rooms

    async def _publish(self, room_id: MeetingId, event: BreakoutTold | BreakoutClosing) -> None:
        try:
            async with redis_calls():
                await self._placement.publish(room_id, event)
        except MeetingIsOver:
            return

    async def _change(
        self, peer: Peer, change: Callable[[Breakouts | None], Breakouts]
    ) -> Breakouts:
        seat = peer.seated()
        return await self._change_of(seat.room.id, seat.participant_id, change)

    async def _change_of(
        self,
        main: MeetingId,
        by: ParticipantId | None,
        change: Callable[[Breakouts | None], Breakouts],
    ) -> Breakouts:
        """Compares and sets until nobody came between."""
        for _ in range(_TRIES):
            async with redis_calls():
                now = (await self._placement.live(main)).breakouts
                after = change(now)
                if await self._placement.change_live(main, "breakouts", after, by, expected=now):
                    return after
        raise _busy()


def _busy() -> Unavailable:
    return Unavailable("others change the breakout rooms at this moment", retry_after_s=1)


def deal(
    people: Iterable[Participant],
    rooms: Sequence[BreakoutRoom],
    inside: Mapping[ParticipantId, MeetingId],
) -> dict[ParticipantId, MeetingId]:
    """Everybody but hosts, by when they came, each to where the fewest are; who is inside stays."""
    shares = Counter(inside.values())
    dealt = dict(inside)
    for each in sorted(people, key=lambda p: (p.joined_at_ms, p.id)):
        if not is_host(each.role) and each.id not in dealt:
            least = min(rooms, key=lambda room: shares[room.id]).id
            dealt[each.id] = least
            shares[least] += 1
    return dealt


def _there(
    change: Callable[[Breakouts], Breakouts],
) -> Callable[[Breakouts | None], Breakouts]:
    def checked(now: Breakouts | None) -> Breakouts:
        if now is None:
            raise NotFound("the meeting has no breakout rooms")
        return change(now)

    return checked
