"""What clients measure, and what becomes of it."""

from typing import Annotated, Literal

from pydantic import Field
from typing_extensions import TypedDict

from kcs_contracts.ids import MeetingId, MeetingIdText
from kcs_contracts.limits import Limit
from kcs_contracts.protocol.declare import (
    CamelPayload,
    ClientEvent,
    Payload,
    ServerEvent,
    per_minute,
)
from kcs_contracts.protocol.roles import Action
from kcs_contracts.protocol.views import Measured

_Ms = Annotated[float, Field(ge=0, le=60_000, allow_inf_nan=False)]


class ConnectionStats(CamelPayload):
    """As both guides have it."""

    rtt: _Ms
    """Round-trip time, in ms."""
    jitter: _Ms
    """In ms."""
    packet_loss: Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)]
    """In per cent."""
    bitrate: Annotated[float, Field(ge=0, le=1e10, allow_inf_nan=False)]
    """In bits per second."""
    limited_by: Literal["none", "bandwidth", "cpu"] = "none"
    """What holds the sender's quality down (`qualityLimitationReason`)."""


class StatsReport(Payload):
    meeting_id: MeetingIdText
    stats: ConnectionStats


class StatsSubscribe(Payload):
    meeting_id: MeetingIdText
    enabled: bool


class StatsSubscribed(TypedDict):
    meeting_id: MeetingId
    enabled: bool


class StatsIs(TypedDict):
    meeting_id: MeetingId


class StatsUpdate(TypedDict):
    meeting_id: MeetingId
    aggregated_stats: Measured


REPORT = ClientEvent(
    "stats:report",
    StatsReport,
    StatsIs,
    "Reports how your connection is; kept by the minute.",
    Limit(count=1, per_seconds=5),
    Action.REPORT,
    guide="architecture",
)
SUBSCRIBE = ClientEvent(
    "stats:subscribe",
    StatsSubscribe,
    StatsSubscribed,
    "Asks for `stats:update` every 10 s.",
    per_minute(30),
    Action.SEE_STATS,
)

CLIENT_EVENTS = (REPORT, SUBSCRIBE)

SERVER_EVENTS = (
    ServerEvent(
        "stats:update", StatsUpdate, "How everybody's connections are.", "you", "architecture"
    ),
)
