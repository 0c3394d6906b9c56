"""How meetings end: by their host, or because nobody came back."""

import time
from contextlib import suppress
from typing import Literal

import structlog

from kcs_contracts.ids import MeetingId, UserId
from kcs_contracts.live import Live
from kcs_contracts.placement import Placement
from kcs_signaling.errors import Unavailable
from kcs_signaling.metrics import MEETING_SECONDS, MEETINGS_ENDED
from kcs_signaling.records.records import Records
from kcs_signaling.rooms.peer import Peer
from kcs_signaling.service.guard import redis_calls
from kcs_signaling.service.nodes import RoomNodes

_log = structlog.get_logger()

Reason = Literal["ended_by_host", "idle"]


class Endings:
    """Ends meetings, on record first: what is acknowledged stays over."""

    def __init__(self, placement: Placement, records: Records, nodes: RoomNodes):
        self._placement, self._records, self._nodes = placement, records, nodes

    async def end(self, peer: Peer) -> MeetingId:
        """Ends the peer's meeting for all, its breakout rooms too."""
        seat = peer.seated()
        main = seat.room.state.live.parent or seat.room.id
        await self._end(main, "ended_by_host")
        self._records.journal.audited("meeting.ended", UserId(seat.participant_id), meeting_id=main)
        return main

    async def end_idle(self) -> None:
        """Ends the meetings that were empty for as long as their settings allow.

        One whose planned time is not over, or that has not begun, stays.
        """
        async with redis_calls():
            due = await self._placement.idle_meetings()
        for meeting_id in due:
            meeting = await self._records.meeting(meeting_id)
            if meeting is None:
                await self._nodes.end(meeting_id, "breakout_closed")
                continue
            planned_end = (meeting.starts_at or 0) + (meeting.duration_minutes or 0) * 60
            if max(meeting.starts_at or 0, planned_end) < time.time():
                await self._end(meeting_id, "idle")

    async def _end(self, meeting_id: MeetingId, reason: Reason) -> None:
        now = time.time()
        await self._records.meetings.end(meeting_id, now=now)
        await self.end_live(meeting_id, reason)
        self._records.journal.ended(meeting_id, now)

    async def end_live(
        self,
        meeting_id: MeetingId,
        reason: Literal["ended_by_host", "expired", "deleted", "idle"],
        *,
        again: bool = False,
    ) -> bool:
        """Ends what runs of a meeting and of its breakout rooms; False when nothing did.

        The rooms first: should this fail, the meeting still knows of them when it is asked again.

        Args:
            again: it was over before, on record; it is not counted twice.
        """
        async with redis_calls():
            snapshot = await self._placement.snapshot(meeting_id)
        breakouts = Live(snapshot.live).breakouts
        listed = {room.id for room in breakouts.rooms} if breakouts else set()
        for room in sorted(listed.union(snapshot.inside.values())):  # somebody may be in another
            await self._nodes.end(room, reason)
        ended = await self._nodes.end(meeting_id, reason)
        if ended and not again:
            MEETINGS_ENDED.labels(reason).inc()
            _log.info("meeting_ended", meeting_id=meeting_id, reason=reason)
            await self._measure(meeting_id)
        return ended

    async def _measure(self, meeting_id: MeetingId) -> None:
        with suppress(Unavailable):
            held = await self._records.sessions.held(meeting_id)
            if held is not None:
                MEETING_SECONDS.observe((held.until or time.time()) - held.since)
