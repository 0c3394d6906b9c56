"""WebSocket frames (RFC 6455) as clients and networks may cut them."""

import asyncio
import base64
import os
import struct
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from tests.kcs_signaling.conftest import MakeClient
from tests.support.fake_node import FakeNode
from tests.support.signaling import Signaling

from kcs_contracts import node_api as api

ASK = '42/meeting,%d["no-such-event"]'


class Wire:
    """A TCP connection after the WebSocket handshake, in the namespace."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter):
        self.reader, self.writer = reader, writer

    @classmethod
    async def open(cls, signaling: Signaling) -> "Wire":
        address = urlsplit(signaling.url)
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        key = base64.b64encode(os.urandom(16)).decode()
        writer.write(
            f"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\nUpgrade: websocket"
            f"\r\nConnection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13"
            "\r\n\r\n".encode()
        )
        assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
        wire = cls(reader, writer)
        assert (await wire.receive())[1].startswith(b"0{")
        wire.send(text=f'40/meeting,{{"token":"{signaling.access("ann")}"}}')
        assert (await wire.receive())[1].startswith(b"40/meeting,")
        return wire

    def send(self, text: str = "", **more: int) -> None:
        self.writer.write(frame(text.encode(), **more))

    async def receive(self) -> tuple[int, bytes]:
        """Opcode and body; (0, b"") is the end."""
        try:
            async with asyncio.timeout(5):
                first, length = await self.reader.readexactly(2)
                if length == 126:
                    (length,) = struct.unpack("!H", await self.reader.readexactly(2))
                elif length == 127:
                    (length,) = struct.unpack("!Q", await self.reader.readexactly(8))
                return first & 0x0F, await self.reader.readexactly(length)
        except (asyncio.IncompleteReadError, ConnectionResetError):
            return 0, b""

    async def answered(self, number: int) -> bool:
        opcode, body = await self.receive()
        return opcode == 1 and body.startswith(b"43/meeting,%d[" % number)


def frame(body: bytes, opcode: int = 1, fin: int = 1, masked: int = 1, claims: int = -1) -> bytes:
    """A client's frame; `claims` is the length that it says it has."""
    size = len(body) if claims < 0 else claims
    mask = os.urandom(4)
    head = bytes([fin << 7 | opcode])
    if size < 126:
        head += bytes([masked << 7 | size])
    elif size < 65_536:
        head += struct.pack("!BH", masked << 7 | 126, size)
    else:
        head += struct.pack("!BQ", masked << 7 | 127, size)
    if not masked:
        return head + body
    return head + mask + bytes(byte ^ mask[at % 4] for at, byte in enumerate(body))


@pytest.fixture
async def wire(signaling: Signaling) -> AsyncIterator[Wire]:
    one = await Wire.open(signaling)
    yield one
    one.writer.close()


async def test_many_frames_in_one_segment_are_each_answered_in_order(wire: Wire) -> None:
    wire.writer.write(b"".join(frame((ASK % n).encode()) for n in range(20)))
    for number in range(20):
        assert await wire.answered(number)


async def test_a_frame_may_come_byte_by_byte(wire: Wire) -> None:
    for byte in frame((ASK % 1).encode()) + frame(b'42/meeting,2["' + b"x" * 300 + b'"]'):
        wire.writer.write(bytes([byte]))
        await wire.writer.drain()
        await asyncio.sleep(0.0005)
    assert await wire.answered(1)
    assert await wire.answered(2)


async def test_a_message_may_come_in_fragments_with_a_ping_between(wire: Wire) -> None:
    text = ASK % 7
    wire.send(text[:5], fin=0)
    wire.send("are you there", opcode=9)
    wire.send(text[5:9], opcode=0, fin=0)
    wire.send(text[9:], opcode=0)
    wire.send(ASK % 8)
    assert await wire.receive() == (10, b"are you there")
    assert await wire.answered(7)
    assert await wire.answered(8)


async def test_fragments_are_bounded_together(wire: Wire) -> None:
    wire.send("42" + "x" * 40_000, fin=0)
    wire.send("x" * 40_000, opcode=0)
    opcode, body = await wire.receive()
    assert (opcode, body[:2]) == (8, struct.pack("!H", 1009))


@pytest.mark.parametrize(
    "bad",
    [
        frame(b"42", masked=0),
        frame(b"42" * 100, masked=0),
        frame(b"42", opcode=3),
        b"\xc1" + frame(b"42")[1:],
        frame(b"x", opcode=0),
        frame(b"x", claims=10_000_000),
        frame(b"x", claims=2**62),
        frame(b"42", fin=0) + frame(b"42"),
        frame(b"\xff\xfe"),
    ],
    ids=["unmasked", "long", "opcode", "rsv", "continuation", "10 MB", "huge", "two", "no utf-8"],
)
async def test_a_broken_frame_closes_the_connection(wire: Wire, bad: bytes) -> None:
    wire.writer.write(bad)
    opcode, _ = await wire.receive()
    assert opcode in (0, 8)


async def test_a_handler_that_fails_is_acknowledged_with_internal_error_and_logged(
    signaling: Signaling, node: FakeNode, clients: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    meeting = await signaling.create_meeting("ann")
    ann = await clients(signaling, "/meeting", "ann")
    await ann.get("room:join", {"meeting_id": meeting})
    answer_of = node._do

    def answers_something_else(room: Any, op: api.Operation) -> api.Answer:
        if isinstance(op, api.CreateTransport):
            return api.Done()  # not what the contract says
        return answer_of(room, op)

    monkeypatch.setattr(node, "_do", answers_something_else)
    create = {"meeting_id": meeting, "direction": "send"}
    assert await ann.refused("transport:create", create) == "INTERNAL_ERROR"
    monkeypatch.undo()
    assert await ann.get("transport:create", create)
    assert any(line["event"] == "command_failed" for line in signaling.lines)
