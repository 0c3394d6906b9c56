# mypy: disable-error-code="no-untyped-call"
# (socketio ships no types)
"""The stock counterpart: python-socketio and uvicorn as they come, with node_server.js's handlers.

It shows what our own server gains over the library that it stands on. stock_server.py REDIS_URL
"""

import asyncio
import socket
import sys
from typing import Any, Literal

import socketio
import uvicorn
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from redis.asyncio import Redis


class _Payload(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Join(_Payload):
    meeting_id: str = Field(min_length=1, max_length=64)
    user_id: str = Field(min_length=1, max_length=128)
    display_name: str = Field(min_length=1, max_length=80)


class Consume(_Payload):
    producer_id: str = Field(min_length=1, max_length=64)
    rtp_capabilities: dict[str, Any] | None = None


class Toggle(_Payload):
    meeting_id: str = Field(min_length=1, max_length=64)
    kind: Literal["audio", "video"]
    enabled: bool


PAYLOADS: dict[str, type[_Payload]] = {
    "room:join": Join,
    "consume": Consume,
    "media:toggle": Toggle,
}
ALLOWED = {"participant": frozenset(PAYLOADS)}


class Refused(Exception):
    def __init__(self, code: str, message: str):
        super().__init__(message)
        self.code = code


class Meeting(socketio.AsyncNamespace):
    """The namespace `/meeting`."""

    def __init__(self, redis: Redis):
        super().__init__("/meeting")
        self._redis = redis
        self._peers: dict[str, dict[str, Any]] = {}

    async def on_connect(self, sid: str, environ: object, auth: dict[str, str]) -> None:
        if not auth.get("token"):
            raise ConnectionRefusedError("Authentication failed")
        self._peers[sid] = {"role": "participant", "meeting": None, "user": None, "producers": {}}

    async def on_disconnect(self, sid: str, reason: str) -> None:
        del self._peers[sid]

    async def trigger_event(self, event: str, *args: Any) -> Any:
        """An envelope for each request that names an event of ours."""
        if event not in PAYLOADS:
            return await super().trigger_event(event, *args)
        sid, data = args
        peer = self._peers[sid]
        try:
            payload = PAYLOADS[event].model_validate(data)
            if event not in ALLOWED[peer["role"]]:
                raise Refused("ACCESS_DENIED", "not in your role")
            if event != "room:join" and not peer["meeting"]:
                raise Refused("NOT_JOINED", "join first")
            return {"ok": True, "data": await self._do(sid, peer, payload)}
        except ValidationError as error:
            return {"ok": False, "error": {"code": "INVALID_REQUEST", "message": str(error)}}
        except Refused as error:
            return {"ok": False, "error": {"code": error.code, "message": str(error)}}

    async def _do(self, sid: str, peer: dict[str, Any], payload: _Payload) -> dict[str, Any]:
        match payload:
            case Join():
                peer["user"], peer["meeting"] = payload.user_id, payload.meeting_id
                await self.enter_room(sid, payload.meeting_id)
            case Consume():
                if payload.producer_id not in peer["producers"]:
                    raise Refused("NOT_FOUND", "there is no such producer in the meeting")
            case Toggle():
                field = f"{peer['user']}:{payload.kind}"
                await self._redis.hset(f"bench:{peer['meeting']}", field, str(payload.enabled))
                update = {"meeting_id": peer["meeting"], "user_id": peer["user"]}
                update |= {"kind": payload.kind, "enabled": payload.enabled}
                await self.emit("participant:media:updated", update, room=peer["meeting"])
        return payload.model_dump()


class Announcing(uvicorn.Server):
    """Prints its port once it listens."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        print(self.servers[0].sockets[0].getsockname()[1], flush=True)


async def main() -> None:
    """Serves until stdin ends."""
    server = socketio.AsyncServer(async_mode="asgi")
    server.register_namespace(Meeting(Redis.from_url(sys.argv[1])))
    app = socketio.ASGIApp(server)
    web = Announcing(uvicorn.Config(app, port=0, log_level="error", access_log=False))
    serving = asyncio.create_task(web.serve())
    await asyncio.to_thread(sys.stdin.read)
    web.should_exit, web.force_exit = True, True
    await serving


if __name__ == "__main__":
    asyncio.run(main())
