"""`GET /meeting/{id}/webrtc-config` of the client guide: what a device loads before it joins.

The router's capabilities follow from the worker's version and the codecs, so they are the same for
every meeting: SFU nodes put them into Redis, and an unknown meeting is not revealed.
"""

import time
from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Path, Request
from pydantic import Field
from redis.exceptions import RedisError

from kcs_contracts.models import Contract, JsonObject
from kcs_contracts.placement import Placement
from kcs_signaling.errors import Unavailable
from kcs_signaling.http.needs import Services
from kcs_signaling.http.problems import documented

_KEPT_S = 10.0


class Capabilities:
    """The nodes' RTP capabilities, read at most every 10 s; the last ones stay while Redis is away.

    Args:
        placement: where nodes publish them.
        clock: monotonic time, in s.
    """

    def __init__(self, placement: Placement, clock: Callable[[], float] = time.monotonic):
        self._placement, self._clock = placement, clock
        self._kept: JsonObject | None = None
        self._until = 0.0

    async def read(self) -> JsonObject:
        """The capabilities.

        Raises:
            Unavailable: no node has told them yet.
        """
        if self._kept is None or self._until <= self._clock():
            try:
                self._kept = await self._placement.capabilities() or self._kept
            except RedisError:
                if self._kept is None:
                    raise
            self._until = self._clock() + _KEPT_S
        if self._kept is None:
            raise Unavailable("no media node has started yet", retry_after_s=2)
        return self._kept


class IceServer(Contract):
    """A STUN server, as `RTCIceServer`."""

    urls: list[str]


class WebRtcConfig(Contract):
    """What mediasoup-client's `Device.load` and its transports take, in camelCase as it does."""

    rtp_capabilities: JsonObject = Field(
        serialization_alias="rtpCapabilities",
        examples=[{"codecs": [{"kind": "audio", "mimeType": "audio/opus", "clockRate": 48000}]}],
    )
    ice_servers: list[IceServer] = Field(
        serialization_alias="iceServers",
        examples=[[{"urls": ["stun:turn.example.org:3478"]}]],
    )


router = APIRouter(tags=["client guide"])


@router.get("/meeting/{meeting_id}/webrtc-config", responses=documented(503))
async def webrtc_config(
    request: Request,
    services: Services,
    meeting_id: Annotated[str, Path(description="Any meeting's id: the answer is the same.")],
) -> WebRtcConfig:
    """RTP capabilities and STUN servers; needs no token. TURN credentials come when joined."""
    capabilities: Capabilities = request.app.state.capabilities
    servers = [IceServer.model_validate(each) for each in services.turn.for_anybody()]
    return WebRtcConfig(rtp_capabilities=await capabilities.read(), ice_servers=servers)
