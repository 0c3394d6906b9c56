"""What clients measure."""

from typing import Any

from kcs_contracts.protocol import telemetry as events
from kcs_contracts.protocol.media import Warned
from kcs_signaling.dialects.table import Answered, Dialect, Handlers, SocketPeer

handlers = Handlers()
Any_ = Dialect[Any]


@handlers.of(events.REPORT)
async def report(dialect: Any_, peer: SocketPeer, request: events.StatsReport) -> Answered:
    """Kept by the minute; a bad connection's owner is warned."""
    told = await dialect.services.quality.report(peer, request.stats)

    def warn() -> None:
        if told is not None:
            issue, resolved = told
            said: Warned = {"meeting_id": request.meeting_id, "issue": issue}
            if resolved:
                said["resolved"] = True
            dialect.send([peer], dialect.say("quality:warning", said))

    return Answered({"meeting_id": request.meeting_id}, then=warn)


@handlers.of(events.SUBSCRIBE)
async def subscribe(
    dialect: Any_, peer: SocketPeer, request: events.StatsSubscribe
) -> events.StatsSubscribed:
    """Everybody's, every 10 s, from now on or no longer."""
    peer.seated().wants_stats = request.enabled
    return {"meeting_id": request.meeting_id, "enabled": request.enabled}
