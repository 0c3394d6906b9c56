"""Meetings: each has one home, a node at an epoch that never repeats."""

import asyncio
import hashlib
from collections.abc import Sequence
from typing import Any, Literal

from kcs_contracts.events import KEPT, PUBLISHED, News, Published
from kcs_contracts.ids import BootId, Epoch, Generation, MeetingId, NodeName, ParticipantId
from kcs_contracts.placement.errors import NoCapacity
from kcs_contracts.placement.functions import Functions, pairs
from kcs_contracts.placement.models import LostMeeting, Strategy
from kcs_contracts.rooms import (
    Assignment,
    NextHome,
    Participant,
    Producer,
    RoomSnapshot,
    Waiting,
)

WARMUP_MS = 1500
"""A node renews each second: after this, a Redis that lost all knows again what nodes host."""
_WARMUP_LIMIT_S = 5.0


class Homes(Functions):
    """The part of `Placement` about a meeting as a whole."""

    async def assign(
        self,
        meeting_id: MeetingId,
        *,
        region: str = "",
        expected: int = 0,
        strategy: Strategy | None = None,
        pool: str = "",
        warmup_ms: int = WARMUP_MS,
    ) -> Assignment:
        """The meeting's home: the present one while its node lives, else a new one.

        A new home's epoch is `max(stored + 1, now in ms)`. When it replaces a lost one, the
        producers are cleared and `MediaReset(reason="node_lost")` is published. An empty meeting
        on a draining node gets a new home too. On a Redis that was empty less than `warmup_ms`
        ago, an unknown meeting waits until the nodes have told what they host.

        Args:
            meeting_id: the meeting.
            region: its nodes come first; any other region's when they have no room.
            expected: participants to reserve for, 15 at least.
            strategy: how to choose among the nodes with room; None: as their pool says.
            pool: the only one whose nodes it may have, now and when it moves (but see `evict`); ""
                is any.
            warmup_ms: see above; waits 5 s at most.

        Raises:
            NoCapacity: no node has room for it.
            MeetingIsOver: it was ended.
        """
        deadline = asyncio.get_running_loop().time() + _WARMUP_LIMIT_S
        ring = int(hashlib.sha256(meeting_id.encode()).hexdigest()[:8], 16)
        while True:
            args = (meeting_id, region, expected, strategy or "", ring, warmup_ms, pool)
            answer = await self._call("kcs_assign", *args)
            if answer[0] != "warming":
                return assignment_of(meeting_id, answer)
            if asyncio.get_running_loop().time() > deadline:
                raise NoCapacity(retry_after_s=1)
            await asyncio.sleep(answer[1] / 1000)

    async def assignment(self, meeting_id: MeetingId) -> Assignment | None:
        """The stored home, whether its node lives or not; None when there is none."""
        answer = await self._call("kcs_assignment", meeting_id)
        return assignment_of(meeting_id, answer) if answer else None

    async def evict(
        self,
        meeting_id: MeetingId,
        from_node: NodeName,
        from_epoch: Epoch,
        reason: Literal["node_lost", "moved"],
        *,
        region: str = "",
        strategy: Strategy | None = None,
        anywhere: bool = False,
    ) -> Assignment | None:
        """Moves the meeting away and publishes `MediaReset(reason)`; answers the new home.

        A meeting that is moving (`migrate`) goes to where it is moving to, by `MediaMoved`. None
        when the meeting is not at that node and epoch any more. Another boot of the same
        node is another home, and may be chosen.

        Args:
            region: its nodes come first; "" is that of the present home.
            anywhere: its pool goes: it keeps to none from now on.

        Raises:
            NoCapacity: no other node has room; the meeting stays where it is.
            MeetingIsOver: it was ended.
        """
        ring = int(hashlib.sha256(meeting_id.encode()).hexdigest()[:8], 16)
        where = (meeting_id, from_node, from_epoch, reason, region, strategy or "", ring)
        answer = await self._call("kcs_evict", *where, int(anywhere))
        return assignment_of(meeting_id, answer) if answer else None

    async def lost_meetings(self, meeting_ids: Sequence[MeetingId]) -> list[LostMeeting]:
        """Those of the meetings whose home's lease is over: `evict` or `assign` them."""
        (rows,) = await self._call("kcs_lost_meetings", *meeting_ids)
        return [LostMeeting(MeetingId(m), NodeName(n), Epoch(int(e))) for m, n, e in rows]

    async def reset_media(
        self,
        meeting_id: MeetingId,
        node: NodeName,
        epoch: Epoch,
        generation: Generation,
        reason: Literal["worker_died"] = "worker_died",
    ) -> None:
        """Told by the node: the room was rebuilt. Clears producers, publishes `MediaReset`.

        Telling the same generation again changes nothing, and neither does a meeting that Redis
        does not know: the next `renew` puts it back. Told of a next home, the move is abandoned.

        Raises:
            StaleEpoch: the meeting's home is another, or at a higher epoch.
        """
        await self._call("kcs_reset_media", meeting_id, node, epoch, generation, reason)

    async def end(
        self,
        meeting_id: MeetingId,
        reason: Literal["ended_by_host", "expired", "deleted", "idle", "breakout_closed"],
    ) -> bool:
        """Ends the meeting for all: publishes `MeetingEnded` and forgets everything about it.

        For 24 h nobody can assign or join it, unless it is a breakout room that closed: that may
        open again, and whoever was in it may come back to its main meeting within 30 s, whatever
        holds there. False when it was ended already.
        """
        (ended,) = await self._call("kcs_end", meeting_id, reason)
        return bool(ended)

    async def snapshot(self, meeting_id: MeetingId) -> RoomSnapshot:
        """All of the meeting at one version; version 0 and empty when Redis knows nothing."""
        answer = await self._call("kcs_snapshot", meeting_id, "next")
        version, generation, home, people, producers, waiting, live, inside, *moving = answer
        found = [Participant.model_validate_json(text) for text in people]
        queue = [Waiting.model_validate_json(text) for text in waiting]
        return RoomSnapshot(
            meeting_id=meeting_id,
            version=int(version),
            assignment=assignment_of(meeting_id, home) if home else None,
            generation=Generation(int(generation)),
            participants=tuple(sorted(found, key=lambda p: (p.joined_at_ms, p.id))),
            producers=tuple(Producer.model_validate_json(text) for text in producers),
            waiting=tuple(sorted(queue, key=lambda w: (w.since_ms, w.id))),
            live=pairs(live),
            inside={ParticipantId(who): MeetingId(room) for who, room in pairs(inside).items()},
            next=_next_home(meeting_id, *moving[0]) if moving else None,
        )

    async def publish(
        self, meeting_id: MeetingId, event: News, *, epoch: Epoch | None = None
    ) -> int:
        """Publishes an event that changes no state; answers its version.

        With `epoch`, as nodes say: nothing is published, and 0 answered, when the meeting's home is
        at another one.

        Raises:
            MeetingIsOver: it was ended.
        """
        kept, at = int(isinstance(event, KEPT)), () if epoch is None else (epoch,)
        args = (meeting_id, event.model_dump_json(), kept, *at)
        (version,) = await self._call("kcs_publish", *args)
        return int(version)

    async def kept_news(self, meeting_id: MeetingId, since: int) -> list[Published]:
        """News of the last two minutes above that version, oldest first.

        The last 200 at most, and the last MiB.
        """
        (texts,) = await self._call("kcs_kept_news", meeting_id, since)
        return [PUBLISHED.validate_json(text) for text in reversed(texts)]

    async def idle_meetings(self, limit: int = 20) -> list[MeetingId]:
        """Meetings that were empty for as long as their settings allow: the caller ends them.

        Each is answered again a minute later, should it not be ended by then.
        """
        (due,) = await self._call("kcs_idle_meetings", limit)
        return [MeetingId(each) for each in due]


def _next_home(
    meeting_id: MeetingId,
    node: str,
    boot: str,
    epoch: str,
    url: str,
    generation: str,
    producers: list[str],
) -> NextHome:
    return NextHome(
        assignment=assignment_of(meeting_id, [node, boot, epoch, url]),
        generation=Generation(int(generation)),
        producers=tuple(Producer.model_validate_json(text) for text in producers),
    )


def assignment_of(meeting_id: MeetingId, answer: list[Any]) -> Assignment:
    """A home as the functions answer it."""
    if answer[0] == "no_capacity":
        raise NoCapacity(retry_after_s=int(answer[1]))
    node, boot, epoch, control_url = answer
    return Assignment(
        meeting_id=meeting_id,
        node=NodeName(node),
        boot=BootId(boot),
        epoch=Epoch(int(epoch)),
        control_url=control_url,
    )
