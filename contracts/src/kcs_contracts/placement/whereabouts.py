"""Where meetings are that are asked for by name."""

from collections.abc import Sequence
from typing import NamedTuple

from kcs_contracts.ids import Epoch, MeetingId, NodeName
from kcs_contracts.placement.functions import Functions

_AT_ONCE = 500
"""Meetings in one call: Redis does nothing else meanwhile, some ms."""


class Whereabouts(NamedTuple):
    """A meeting as placement knows it."""

    over: bool
    """It was ended within the last 24 h."""
    alive: bool
    """Its home's lease holds."""
    people: int
    """Participants in it."""
    node: NodeName
    """Its home, alive or not; empty when it has none."""
    epoch: Epoch
    """The home's; 0 when it has none."""


class Tracing(Functions):
    """The part of `Placement` about given meetings, wherever they are."""

    async def whereabouts(self, meeting_ids: Sequence[MeetingId]) -> dict[MeetingId, Whereabouts]:
        """Each of these meetings; nothing changes by it."""
        found: dict[MeetingId, Whereabouts] = {}
        for start in range(0, len(meeting_ids), _AT_ONCE):
            some = meeting_ids[start : start + _AT_ONCE]
            (rows,) = await self._call("kcs_whereabouts", *some)
            for meeting_id, (over, alive, people, node, epoch) in zip(some, rows, strict=True):
                found[meeting_id] = Whereabouts(
                    bool(over), bool(alive), int(people), NodeName(node), Epoch(int(epoch))
                )
        return found
