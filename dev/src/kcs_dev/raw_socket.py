"""A Socket.IO client that costs as little as possible: text packets on a WebSocket of its own.

Load generators use it, so that what they measure is the server and not themselves: one frame is
written per request, nothing but the packet's head is read of an answer.
Source: https://socket.io/docs/v4/socket-io-protocol/, .../engine-io-protocol/, RFC 6455
"""

import asyncio
import struct
import time
from collections.abc import Callable
from typing import Any, Self, cast
from urllib.parse import urlsplit

import orjson

_TEXT, _CLOSE, _PING, _PONG = 0x81, 0x88, 0x89, 0x8A
_HANDSHAKE = (
    "GET /socket.io/?EIO=4&transport=websocket{query} HTTP/1.1\r\nHost: {host}\r\n"
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)


class Refused(Exception):
    """The server refused the connection, or answered a request with an error, or hung up."""


class RawSocket(asyncio.Protocol):
    """One connected socket of a namespace.

    `events` counts what the server sent unasked; `packets` and `bytes` that, and the answers.
    """

    def __init__(self, namespace: str, token: str):
        place = "" if namespace == "/" else f"{namespace},"
        self._connect = f"40{place}{orjson.dumps({'token': token}).decode()}".encode()
        self._connected, self._refused = f"40{place}".encode(), f"44{place}".encode()
        self._event, self._ack = f"42{place}".encode(), f"43{place}".encode()
        self._transport: asyncio.Transport
        self._buffer = bytearray()
        self._upgraded = False
        self._ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._last_id = 0
        self._waiting: dict[int, Callable[[bytes], None]] = {}
        self.events = self.packets = self.bytes = 0
        self.on_event: Callable[[bytes], None] | None = None
        self.lost = False

    @classmethod
    async def connect(cls, url: str, namespace: str, token: str, timeout_s: float = 10) -> Self:
        """A socket on the server at `url`, connected to the namespace with that token.

        What the URL has after a question mark goes into the handshake's.

        Raises:
            Refused: the server did not let it in.
        """
        host = urlsplit(url)
        if not host.hostname or not host.port:
            raise ValueError(f"{url} names no host and port")
        loop = asyncio.get_running_loop()
        transport, socket = await loop.create_connection(
            lambda: cls(namespace, token), host.hostname, host.port
        )
        query = f"&{host.query}" if host.query else ""
        transport.write(_HANDSHAKE.format(host=host.netloc, query=query).encode())
        try:
            async with asyncio.timeout(timeout_s):
                await socket._ready
        except BaseException:
            transport.abort()
            raise
        return socket

    def close(self) -> None:
        """Hangs up without a word to the namespace."""
        self._transport.abort()

    def fire(self, body: bytes, on_ack: Callable[[bytes], None]) -> None:
        """Sends an event, `body` being `["name",{...}]`; `on_ack` gets the raw acknowledgement."""
        self._last_id += 1
        self._waiting[self._last_id] = on_ack
        self._send(b"%b%d%b" % (self._event, self._last_id, body))

    async def request(self, event: str, data: dict[str, Any], timeout_s: float = 10) -> Any:
        """Sends an event and returns the `data` of its acknowledgement.

        Raises:
            Refused: it was `{"ok": false}`.
            TimeoutError: it did not come.
        """
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

        def answered(packet: bytes) -> None:
            if not answer.done():  # who waited may have given up
                answer.set_result(packet)

        self.fire(orjson.dumps([event, data]), answered)
        async with asyncio.timeout(timeout_s):
            packet = await answer
        envelope = orjson.loads(packet[packet.index(b"[") :])[0]
        if not envelope["ok"]:
            raise Refused(f"{event}: {envelope['error']}")
        return envelope["data"]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The TCP connection stands."""
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, error: Exception | None) -> None:
        """The server hung up, or we did."""
        self.lost = True
        if not self._ready.done():
            self._ready.set_exception(Refused("the server hung up"))

    def data_received(self, data: bytes) -> None:
        """Takes whole frames out of what came."""
        buffer = self._buffer
        buffer += data
        start = 0 if self._upgraded else self._after_handshake()
        while len(buffer) - start >= 2:
            length, head = buffer[start + 1], 2
            if length >= 126:
                head, layout = (4, ">H") if length == 126 else (10, ">Q")
                if len(buffer) - start < head:
                    break
                (length,) = struct.unpack_from(layout, buffer, start + 2)
            end = start + head + length
            if len(buffer) < end:
                break
            self._frame(buffer[start], bytes(buffer[start + head : end]))
            start = end
        del buffer[:start]

    def _after_handshake(self) -> int:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return 0
        status = bytes(self._buffer[: self._buffer.index(b"\r")])
        if b" 101 " not in status:
            if not self._ready.done():
                self._ready.set_exception(Refused(status.decode()))
            self._transport.abort()
        self._upgraded = True
        return end + 4

    def _frame(self, kind: int, payload: bytes) -> None:
        if kind == _TEXT:
            self._packet(payload)
        elif kind == _PING:
            self._send(payload, _PONG)
        elif kind == _CLOSE:
            self._transport.close()

    def _packet(self, packet: bytes) -> None:
        if packet.startswith(b"4"):
            self.packets += 1
            self.bytes += len(packet)
        if packet.startswith(self._event):
            self.events += 1
            if self.on_event:
                self.on_event(packet)
        elif packet.startswith(self._ack):
            number = packet[len(self._ack) : packet.index(b"[")]
            self._waiting.pop(int(number))(packet)
        elif packet == b"2":
            self._send(b"3")
        elif packet.startswith(b"0"):
            self._send(self._connect)
        elif packet.startswith(self._connected):
            self._ready.set_result(None)
        elif packet.startswith(self._refused) and not self._ready.done():
            self._ready.set_exception(Refused(packet.decode()))

    def _send(self, payload: bytes, kind: int = _TEXT) -> None:
        """One frame, masked with zeros, which leaves the payload as it is."""
        length = len(payload)
        if length < 126:
            head = bytes((kind, 0x80 | length))
        else:
            head = struct.pack(">BBH", kind, 0x80 | 126, length)
        self._transport.write(b"%b\0\0\0\0%b" % (head, payload))


class Latencies:
    """Acknowledgement times of fired requests, in s, and how many of them said `ok`."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.fired = self.ok = 0

    def fire(self, socket: RawSocket, body: bytes) -> None:
        """Fires one request and notes its acknowledgement."""
        began = time.perf_counter()
        self.fired += 1

        def acknowledged(packet: bytes) -> None:
            self.seconds.append(time.perf_counter() - began)
            self.ok += b'"ok":true' in packet

        socket.fire(body, acknowledged)
