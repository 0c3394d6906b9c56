"""What both dialects say alike about media."""

from typing import Any

from kcs_contracts.protocol import media as events
from kcs_contracts.protocol.views import IceServers, MeetingNamed
from kcs_signaling.dialects.table import Dialect, Handlers, SocketPeer
from kcs_signaling.dialects.welcome import ice_servers

handlers = Handlers()
Any_ = Dialect[Any]


@handlers.of(events.RESTART_ICE)
async def restart_ice(
    dialect: Any_, peer: SocketPeer, request: events.TransportNamed
) -> events.IceRestarted:
    """A transport that lost its way."""
    parameters = await dialect.services.transports.restart_ice(
        peer, request.transport_id, epoch=request.epoch
    )
    return {"transport_id": request.transport_id, "ice_parameters": parameters}


@handlers.of(events.REFRESH_ICE)
async def refresh_ice(dialect: Any_, peer: SocketPeer, request: events.IceRefresh) -> IceServers:
    """New TURN credentials."""
    return ice_servers(dialect.services, peer)


@handlers.of(events.CLOSE_PRODUCER)
async def close_producer(
    dialect: Any_, peer: SocketPeer, request: events.ProducerNamed
) -> events.ProducerIs:
    """The end of one of the peer's streams."""
    await dialect.services.producers.close(peer, request.producer_id, epoch=request.epoch)
    return {"producer_id": request.producer_id}


@handlers.of(events.CLOSE_CONSUMER)
async def close_consumer(
    dialect: Any_, peer: SocketPeer, request: events.ConsumerNamed
) -> events.ConsumerIs:
    """Received no longer."""
    await dialect.services.consumers.close(peer, request.consumer_id, epoch=request.epoch)
    return {"consumer_id": request.consumer_id}


@handlers.of(events.TOGGLE)
async def toggle(
    dialect: Any_, peer: SocketPeer, request: events.MediaToggle
) -> events.MediaToggled:
    """Microphone or camera."""
    await dialect.services.producers.toggle(peer, request.kind, request.enabled)
    return {
        "meeting_id": request.meeting_id,
        "kind": request.kind,
        "enabled": request.enabled,
    }


@handlers.of(events.START_SCREEN)
async def start_screen(
    dialect: Any_, peer: SocketPeer, request: events.ScreenStart
) -> MeetingNamed:
    """A place for a screen."""
    await dialect.services.screens.start(peer)
    return {"meeting_id": request.meeting_id}


@handlers.of(events.STOP_SCREEN)
async def stop_screen(dialect: Any_, peer: SocketPeer, request: events.ScreenStop) -> MeetingNamed:
    """The end of a screen."""
    await dialect.services.screens.stop(peer, request.target_user_id)
    return {"meeting_id": request.meeting_id}
