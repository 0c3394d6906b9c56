"""Every notification of the worker becomes the event that `events.py` promises.

A row per notification: flatc's own code writes it, a real worker's channel reads it, and a real
object of that worker emits. What only rare traffic brings about is tested here like the rest.
"""

import asyncio
import dataclasses
import re
from collections.abc import Awaitable, Callable
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from kcs_sfu.mediasoup import Router, events
from kcs_sfu.mediasoup.encode import build, encode_notification
from kcs_sfu.mediasoup.entity import Entity
from kcs_sfu.mediasoup.fbs.Common.TraceDirection import TraceDirection
from kcs_sfu.mediasoup.fbs.Notification.Body import Body
from kcs_sfu.mediasoup.fbs.Notification.Event import Event
from kcs_sfu.mediasoup.fbs.Producer import TraceEventType as ProducerTraceType
from kcs_sfu.mediasoup.fbs.SctpAssociation.SctpState import SctpState
from kcs_sfu.mediasoup.fbs.Transport import TraceEventType as TransportTraceType
from kcs_sfu.mediasoup.fbs.Transport.BweType import BweType
from kcs_sfu.mediasoup.fbs.Transport.Protocol import Protocol
from kcs_sfu.mediasoup.fbs.WebRtcTransport.DtlsState import DtlsState
from kcs_sfu.mediasoup.fbs.WebRtcTransport.IceState import IceState
from kcs_sfu.mediasoup.producer import Producer
from kcs_sfu.mediasoup.rtp_parameters import RtpParameters
from kcs_sfu.mediasoup.transport_types import ListenInfo, TransportTuple

UDP: ListenInfo = {"protocol": "udp", "ip": "127.0.0.1"}
TO_THE_WORKER = {"WORKER_CLOSE", "TRANSPORT_SEND_RTCP", "PRODUCER_SEND", "DATAPRODUCER_SEND"}
ENDS_THE_START = {"WORKER_RUNNING"}
"""What Worker.create() waits for; test_driver_channel.py has workers that never send it."""


@dataclasses.dataclass
class Room:
    """Objects of a router, with ids that the rows can name."""

    router: Router
    parameters: RtpParameters

    async def webrtc(self) -> Entity:
        return await self.router.create_webrtc_transport(listen_infos=[UDP], enable_sctp=True)

    async def plain(self) -> Entity:
        return await self.router.create_plain_transport(listen_info=UDP, rtcp_mux=False)

    async def direct(self) -> Entity:
        return await self.router.create_direct_transport()

    async def producer(self) -> Producer:
        transport = await self.router.create_direct_transport()
        return await transport.produce(id="alice", kind="audio", rtp_parameters=self.parameters)

    async def consumer(self) -> Entity:
        producer = await self.producer()
        return await producer.transport.consume(
            producer_id=producer.id, rtp_capabilities=self.router.rtp_capabilities
        )

    async def consumer_of_a_paused_producer(self) -> Entity:
        producer = await self.producer()
        await producer.pause()
        return await producer.transport.consume(
            producer_id=producer.id, rtp_capabilities=self.router.rtp_capabilities
        )

    async def data_consumer(self, *, paused: bool = False) -> Entity:
        transport = await self.router.create_direct_transport()
        producer = await transport.produce_data(paused=paused)
        return await transport.consume_data(data_producer_id=producer.id)

    async def data_consumer_of_a_paused_producer(self) -> Entity:
        return await self.data_consumer(paused=True)

    async def levels(self) -> Entity:
        await self.producer()
        return await self.router.create_audio_level_observer()

    async def speakers(self) -> Entity:
        await self.producer()
        return await self.router.create_active_speaker_observer()


def table(name: str, **fields: Any) -> Any:
    """The table of that name of the .fbs files, as an object of flatc's."""
    space, _, table_name = name.partition(".")
    module = import_module(f"kcs_sfu.mediasoup.fbs.{name}")
    if "info" in fields:
        unions = import_module(f"kcs_sfu.mediasoup.fbs.{space}.TraceInfo")
        info = type(fields["info"]).__name__.removesuffix("T")
        fields["infoType"] = getattr(unions.TraceInfo, info)
    return build(getattr(module, f"{table_name}T"), **fields)


class Alice:
    """Stands for the producer of that id, which each test makes anew."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Producer) and other.id == "alice"


class Row(NamedTuple):
    """A notification's body, who gets it, and all that is emitted then."""

    receiver: Callable[[Room], Awaitable[Entity]]
    emitted: list[object]
    body: Any = None

    @property
    def body_name(self) -> str:
        """Its name in the union `Body`: table `T` of `Transport.T` is `Transport_T`."""
        return "" if self.body is None else "_".join(type(self.body).__module__.split(".")[-2:])


ALICE: Any = Alice()
SEEN: TransportTuple = {
    "localIp": "10.0.0.1",
    "localAddress": "10.0.0.1",
    "localPort": 4000,
    "protocol": "tcp",
    "remoteIp": "10.0.0.2",
    "remotePort": 5000,
}
TUPLE = table(
    "Transport.Tuple",
    localAddress="10.0.0.1",
    localPort=4000,
    remoteIp="10.0.0.2",
    remotePort=5000,
    protocol=Protocol.TCP,
)
BWE: dict[str, Any] = {
    "desiredBitrate": 1,
    "effectiveDesiredBitrate": 2,
    "minBitrate": 3,
    "maxBitrate": 4,
    "startBitrate": 5,
    "maxPaddingBitrate": 6,
    "availableBitrate": 2**40,
}
SENDER_REPORT: dict[str, Any] = {
    "ssrc": 1,
    "ntpSec": 2,
    "ntpFrac": 3,
    "rtpTs": 4,
    "packetCount": 5,
    "octetCount": 6,
}
PACKET: dict[str, Any] = {
    "payloadType": 96,
    "sequenceNumber": 65535,
    "timestamp": 2**32 - 1,
    "marker": True,
    "ssrc": 7,
    "isKeyFrame": True,
    "size": 1200,
    "payloadSize": 1180,
    "spatialLayer": 0,
    "temporalLayer": 2,
    "mid": "0",
}

ROWS = {
    "TRANSPORT_SCTP_STATE_CHANGE": Row(
        Room.webrtc,
        [events.SctpStateChange("connected")],
        table("Transport.SctpStateChangeNotification", sctpState=SctpState.CONNECTED),
    ),
    "TRANSPORT_SCTP_NEGOTIATED_CAPABILITIES": Row(
        Room.webrtc,
        [
            events.SctpNegotiated(
                {"negotiatedMaxOutboundStreams": 1024, "negotiatedMaxInboundStreams": 0}
            )
        ],
        table(
            "Transport.SctpNegotiatedCapabilitiesNotification",
            negotiatedCapabilities=table(
                "SctpAssociation.SctpNegotiatedCapabilities",
                negotiatedMaxOutboundStreams=1024,
                negotiatedMaxInboundStreams=0,
            ),
        ),
    ),
    "TRANSPORT_TRACE": Row(
        Room.webrtc,
        [events.TransportTrace("bwe", 1_700_000_000_123, "out", {"bweType": "remb", **BWE})],
        table(
            "Transport.TraceNotification",
            type=TransportTraceType.TraceEventType.BWE,
            timestamp=1_700_000_000_123,
            direction=TraceDirection.DIRECTION_OUT,
            info=table("Transport.BweTraceInfo", bweType=BweType.REMB, **BWE),
        ),
    ),
    "WEBRTCTRANSPORT_ICE_SELECTED_TUPLE_CHANGE": Row(
        Room.webrtc,
        [events.IceSelectedTupleChange(SEEN)],
        table("WebRtcTransport.IceSelectedTupleChangeNotification", tuple=TUPLE),
    ),
    "WEBRTCTRANSPORT_ICE_STATE_CHANGE": Row(
        Room.webrtc,
        [events.IceStateChange("completed")],
        table("WebRtcTransport.IceStateChangeNotification", iceState=IceState.COMPLETED),
    ),
    "WEBRTCTRANSPORT_DTLS_STATE_CHANGE": Row(
        Room.webrtc,
        [events.DtlsStateChange("connected", "-----BEGIN")],
        table(
            "WebRtcTransport.DtlsStateChangeNotification",
            dtlsState=DtlsState.CONNECTED,
            remoteCert="-----BEGIN",
        ),
    ),
    "PLAINTRANSPORT_TUPLE": Row(
        Room.plain,
        [events.TupleChange(SEEN)],
        table("PlainTransport.TupleNotification", tuple=TUPLE),
    ),
    "PLAINTRANSPORT_RTCP_TUPLE": Row(
        Room.plain,
        [events.RtcpTupleChange(SEEN)],
        table("PlainTransport.RtcpTupleNotification", tuple=TUPLE),
    ),
    "DIRECTTRANSPORT_RTCP": Row(
        Room.direct,
        [events.RtcpReceived(b"\x80\xc9")],
        table("DirectTransport.RtcpNotification", data=b"\x80\xc9"),
    ),
    "PRODUCER_SCORE": Row(
        Room.producer,
        [
            events.ProducerScoreChange(
                [
                    {"encodingIdx": 0, "ssrc": 7, "score": 10},
                    {"encodingIdx": 1, "ssrc": 8, "rid": "mid", "score": 0},
                ]
            )
        ],
        table(
            "Producer.ScoreNotification",
            scores=[
                table("Producer.Score", encodingIdx=0, ssrc=7, score=10),
                table("Producer.Score", encodingIdx=1, ssrc=8, rid="mid", score=0),
            ],
        ),
    ),
    "PRODUCER_TRACE": Row(
        Room.producer,
        [events.ProducerTrace("sr", 5, "in", SENDER_REPORT)],
        table(
            "Producer.TraceNotification",
            type=ProducerTraceType.TraceEventType.SR,
            timestamp=5,
            info=table("Producer.SrTraceInfo", **SENDER_REPORT),
        ),
    ),
    "PRODUCER_VIDEO_ORIENTATION_CHANGE": Row(
        Room.producer,
        [events.VideoOrientationChange(camera=True, flip=False, rotation=270)],
        table("Producer.VideoOrientationChangeNotification", camera=True, rotation=270),
    ),
    "CONSUMER_PRODUCER_PAUSE": Row(Room.consumer, [events.ProducerPaused(), events.Paused()]),
    "CONSUMER_PRODUCER_RESUME": Row(
        Room.consumer_of_a_paused_producer, [events.ProducerResumed(), events.Resumed()]
    ),
    "CONSUMER_PRODUCER_CLOSE": Row(Room.consumer, [events.Closed("producerclose")]),
    "CONSUMER_LAYERS_CHANGE": Row(
        Room.consumer,
        [events.LayersChange({"spatialLayer": 1, "temporalLayer": 2})],
        table(
            "Consumer.LayersChangeNotification",
            layers=table("Consumer.ConsumerLayers", spatialLayer=1, temporalLayer=2),
        ),
    ),
    "CONSUMER_RTP": Row(
        Room.consumer,
        [events.RtpReceived(b"\x80\x6f")],
        table("Consumer.RtpNotification", data=b"\x80\x6f"),
    ),
    "CONSUMER_SCORE": Row(
        Room.consumer,
        [events.ConsumerScoreChange({"score": 9, "producerScore": 8, "producerScores": [8, 0]})],
        table(
            "Consumer.ScoreNotification",
            score=table("Consumer.ConsumerScore", score=9, producerScore=8, producerScores=[8, 0]),
        ),
    ),
    "CONSUMER_TRACE": Row(
        Room.consumer,
        [events.ConsumerTrace("keyframe", 5, "out", {"isRtx": True, "rtpPacket": PACKET})],
        table(
            "Consumer.TraceNotification",
            timestamp=5,
            direction=TraceDirection.DIRECTION_OUT,
            info=table(
                "Consumer.KeyFrameTraceInfo",
                isRtx=True,
                rtpPacket=table("RtpPacket.Dump", **PACKET),
            ),
        ),
    ),
    "DATACONSUMER_BUFFERED_AMOUNT_LOW": Row(
        Room.data_consumer,
        [events.BufferedAmountLow(70_000)],
        table("DataConsumer.BufferedAmountLowNotification", bufferedAmount=70_000),
    ),
    "DATACONSUMER_SCTP_SENDBUFFER_FULL": Row(Room.data_consumer, [events.SctpSendBufferFull()]),
    "DATACONSUMER_DATAPRODUCER_PAUSE": Row(
        Room.data_consumer, [events.DataProducerPaused(), events.Paused()]
    ),
    "DATACONSUMER_DATAPRODUCER_RESUME": Row(
        Room.data_consumer_of_a_paused_producer, [events.DataProducerResumed(), events.Resumed()]
    ),
    "DATACONSUMER_DATAPRODUCER_CLOSE": Row(
        Room.data_consumer, [events.Closed("dataproducerclose")]
    ),
    "DATACONSUMER_MESSAGE": Row(
        Room.data_consumer,
        [events.MessageReceived(b"hello", 51)],
        table("DataConsumer.MessageNotification", data=b"hello", ppid=51),
    ),
    "ACTIVESPEAKEROBSERVER_DOMINANT_SPEAKER": Row(
        Room.speakers,
        [events.DominantSpeaker(ALICE)],
        table("ActiveSpeakerObserver.DominantSpeakerNotification", producerId="alice"),
    ),
    "AUDIOLEVELOBSERVER_SILENCE": Row(Room.levels, [events.Silence()]),
    "AUDIOLEVELOBSERVER_VOLUMES": Row(
        Room.levels,
        [events.Volumes([events.Volume(ALICE, -20)])],
        table(
            "AudioLevelObserver.VolumesNotification",
            volumes=[table("AudioLevelObserver.Volume", producerId="alice", volume=-20)],
        ),
    ),
}


def test_there_is_a_row_for_every_notification_that_the_worker_sends(node_mediasoup: Path) -> None:
    source = node_mediasoup / "node_modules" / "mediasoup" / "worker" / "src"
    emits = r"FBS::Notification::Event::(\w+)(?:,\s*FBS::Notification::Body::(\w+))?"
    names_of_received = "ChannelNotification.cpp"
    sent = {
        emit
        for file in source.rglob("*.cpp")
        if file.name != names_of_received
        for emit in re.findall(emits, file.read_text())
    }
    assert sent == {(name, row.body_name) for name, row in ROWS.items()} | {
        (name, "") for name in ENDS_THE_START
    }
    declared = {name for name, value in vars(Event).items() if isinstance(value, int)}
    assert declared == {*ROWS, *ENDS_THE_START, *TO_THE_WORKER}


@pytest.mark.parametrize("name", ROWS)
async def test_a_notification_is_emitted_as_its_event(
    router: Router, audio_parameters: RtpParameters, name: str
) -> None:
    row = ROWS[name]
    receiver = await row.receiver(Room(router, audio_parameters))
    await asyncio.sleep(0.01)  # what came along with the answers waits for some turns of the loop
    emitted: list[object] = []
    for event in vars(events).values():
        if dataclasses.is_dataclass(event) and isinstance(event, type):
            receiver.on(event, emitted.append)
    body_type = getattr(Body, row.body_name) if row.body_name else 0
    frame = encode_notification(
        getattr(Event, name), receiver._raw_id.decode(), body_type, row.body
    )
    receiver._channel.feed(frame)
    assert row.emitted == emitted
