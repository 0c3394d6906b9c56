"""The ASGI application: Socket.IO at `/socket.io/`, REST and the web client everywhere else.

Starting and stopping are ASGI's lifespan: between its two ends the rooms listen to the bus and
keep presences. Whoever runs the application closes `sockets` before it ends the lifespan.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.types import ASGIApp, Receive, Scope, Send

from kcs_signaling.adapters.socket_server import SocketServer
from kcs_signaling.dialects.client import ClientDialect
from kcs_signaling.dialects.meeting import MeetingDialect
from kcs_signaling.dialects.room_services import make_room_services
from kcs_signaling.dialects.tending import RoomTending
from kcs_signaling.http.app import build_http
from kcs_signaling.records import Retention
from kcs_signaling.service.departures import Departures
from kcs_signaling.service.nodes import RoomNodes
from kcs_signaling.service.presence import RoomPresence, touch_interval_s
from kcs_signaling.service.registry import RoomRegistry
from kcs_signaling.services import Services

_SOCKET_PATH = "/socket.io"
_GRACE_MARGIN_S = 1.5


class App:
    """What `build` makes."""

    def __init__(self, services: Services):
        settings = services.settings
        self.http: ASGIApp = build_http(services)
        nodes = RoomNodes(services.placement, services.nodes)
        grace_s = touch_interval_s(settings.meeting) + _GRACE_MARGIN_S
        self.registry = RoomRegistry(services.placement, services.redis, grace_s)
        room_services = make_room_services(services, self.registry, nodes)
        self.presence = RoomPresence(
            settings.meeting, services.placement, self.registry, services.records.journal
        )
        self._outbox = room_services.outbox
        self._turn, self._placement = services.turn, services.placement
        self.departures = Departures(services.placement, nodes)
        self.moving = room_services.moving
        dialects = [kind(room_services) for kind in (MeetingDialect, ClientDialect)]
        self.tending = RoomTending(
            room_services, self.registry, nodes, dialects, services.pseudonyms
        )
        self.sockets = SocketServer(settings, dialects)
        self.retention = Retention(settings.retention, services.records.database, services.redis)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["path"].rstrip("/") == _SOCKET_PATH:
            await self.sockets(scope, receive, send)
        elif scope["type"] == "http":
            await self.http(scope, receive, send)
        else:
            await send({"type": "websocket.close"})

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        async with self._running():
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})

    @asynccontextmanager
    async def _running(self) -> AsyncIterator[None]:
        async with self.registry:
            loops = [
                asyncio.create_task(self.presence.run()),
                asyncio.create_task(self.departures.run()),
                asyncio.create_task(self.moving.run()),
                asyncio.create_task(self.tending.run()),
                asyncio.create_task(self.retention.run()),
                asyncio.create_task(self._turn.follow(self._placement)),
            ]
            try:
                yield
            finally:
                for loop in loops:
                    loop.cancel()
                await asyncio.gather(*loops, return_exceptions=True)
                await self._outbox.close()


def build(services: Services) -> App:
    """The application over these services; it runs between its lifespan's two ends."""
    return App(services)
