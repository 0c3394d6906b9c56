"""Moving meetings that run to other nodes: make before break.

`migrate` gives a meeting a second home. Whoever understands it builds their media there beside
what they have, and says so by `cross`. `tend_moves`, which every replica calls all the time,
makes the second home the home when all have crossed or when it has taken long enough, and gives
the move up when that node dies. All of it is in Redis: replicas may come and go meanwhile.
"""

import hashlib
from collections.abc import Sequence
from typing import Literal, NamedTuple

from kcs_contracts.ids import Epoch, MeetingId, NodeName, ParticipantId
from kcs_contracts.placement.functions import Functions
from kcs_contracts.placement.homes import assignment_of
from kcs_contracts.placement.models import Strategy
from kcs_contracts.rooms import Assignment

MOVE_MS = 10_000
"""How long a move may take; see `MORE_MS`."""
MORE_MS = 400
"""And how much longer for each ten people: they are told ten at a time."""


class EndedMove(NamedTuple):
    """What came of a move."""

    meeting_id: MeetingId
    outcome: Literal["moved", "abandoned"]
    epoch: Epoch
    """The one that it has, or would have had, at the next home."""


class Move(NamedTuple):
    """A move that is under way."""

    meeting_id: MeetingId
    to_node: NodeName
    epoch: Epoch


class Moving(Functions):
    """The part of `Placement` about meetings that move."""

    async def migrate(
        self,
        meeting_id: MeetingId,
        from_node: NodeName,
        from_epoch: Epoch,
        *,
        region: str = "",
        strategy: Strategy | None = None,
        move_ms: int = MOVE_MS,
        more_ms: int = MORE_MS,
        anywhere: bool = False,
    ) -> Assignment | None:
        """Begins to move the meeting away from there: `MediaMigrating`; answers its next home.

        A meeting that moves already goes on doing so; one with nobody in it moves at once. None
        when the meeting is not at that node and epoch any more.

        Args:
            meeting_id: the meeting.
            from_node: where it is.
            from_epoch: and in which epoch: of two who ask, the second changes nothing.
            region: its nodes come first; "" is that of the present home.
            strategy: how to choose among the nodes with room; None: as their pool says.
            move_ms: how long it may take at most,
            more_ms: and how much longer for each ten people.
            anywhere: its pool goes: it keeps to none from now on.

        Raises:
            NoCapacity: no other node has room; the meeting stays where it is.
            MeetingIsOver: it was ended.
        """
        ring = int(hashlib.sha256(meeting_id.encode()).hexdigest()[:8], 16)
        where = (meeting_id, from_node, from_epoch, region, strategy or "", ring)
        answer = await self._call("kcs_migrate", *where, move_ms, more_ms, int(anywhere))
        return assignment_of(meeting_id, answer) if answer else None

    async def cross(
        self, meeting_id: MeetingId, epoch: Epoch, who: Sequence[ParticipantId]
    ) -> None:
        """Their media is at that next home, or is not to be waited for. Again changes nothing.

        Raises:
            StaleEpoch: the meeting does not move there (any more).
        """
        await self._call("kcs_cross", meeting_id, epoch, *who)

    async def tend_moves(self) -> list[EndedMove]:
        """Ends all moves that are over: by `MediaMoved`, or by `MoveAbandoned`.

        Any replica may call it, a few times a second; two at once do not disturb each other.
        """
        (rows,) = await self._call("kcs_tend_moves")
        return [EndedMove(MeetingId(m), outcome, Epoch(int(e))) for m, outcome, e in rows]

    async def abandon_move(self, meeting_id: MeetingId, epoch: Epoch) -> bool:
        """The next home of that epoch cannot be used: `MoveAbandoned`. False when it is none."""
        (done,) = await self._call("kcs_abandon_move", meeting_id, epoch)
        return bool(done)

    async def moves(self) -> list[Move]:
        """The moves that are under way, the one that may take longest last."""
        (rows,) = await self._call("kcs_moves")
        return [Move(MeetingId(m), NodeName(n), Epoch(int(e))) for m, n, e in rows]

    async def homes(self, meeting_id: MeetingId) -> list[Assignment]:
        """Where the meeting's media is: its home, and its next one while it moves; often none."""
        (rows,) = await self._call("kcs_homes", meeting_id)
        return [assignment_of(meeting_id, row) for row in rows]
