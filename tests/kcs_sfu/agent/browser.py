"""The browser's end of one transport: ICE by hand, DTLS by openssl, SRTP by libsrtp."""

import asyncio
import datetime
import hmac
import os
import re
import shutil
import socket
import struct
import zlib
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pylibsrtp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from kcs_contracts import node_api as api
from kcs_contracts.ids import ParticipantId

_SUITE = ("SRTP_AES128_CM_SHA1_80", pylibsrtp.Policy.SRTP_PROFILE_AES128_CM_SHA1_80)
_KEY, _SALT = 16, 14
_RTCP_TYPES = range(192, 224)


def _binding_request(ice: dict[str, Any]) -> bytes:
    """What a browser sends first: RFC 8489 with the attributes of RFC 8445."""

    def attribute(kind: int, value: bytes) -> bytes:
        return struct.pack(">HH", kind, len(value)) + value + bytes(-len(value) % 4)

    def header(length: int) -> bytes:
        return struct.pack(">HHI12s", 1, length, 0x2112A442, b"transaction!")

    body = attribute(0x0006, f"{ice['usernameFragment']}:browser".encode())
    body += attribute(0x0024, struct.pack(">I", 1)) + attribute(0x802A, bytes(8))
    body += attribute(0x0025, b"")
    signed = header(len(body) + 24) + body
    body += attribute(0x0008, hmac.digest(ice["password"].encode(), signed, "sha1"))
    checked = header(len(body) + 8) + body
    body += attribute(0x8028, struct.pack(">I", zlib.crc32(checked) ^ 0x5354554E))
    return header(len(body)) + body


def _certificate(folder: Path) -> tuple[Path, str]:
    """A PEM file with key and certificate, and its fingerprint as in SDP."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "browser")])
    now = datetime.datetime.now(datetime.UTC)
    cert = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path = folder / f"{os.urandom(4).hex()}.pem"
    path.write_bytes(private + cert.public_bytes(serialization.Encoding.PEM))
    return path, cert.fingerprint(hashes.SHA256()).hex(":").upper()


class Browser:
    """A connected transport, seen from outside; `received` and `rtcp` are what came, decrypted."""

    def __init__(self, sock: socket.socket, openssl: Process):
        self._socket, self.openssl = sock, openssl
        self.received: list[bytes] = []
        self.rtcp: list[bytes] = []
        self._out: pylibsrtp.Session
        self._in: pylibsrtp.Session

    def send(self, rtp: bytes) -> None:
        """Encrypts and sends a packet."""
        self._socket.send(self._out.protect(rtp))

    def send_rtcp(self, packet: bytes) -> None:
        """Encrypts and sends a packet."""
        self._socket.send(self._out.protect_rtcp(packet))

    def _keys(self, material: bytes) -> None:
        """RFC 5764: client key, server key, client salt, server salt; openssl is the client."""
        keys, salts = material[: 2 * _KEY], material[2 * _KEY :]
        ours = keys[:_KEY] + salts[:_SALT]
        theirs = keys[_KEY:] + salts[_SALT:]
        policy, (_, profile) = pylibsrtp.Policy, _SUITE
        self._out = pylibsrtp.Session(policy(ours, policy.SSRC_ANY_OUTBOUND, srtp_profile=profile))
        self._in = pylibsrtp.Session(policy(theirs, policy.SSRC_ANY_INBOUND, srtp_profile=profile))

    def _media(self, packet: bytes) -> None:
        with suppress(AttributeError, pylibsrtp.Error):  # before the keys are known
            if packet[1] in _RTCP_TYPES:
                self.rtcp.append(self._in.unprotect_rtcp(packet))
            else:
                self.received.append(self._in.unprotect(packet))


@asynccontextmanager
async def browser(
    made: api.TransportCreated, connect: Callable[[dict[str, Any]], Awaitable[Any]], folder: Path
) -> AsyncIterator[Browser]:
    """Connects a transport that was made; `connect` hands the DTLS parameters to the node."""
    if shutil.which("openssl") is None:
        pytest.fail("the openssl program is not installed (Debian: apt-get install openssl)")
    pem, fingerprint = _certificate(folder)
    prints = [{"algorithm": "sha-256", "value": fingerprint}]
    await connect({"role": "client", "fingerprints": prints})
    media = next((c["ip"], c["port"]) for c in made.ice_candidates if c["protocol"] == "udp")
    loop = asyncio.get_running_loop()
    outer, inner = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
    for sock in (outer, inner):
        sock.bind(("127.0.0.1", 0))
        sock.setblocking(False)
    outer.connect(media)
    await loop.sock_sendall(outer, _binding_request(made.ice_parameters))
    answer = await asyncio.wait_for(loop.sock_recv(outer, 2048), 10)
    assert answer[:2] == b"\x01\x01", "no STUN success"
    openssl = await _openssl(pem, inner.getsockname()[1])
    first, client = await asyncio.wait_for(loop.sock_recvfrom(inner, 4096), 5)
    await loop.sock_sendall(outer, first)
    end = Browser(outer, openssl)

    async def to_node() -> None:
        while True:
            await loop.sock_sendall(outer, await loop.sock_recv(inner, 4096))

    async def from_node() -> None:
        while True:
            packet = await loop.sock_recv(outer, 4096)
            if 20 <= packet[0] <= 63:  # RFC 7983
                await loop.sock_sendto(inner, packet, client)
            elif packet[0] >= 128:
                end._media(packet)

    pumps = [asyncio.create_task(to_node()), asyncio.create_task(from_node())]
    try:
        end._keys(await asyncio.wait_for(_exported(openssl), 10))
        yield end
    finally:
        if openssl.returncode is None:
            openssl.kill()
            await openssl.wait()
        for pump in pumps:
            pump.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)
        outer.close()
        inner.close()


@asynccontextmanager
async def connected(
    node: Any, who: ParticipantId, direction: api.Direction, folder: Path
) -> AsyncIterator[Browser]:
    """A new transport of that participant, connected."""
    (made,) = await node.answers(api.CreateTransport(participant_id=who, direction=direction))

    async def connect(dtls: dict[str, Any]) -> None:
        await node.answers(
            api.ConnectTransport(
                participant_id=who, transport_id=made.transport_id, dtls_parameters=dtls
            )
        )

    async with browser(made, connect, folder) as end:
        yield end


async def _openssl(pem: Path, port: int) -> Process:
    return await asyncio.create_subprocess_exec(
        *("openssl", "s_client", "-dtls1_2", "-use_srtp", _SUITE[0]),
        *("-keymatexport", "EXTRACTOR-dtls_srtp", "-keymatexportlen", str(2 * (_KEY + _SALT))),
        *("-cert", str(pem), "-key", str(pem), "-connect", f"127.0.0.1:{port}"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )


async def _exported(openssl: Process) -> bytes:
    assert openssl.stdout is not None
    text = b""
    while not (found := re.search(rb"Keying material: ([0-9A-F]+)\n", text)):
        read = await openssl.stdout.read(4096)
        assert read, f"openssl ended:\n{text.decode()}"
        text += read
    return bytes.fromhex(found[1].decode())
