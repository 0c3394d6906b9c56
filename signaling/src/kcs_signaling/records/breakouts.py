"""Breakout rooms on record: all that is of one stands under an id made from its meeting's."""

from collections.abc import Iterable

from kcs_contracts.ids import MeetingId
from kcs_contracts.protocol.breakouts import MAX_ROOMS


def with_breakouts(meeting_ids: Iterable[MeetingId]) -> list[MeetingId]:
    """The meetings, and the breakout rooms that they may have had: `k7f-x2mq-9tb:1` and so on.

    They are few, so a list that every index serves is better than a pattern that none does.
    """
    return [
        MeetingId(name)
        for meeting_id in meeting_ids
        for name in (meeting_id, *(f"{meeting_id}:{n}" for n in range(1, MAX_ROOMS + 1)))
    ]
