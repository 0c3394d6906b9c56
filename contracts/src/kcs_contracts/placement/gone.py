"""People who are out of a meeting while its node may still have their media.

Whatever takes somebody out of a meeting in placement notes it in the same step; the note stays
until a node says that it closed what they had. So a node that was busy, or a replica that died in
between, leaves nobody listening.
"""

from collections.abc import Sequence
from typing import NamedTuple

from kcs_contracts.ids import MeetingId, ParticipantId
from kcs_contracts.placement.functions import Functions


class GoneFrom(NamedTuple):
    """Who went, and from where."""

    meeting_id: MeetingId
    who: tuple[ParticipantId, ...]


class Gone(Functions):
    """The part of `Placement` about media that is to be closed."""

    async def take_gone(self, limit: int = 100) -> list[GoneFrom]:
        """Those whose meetings' nodes are to be asked now to close their media.

        Each is answered again until `closed`, after 0.5 s at first and each 5 s at last. Whoever
        came back is not gone, and neither is whoever was in a home that the meeting has left.
        """
        (due,) = await self._call("kcs_take_gone", limit)
        return [
            GoneFrom(MeetingId(meeting), tuple(ParticipantId(each) for each in who))
            for meeting, who in due
        ]

    async def closed(self, meeting_id: MeetingId, who: Sequence[ParticipantId]) -> None:
        """The node has closed their media."""
        if who:
            await self._call("kcs_closed", meeting_id, *who)
