"""A transport whose browser goes away: ICE by hand, DTLS by openssl, through a real worker."""

import asyncio
import datetime
import hmac
import shutil
import socket
import struct
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from redis.asyncio import Redis

from kcs_contracts import node_api as api
from kcs_contracts.events import PUBLISHED, bus_channel
from kcs_contracts.ids import MeetingId, ParticipantId, ProducerId, SessionId
from kcs_contracts.placement import Placement
from kcs_contracts.rooms import Participant, Producer, Role, Source

ANN = ParticipantId("ann")
MEETING = MeetingId("abc-defg-hij")


def binding_request(ice: dict[str, Any]) -> bytes:
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


def certificate(folder: Path) -> tuple[Path, str]:
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
    path = folder / "browser.pem"
    path.write_bytes(private + cert.public_bytes(serialization.Encoding.PEM))
    return path, cert.fingerprint(hashes.SHA256()).hex(":").upper()


@asynccontextmanager
async def dtls_client(media: tuple[str, int], ice: dict[str, Any], pem: Path) -> AsyncIterator[Any]:
    """openssl behind a socket that has done ICE; answers its process."""
    if shutil.which("openssl") is None:
        pytest.fail("the openssl program is not installed (Debian: apt-get install openssl)")
    loop = asyncio.get_running_loop()
    outer, inner = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
    for sock in (outer, inner):
        sock.bind(("127.0.0.1", 0))
        sock.setblocking(False)
    outer.connect(media)
    await loop.sock_sendall(outer, binding_request(ice))
    answer = await asyncio.wait_for(loop.sock_recv(outer, 2048), 2)
    assert answer[:2] == b"\x01\x01", "no STUN success"
    openssl = await asyncio.create_subprocess_exec(
        *("openssl", "s_client", "-dtls1_2", "-use_srtp", "SRTP_AEAD_AES_128_GCM"),
        *("-cert", str(pem), "-key", str(pem), "-connect", f"127.0.0.1:{inner.getsockname()[1]}"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    first, client = await asyncio.wait_for(loop.sock_recvfrom(inner, 4096), 5)
    await loop.sock_sendall(outer, first)

    async def to_media() -> None:
        while True:
            await loop.sock_sendall(outer, await loop.sock_recv(inner, 4096))

    async def to_client() -> None:
        while True:
            await loop.sock_sendto(inner, await loop.sock_recv(outer, 4096), client)

    pumps = [asyncio.create_task(to_media()), asyncio.create_task(to_client())]
    try:
        yield openssl
    finally:
        if openssl.returncode is None:
            openssl.kill()
            await openssl.wait()
        for pump in pumps:
            pump.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)
        outer.close()
        inner.close()


async def dtls_state_becomes(wanted: str | None, node: Any, epoch: int) -> None:
    """Of Ann's transport, as the worker sees it; None: the node has closed it."""
    state: str | None = "unknown"
    async with asyncio.timeout(10):
        while state != wanted:
            await asyncio.sleep(0.05)
            (result,) = (await node.results(api.GetStats(participant_id=ANN), epoch=epoch)).results
            stats = (
                [entry for [entry] in result.answer.transports.values()] if result.answer else []
            )
            state = stats[0]["dtlsState"] if stats else None


async def test_a_browser_that_closes_its_connection_takes_its_streams_along(
    redis: Redis, start_node: Any, placement: Placement, opus: Any, tmp_path: Path
) -> None:
    node = await start_node()
    epoch = (await placement.assign(MEETING, warmup_ms=0)).epoch
    await placement.join(
        MEETING,
        Participant(
            id=ANN, display_name="Ann", role=Role.HOST, session=SessionId("s"), joined_at_ms=0
        ),
        limit=10,
    )
    pem, fingerprint = certificate(tmp_path)
    _, made = await node.answers(
        api.OpenRoom(), api.CreateTransport(participant_id=ANN, direction="send"), epoch=epoch
    )
    _, produced = await node.answers(
        api.ConnectTransport(
            participant_id=ANN,
            transport_id=made.transport_id,
            dtls_parameters={
                "role": "client",
                "fingerprints": [{"algorithm": "sha-256", "value": fingerprint}],
            },
        ),
        api.Produce(participant_id=ANN, source=Source.MIC, rtp_parameters=opus),
        epoch=epoch,
    )
    producer = Producer(id=ProducerId(produced.producer_id), participant_id=ANN, source=Source.MIC)
    await placement.open_producer(MEETING, producer, epoch=epoch, generation=0)
    udp = next(c for c in made.ice_candidates if c["protocol"] == "udp")
    pubsub = redis.pubsub(ignore_subscribe_messages=True)
    await pubsub.subscribe(bus_channel(MEETING))
    async with dtls_client((udp["ip"], udp["port"]), made.ice_parameters, pem) as openssl:
        await dtls_state_becomes("connected", node, epoch)
        openssl.stdin.close()  # openssl says goodbye: DTLS close_notify, as a closed tab does
        await dtls_state_becomes(None, node, epoch)
    async with asyncio.timeout(3):
        message = await anext(aiter(pubsub.listen()))
    event = PUBLISHED.validate_json(message["data"]).event
    assert (event.type, event.producer_id) == ("producer_closed", produced.producer_id)
    (media,) = await node.answers(api.DescribeParticipant(participant_id=ANN), epoch=epoch)
    assert (media.transports, media.producers) == ((), ())
    await pubsub.aclose()
