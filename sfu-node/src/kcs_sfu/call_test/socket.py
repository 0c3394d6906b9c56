"""A Socket.IO client for one namespace over a WebSocket: requests and their acknowledgements.

Sources: https://socket.io/docs/v4/socket-io-protocol/, .../engine-io-protocol/, RFC 6455.
"""

import asyncio
import base64
import os
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import orjson

_TEXT, _CLOSE, _PING, _PONG = 0x1, 0x8, 0x9, 0xA
_NAMESPACE = "/meeting"
_MAX_FRAME = 4 * 1024 * 1024


class CallFailed(Exception):
    """The test call did not come about; the text says where."""


class Socket:
    """A connected socket; an async context manager."""

    def __init__(self, url: str, meeting_id: str, token: str):
        self._url, self._meeting_id, self._token = urlsplit(url), meeting_id, token
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._last_id = 0
        self._connected: asyncio.Future[None]
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter
        self._reading: asyncio.Task[None]

    async def __aenter__(self) -> Self:
        host, port = self._url.hostname or "", self._url.port or 80
        self._connected = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(10):
                self._reader, self._writer = await asyncio.open_connection(host, port)
                await self._upgrade()
                self._reading = asyncio.create_task(self._read())
                await self._connected
        except (OSError, TimeoutError) as error:
            raise CallFailed(f"signaling at {host}:{port} does not answer: {error!r}") from error
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)
        self._writer.close()

    async def request(self, event: str, data: dict[str, Any]) -> Any:
        """The `data` of the event's acknowledgement.

        Raises:
            CallFailed: it was refused, or none came within 10 s.
        """
        self._last_id += 1
        number, answer = self._last_id, asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        body = orjson.dumps([event, data]).decode()
        self._send(f"42{_NAMESPACE},{number}{body}")
        try:
            envelope = await asyncio.wait_for(answer, 10)
        except TimeoutError:
            raise CallFailed(f"{event}: signaling did not answer within 10 s") from None
        if not envelope["ok"]:
            error = envelope["error"]
            raise CallFailed(f"{event} was refused: {error['code']}: {error['message']}")
        return envelope["data"]

    async def _upgrade(self) -> None:
        key = base64.b64encode(os.urandom(16)).decode()
        path = f"/socket.io/?EIO=4&transport=websocket&meeting={self._meeting_id}"
        head = (
            f"GET {path} HTTP/1.1\r\nHost: {self._url.netloc}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n"
        )
        self._writer.write(head.encode())
        answer = await self._reader.readuntil(b"\r\n\r\n")
        if b" 101 " not in answer.split(b"\r\n")[0]:
            raise CallFailed(f"no WebSocket at {self._url.netloc}: {answer[:100]!r}")

    async def _read(self) -> None:
        try:
            while True:
                kind, payload = await self._frame()
                if kind == _TEXT:
                    self._packet(payload.decode())
                elif kind == _PING:
                    self._send(payload.decode(), _PONG)
                elif kind == _CLOSE:
                    raise CallFailed("signaling closed the socket")
        except (OSError, asyncio.IncompleteReadError) as error:
            self._fail(CallFailed(f"the socket was lost: {error!r}"))
        except CallFailed as error:
            self._fail(error)

    def _fail(self, error: CallFailed) -> None:
        for future in (self._connected, *self._waiting.values()):
            if not future.done():
                future.set_exception(error)

    async def _frame(self) -> tuple[int, bytes]:
        head, length = await self._reader.readexactly(2)
        if length >= 126:
            size = await self._reader.readexactly(2 if length == 126 else 8)
            length = int.from_bytes(size)
        if length > _MAX_FRAME:
            raise CallFailed(f"a frame of {length} bytes")
        return head & 0x0F, await self._reader.readexactly(length)

    def _packet(self, packet: str) -> None:
        if packet == "2":
            self._send("3")
        elif packet.startswith("0"):
            self._send(f"40{_NAMESPACE},{orjson.dumps({'token': self._token}).decode()}")
        elif packet.startswith(f"40{_NAMESPACE},"):
            self._connected.set_result(None)
        elif packet.startswith(f"44{_NAMESPACE},"):
            raise CallFailed(f"signaling refused the token: {packet[:200]}")
        elif packet.startswith(f"43{_NAMESPACE},"):
            number, bracket, rest = packet[len(_NAMESPACE) + 3 :].partition("[")
            future = self._waiting.pop(int(number), None)
            if future is not None and not future.done():
                future.set_result(orjson.loads(bracket + rest)[0])

    def _send(self, text: str, kind: int = _TEXT) -> None:
        """One frame, masked with zeros, which leaves the payload as it is."""
        payload = text.encode()
        size = len(payload)
        length = bytes((0x80 | size,)) if size < 126 else b"\xfe" + size.to_bytes(2)
        self._writer.write(bytes((0x80 | kind,)) + length + b"\0\0\0\0" + payload)
