"""What stands for a browser's WebRTC: a router of our own, with a direct way in and out.

Out: packets of ours -> direct producer -> WebRTC consumer -> relay -> the SFU node's transport.
In: the SFU node's transport -> relay -> WebRTC producer -> direct consumer -> packets to us.
"""

import asyncio
import secrets
import struct
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from kcs_sfu.call_test.relay import Relay
from kcs_sfu.mediasoup.events import RtpReceived
from kcs_sfu.mediasoup.producer import Producer
from kcs_sfu.mediasoup.router import Router
from kcs_sfu.mediasoup.rtp_parameters import RtpParameters
from kcs_sfu.mediasoup.webrtc_transport import WebRtcTransport

_PAYLOAD_TYPE = 111
_SSRC = 0x6B6373
_PACKET_S = 0.02


def opus(cname: str) -> RtpParameters:
    """The parameters of the packets that `Voice` makes."""
    return {
        "mid": "0",
        "codecs": [
            {
                "mimeType": "audio/opus",
                "payloadType": _PAYLOAD_TYPE,
                "clockRate": 48_000,
                "channels": 2,
                "parameters": {"useinbandfec": 1},
                "rtcpFeedback": [],
            }
        ],
        "headerExtensions": [],
        "encodings": [{"ssrc": _SSRC}],
        "rtcp": {"cname": cname},
    }


class Voice:
    """Packets of 20 ms whose payloads are ours to recognise."""

    def __init__(self) -> None:
        self.mark = secrets.token_bytes(24)

    async def speak(self, producer: Producer) -> None:
        """Sends until cancelled."""
        number = 0
        while True:
            number += 1
            head = struct.pack(
                "!BBHII", 0x80, _PAYLOAD_TYPE, number & 0xFFFF, number * 960 & 0xFFFFFFFF, _SSRC
            )
            producer.send(head + self.mark)
            await asyncio.sleep(_PACKET_S)

    def is_in(self, packet: bytes) -> bool:
        """Whether that packet carries one of ours, whole."""
        return packet.endswith(self.mark)


class Endpoint:
    """One person's WebRTC. `async with endpoint(router)` makes it and ends it."""

    def __init__(self, router: Router, stack: AsyncExitStack):
        self._router, self._stack = router, stack

    async def connect(self, theirs: Mapping[str, Any]) -> tuple[WebRtcTransport, dict[str, Any]]:
        """A transport towards that one of the SFU node's, and the DTLS parameters to tell it."""
        ours = await self._router.create_webrtc_transport(
            listen_infos=[{"protocol": "udp", "ip": "127.0.0.1"}]
        )
        end = {"ice_parameters": ours.ice_parameters, "ice_candidates": ours.ice_candidates}
        relay = await self._stack.enter_async_context(Relay(end, theirs))
        await relay.connected()
        fingerprints = theirs["dtls_parameters"]["fingerprints"]
        await ours.connect(dtls_parameters={"role": "server", "fingerprints": fingerprints})
        mine = list(ours.dtls_parameters["fingerprints"])
        return ours, {"role": "client", "fingerprints": mine}

    async def send(self, transport: WebRtcTransport, voice: Voice) -> RtpParameters:
        """Sends the voice into the transport; the parameters to produce with at the SFU node."""
        direct = await self._router.create_direct_transport()
        producer = await direct.produce(kind="audio", rtp_parameters=opus("call-test"))
        out = await transport.consume(
            producer_id=producer.id, rtp_capabilities=self._router.rtp_capabilities
        )
        speaking = asyncio.create_task(voice.speak(producer))
        self._stack.callback(speaking.cancel)
        return out.rtp_parameters

    async def receive(
        self, transport: WebRtcTransport, parameters: RtpParameters
    ) -> asyncio.Queue[bytes]:
        """The packets of a consumer of the SFU node's."""
        producer = await transport.produce(kind="audio", rtp_parameters=parameters)
        direct = await self._router.create_direct_transport()
        consumer = await direct.consume(
            producer_id=producer.id, rtp_capabilities=self._router.rtp_capabilities
        )
        heard: asyncio.Queue[bytes] = asyncio.Queue()
        consumer.on(RtpReceived, lambda event: heard.put_nowait(event.data))
        return heard


@asynccontextmanager
async def endpoint(router: Router) -> AsyncIterator[Endpoint]:
    """An endpoint and all that it opens."""
    async with AsyncExitStack() as stack:
        yield Endpoint(router, stack)
