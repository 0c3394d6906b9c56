"""Whose video gets a receiver's bandwidth first when it is short: screens, then who speaks.

The worker gives every video consumer its lowest layer first, and then, from the highest priority
down, raises each by as many layers as its priority says, as long as there is bandwidth. Audio
takes no part: it is always sent. Source: mediasoup 3.27.1,
`Transport::DistributeAvailableOutgoingBitrate`.
"""

from typing import NamedTuple

from kcs_contracts.ids import ParticipantId
from kcs_contracts.rooms import Source

SCREEN = 255
SPEAKER = 100
"""More than there are layers (3 x 3): it gets all that it can before anybody else does."""
OTHER = 1
"""mediasoup's default."""


class Sender(NamedTuple):
    """Who sends a producer, and from where."""

    participant_id: ParticipantId
    source: Source


def priority(sender: Sender, speaker: ParticipantId | None) -> int:
    """Of the consumers of what that one sends, while `speaker` speaks."""
    if sender.source is Source.SCREEN:
        return SCREEN
    if sender.source is Source.CAMERA and sender.participant_id == speaker:
        return SPEAKER
    return OTHER
