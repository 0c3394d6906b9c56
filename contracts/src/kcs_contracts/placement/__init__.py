"""Placement: which node hosts which meeting, who is in it and what they send, in Redis.

`Placement` is the client of the Redis function library `kcs` (`library/*.lua`), which makes each
change atomic and publishes it on the meeting's bus in the same step; `Bus` listens. `connect`
makes the Redis client that both want. Signaling, the SFU nodes and the operator use the same one.
"""

from kcs_contracts.placement.bus import Bus
from kcs_contracts.placement.client import Placement
from kcs_contracts.placement.connection import connect
from kcs_contracts.placement.errors import (
    MayNotSend,
    MeetingFull,
    MeetingIsLocked,
    MeetingIsOver,
    NoCapacity,
    NotInMeeting,
    PlacementError,
    ScreensTaken,
    StaleEpoch,
    WasRemoved,
)
from kcs_contracts.placement.limits import Refusal, Take
from kcs_contracts.placement.models import (
    Hosted,
    Housed,
    Joined,
    Known,
    LostMeeting,
    NodeLease,
    NodeView,
    Presence,
    Renewal,
    Strategy,
    Waits,
)
from kcs_contracts.placement.moving import EndedMove, Move

__all__ = [
    "Bus",
    "EndedMove",
    "Hosted",
    "Housed",
    "Joined",
    "Known",
    "LostMeeting",
    "MayNotSend",
    "MeetingFull",
    "MeetingIsLocked",
    "MeetingIsOver",
    "Move",
    "NoCapacity",
    "NodeLease",
    "NodeView",
    "NotInMeeting",
    "Placement",
    "PlacementError",
    "Presence",
    "Refusal",
    "Renewal",
    "ScreensTaken",
    "StaleEpoch",
    "Strategy",
    "Take",
    "Waits",
    "WasRemoved",
    "connect",
]
