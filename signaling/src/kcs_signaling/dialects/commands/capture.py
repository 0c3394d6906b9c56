"""Recording and streaming: nothing here does either yet, and says so to those who may ask."""

from typing import Any

from kcs_contracts.protocol import capture as events
from kcs_signaling.dialects.table import Answer, Dialect, Handlers, SocketPeer
from kcs_signaling.errors import RecordingDisabled, StreamingDisabled

handlers = Handlers()
Any_ = Dialect[Any]


@handlers.of(events.STOP_RECORDING)
@handlers.of(events.PAUSE_RECORDING)
@handlers.of(events.RESUME_RECORDING)
async def control(dialect: Any_, peer: SocketPeer, request: events.RecordingNamed) -> Answer:
    """Raises: RecordingDisabled."""
    raise _no_recorder(peer)


@handlers.of(events.START_RECORDING)
async def record(dialect: Any_, peer: SocketPeer, request: events.RecordingStart) -> Answer:
    """Raises: RecordingDisabled."""
    raise _no_recorder(peer)


@handlers.of(events.START_STREAM)
async def stream(dialect: Any_, peer: SocketPeer, request: events.StreamStart) -> Answer:
    """Raises: StreamingDisabled."""
    raise _no_bridge(peer)


@handlers.of(events.STOP_STREAM)
async def stop_stream(dialect: Any_, peer: SocketPeer, request: events.RecordingNamed) -> Answer:
    """Raises: StreamingDisabled."""
    raise _no_bridge(peer)


def _no_recorder(peer: SocketPeer) -> RecordingDisabled:
    if not peer.seated().room.state.live.settings.recording:
        return RecordingDisabled("recording is switched off for this meeting")
    return RecordingDisabled("this installation has no recorder")


def _no_bridge(peer: SocketPeer) -> StreamingDisabled:
    if not peer.seated().room.state.live.settings.streaming:
        return StreamingDisabled("live streaming is switched off for this meeting")
    return StreamingDisabled("this installation has no streaming bridge")
