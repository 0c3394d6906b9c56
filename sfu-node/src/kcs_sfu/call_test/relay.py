"""The browser's part of ICE between two transports that both wait for the other to begin.

Each side gets connectivity checks with USE-CANDIDATE from a socket of the relay's, so that it takes
the relay for its peer; everything else that comes from one side goes to the other.
Source: RFC 8489 (STUN), RFC 8445 (ICE), RFC 7983 (which packet is what).
"""

import asyncio
import hashlib
import hmac
import os
import struct
import zlib
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self, cast

from kcs_sfu.call_test.socket import CallFailed

_MAGIC = 0x2112A442
_CHECK_S = 2.0
_FIRST_BYTE_OF_MEDIA = 20
"""Below it: STUN; from it on: DTLS, SRTP, SRTCP."""


def binding_request(ufrag: str, password: str) -> bytes:
    """A connectivity check of a controlling agent."""

    def attribute(kind: int, value: bytes) -> bytes:
        return struct.pack("!HH", kind, len(value)) + value + bytes(-len(value) % 4)

    transaction = os.urandom(12)

    def head(size: int) -> bytes:
        return struct.pack("!HHI", 0x0001, size, _MAGIC) + transaction

    body = attribute(0x0006, f"{ufrag}:call-test".encode())
    body += attribute(0x0024, struct.pack("!I", 1853824767))
    body += attribute(0x802A, os.urandom(8)) + attribute(0x0025, b"")
    digest = hmac.new(password.encode(), head(len(body) + 24) + body, hashlib.sha1).digest()
    body += attribute(0x0008, digest)
    checksum = zlib.crc32(head(len(body) + 8) + body) ^ 0x5354554E
    return head(len(body) + 8) + body + attribute(0x8028, struct.pack("!I", checksum))


class _Side(asyncio.DatagramProtocol):
    """One socket; `other` gets what is no STUN."""

    def __init__(self) -> None:
        self.transport: asyncio.DatagramTransport
        self.other: _Side | None = None
        self.answered = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: object) -> None:
        if data[:2] == b"\x01\x01":
            self.answered.set()
        elif data and data[0] >= _FIRST_BYTE_OF_MEDIA and self.other is not None:
            self.other.transport.sendto(data)


class Relay:
    """Between two transports, given as signaling gives them; an async context manager."""

    def __init__(self, ours: Mapping[str, Any], theirs: Mapping[str, Any]):
        self._ends = (ours, theirs)
        self._sides: list[_Side] = []
        self._checking: asyncio.Task[None]

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        for end in self._ends:
            address = _udp_address(end)
            _, side = await loop.create_datagram_endpoint(_Side, remote_addr=address)
            self._sides.append(side)
        self._sides[0].other, self._sides[1].other = self._sides[1], self._sides[0]
        self._checking = asyncio.create_task(self._check())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._checking.cancel()
        await asyncio.gather(self._checking, return_exceptions=True)
        for side in self._sides:
            side.transport.close()

    async def connected(self, seconds: float = 10) -> None:
        """Returns when both sides have answered a check.

        Raises:
            CallFailed: the SFU node's media port answers nothing.
        """
        try:
            async with asyncio.timeout(seconds):
                for side in self._sides:
                    await side.answered.wait()
        except TimeoutError:
            host, port = _udp_address(self._ends[1])
            raise CallFailed(
                f"the SFU node's media port {host}:{port}/UDP does not answer: is it open, and is "
                "the announced address the right one?"
            ) from None

    async def _check(self) -> None:
        while True:
            for end, side in zip(self._ends, self._sides, strict=True):
                ice = end["ice_parameters"]
                side.transport.sendto(binding_request(ice["usernameFragment"], ice["password"]))
            heard = all(side.answered.is_set() for side in self._sides)
            await asyncio.sleep(_CHECK_S if heard else 0.2)


def _udp_address(end: Mapping[str, Any]) -> tuple[str, int]:
    for candidate in end["ice_candidates"]:
        if candidate["protocol"] == "udp":
            return str(candidate.get("address") or candidate["ip"]), int(candidate["port"])
    raise CallFailed("the transport has no UDP candidate")
