"""A TURN client of a few lines: allocates with long-term credentials and asks for permissions.

Source: RFC 8489 (STUN, section 9.2 for the credentials), RFC 8656 (TURN).
"""

import hashlib
import hmac
import ipaddress
import secrets
import socket
import ssl
import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Self

MAGIC = struct.pack("!I", 0x2112A442)
ALLOCATE, CREATE_PERMISSION, CHANNEL_BIND = 0x003, 0x008, 0x009
USERNAME, INTEGRITY, ERROR, PEER, REALM, NONCE = 0x0006, 0x0008, 0x0009, 0x0012, 0x0014, 0x0015
CHANNEL_NUMBER, RELAYED, FAMILY, TRANSPORT = 0x000C, 0x0016, 0x0017, 0x0019
SUCCESS = 0


@dataclass
class Answer:
    """`code` is 0, or the error's."""

    code: int
    attributes: dict[int, bytes]

    @property
    def relayed(self) -> tuple[str, int]:
        """XOR-RELAYED-ADDRESS, IPv4."""
        _, _, port, address = struct.unpack("!BBH4s", self.attributes[RELAYED])
        mask = struct.unpack("!H", MAGIC[:2])[0]
        plain = bytes(a ^ b for a, b in zip(address, MAGIC, strict=True))
        return str(IPv4Address(plain)), port ^ mask


class TurnClient:
    """One client on one socket; a context manager."""

    def __init__(
        self, port: int, username: str, password: str, over: str = "udp", ca: str | None = None
    ):
        self._username, self._password = username, password
        self._realm = self._nonce = b""
        self._channel = 0x4000
        kind = socket.SOCK_DGRAM if over == "udp" else socket.SOCK_STREAM
        self._socket = socket.socket(type=kind)
        self._socket.settimeout(5)
        self._socket.connect(("127.0.0.1", port))
        if over == "tls":
            context = ssl.create_default_context(cafile=ca)
            self._socket = context.wrap_socket(self._socket, server_hostname="127.0.0.1")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def allocate(self, family: int | None = None, protocol: int = 17) -> Answer:
        """A relay; the first answer (401) brings realm and nonce, the second one counts."""
        wanted = [(TRANSPORT, bytes([protocol, 0, 0, 0]))]
        if family is not None:
            wanted.append((FAMILY, bytes([family, 0, 0, 0])))
        challenge = self._ask(ALLOCATE, wanted)
        assert challenge.code == 401, f"nobody allocates without credentials: {challenge}"
        self._realm, self._nonce = challenge.attributes[REALM], challenge.attributes[NONCE]
        return self._ask(ALLOCATE, wanted)

    def permit(self, peer: str) -> int:
        """CreatePermission for a peer; 0 or the error's code."""
        return self._ask(CREATE_PERMISSION, [], peer).code

    def bind_channel(self, peer: str) -> int:
        """ChannelBind of a fresh channel, which is a permission too; 0 or the error's code."""
        self._channel += 1
        channel = (CHANNEL_NUMBER, struct.pack("!HH", self._channel, 0))
        return self._ask(CHANNEL_BIND, [channel], peer).code

    def _ask(
        self, method: int, attributes: list[tuple[int, bytes]], peer: str | None = None
    ) -> Answer:
        transaction = secrets.token_bytes(12)
        if peer is not None:
            attributes = [*attributes, (PEER, _peer(peer, transaction))]
        if self._nonce:
            name = self._username.encode()
            attributes = [*attributes, (USERNAME, name), (REALM, self._realm)]
            attributes.append((NONCE, self._nonce))
        body = b"".join(_attribute(kind, value) for kind, value in attributes)
        if self._nonce:
            head = struct.pack("!HH", method, len(body) + 24) + MAGIC + transaction
            secret = f"{self._username}:{self._realm.decode()}:{self._password}"
            key = hashlib.md5(secret.encode()).digest()
            body += _attribute(INTEGRITY, hmac.digest(key, head + body, "sha1"))
        self._socket.sendall(struct.pack("!HH", method, len(body)) + MAGIC + transaction + body)
        answer = self._socket.recv(4096)
        assert answer[4:20] == MAGIC + transaction
        return _read(answer[20:])


def _peer(text: str, transaction: bytes, port: int = 40000) -> bytes:
    """XOR-PEER-ADDRESS; the mask is the magic cookie, and for IPv6 the transaction behind it."""
    address = ipaddress.ip_address(text)
    mask = MAGIC + transaction
    packed = bytes(a ^ b for a, b in zip(address.packed, mask, strict=False))
    family = 2 if isinstance(address, IPv6Address) else 1
    return struct.pack("!BBH", 0, family, port ^ 0x2112) + packed


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("!HH", kind, len(value)) + value + bytes(-len(value) % 4)


def _read(body: bytes) -> Answer:
    attributes: dict[int, bytes] = {}
    while body:
        kind, length = struct.unpack("!HH", body[:4])
        attributes[kind] = body[4 : 4 + length]
        body = body[4 + length + -length % 4 :]
    error = attributes.get(ERROR)
    return Answer(error[2] * 100 + error[3] if error else SUCCESS, attributes)
