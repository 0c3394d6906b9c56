"""RTP and STUN packets for the driver's tests, and a wait for events."""

import asyncio
import hashlib
import hmac
import os
import socket
import struct
import zlib
from collections.abc import Callable, Iterable
from typing import TypeVar

from kcs_sfu.mediasoup.emitter import Emitter

E = TypeVar("E")


def rtp_packet(
    *, payload_type: int, sequence: int, ssrc: int, payload: bytes, extensions: dict[int, bytes]
) -> bytes:
    """RFC 3550, with one-byte header extensions (RFC 8285). 20 ms per packet at 48 kHz."""
    elements = b"".join(
        bytes([number << 4 | len(value) - 1]) + value for number, value in extensions.items()
    )
    elements += bytes(-len(elements) % 4)
    head = struct.pack(
        "!BBHII", 0x90, payload_type, sequence & 0xFFFF, sequence * 960 & 0xFFFFFFFF, ssrc
    )
    return head + struct.pack("!HH", 0xBEDE, len(elements) // 4) + elements + payload


def audio_packets(ssrc: int, count: int, level: int, first: int = 1) -> Iterable[bytes]:
    """Opus packets of the producer in the fixture `audio_parameters`; `level` is in -dBov."""
    for sequence in range(first, first + count):
        yield rtp_packet(
            payload_type=111,
            sequence=sequence,
            ssrc=ssrc,
            payload=b"opus %d" % sequence,
            extensions={10: b"AUDIO", 12: bytes([0x80 | level])},
        )


def stun_binding(username: str, password: str) -> bytes:
    """A connectivity check with USE-CANDIDATE, as a controlling ICE agent sends it (RFC 8445)."""

    def attribute(kind: int, value: bytes) -> bytes:
        return struct.pack("!HH", kind, len(value)) + value + bytes(-len(value) % 4)

    body = (
        attribute(0x0006, username.encode())
        + attribute(0x0024, struct.pack("!I", 1853824767))
        + attribute(0x802A, os.urandom(8))
        + attribute(0x0025, b"")
    )
    transaction = os.urandom(12)

    def head(size: int) -> bytes:
        return struct.pack("!HHI", 0x0001, size, 0x2112A442) + transaction

    digest = hmac.new(password.encode(), head(len(body) + 24) + body, hashlib.sha1).digest()
    body += attribute(0x0008, digest)
    checksum = zlib.crc32(head(len(body) + 8) + body) ^ 0x5354554E
    body += attribute(0x8028, struct.pack("!I", checksum))
    return head(len(body)) + body


def udp_socket() -> socket.socket:
    """Bound to a free port of the loopback interface, for asyncio."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    sock.setblocking(False)
    return sock


async def next_event(
    emitter: Emitter, kind: type[E], matches: Callable[[E], bool] = lambda _: True
) -> E:
    """Waits up to 5 s for an event that matches."""
    future: asyncio.Future[E] = asyncio.get_running_loop().create_future()

    def heard(event: E) -> None:
        if matches(event) and not future.done():
            future.set_result(event)

    unsubscribe = emitter.on(kind, heard)
    try:
        return await asyncio.wait_for(future, 5)
    finally:
        unsubscribe()
