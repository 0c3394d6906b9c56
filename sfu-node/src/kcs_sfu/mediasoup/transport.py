"""What all transports have in common: producers, consumers, their data counterparts, bitrates.

Closing a transport closes everything on it, with `transportclose`. A call that is cancelled or
times out may have created something in the worker all the same: it is closed at once, behind the
request in the same queue.
"""

import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, cast

from kcs_sfu.mediasoup import close_requests, flat, ortc
from kcs_sfu.mediasoup.consume_request import encode_consume, render_consume
from kcs_sfu.mediasoup.consumer import Consumer
from kcs_sfu.mediasoup.data_consumer import DataConsumer
from kcs_sfu.mediasoup.data_producer import DataProducer
from kcs_sfu.mediasoup.data_requests import (
    consume_data_request,
    consumer_stream,
    produce_data_request,
)
from kcs_sfu.mediasoup.encode import build
from kcs_sfu.mediasoup.entity import AppData, Entity, unpack
from kcs_sfu.mediasoup.errors import (
    InvalidRtp,
    InvalidStateError,
    NotFoundError,
    ObjectClosed,
)
from kcs_sfu.mediasoup.events import (
    CloseReason,
    ConsumerLayers,
    SctpNegotiated,
    SctpStateChange,
    TransportTrace,
)
from kcs_sfu.mediasoup.fbs.DataConsumer.DumpResponse import DumpResponseT as DataConsumerDumpT
from kcs_sfu.mediasoup.fbs.DataProducer.DumpResponse import DumpResponseT as DataProducerDumpT
from kcs_sfu.mediasoup.fbs.Notification.Event import Event
from kcs_sfu.mediasoup.fbs.Request.Body import Body
from kcs_sfu.mediasoup.fbs.Request.Method import Method
from kcs_sfu.mediasoup.fbs.Transport.EnableTraceEventRequest import EnableTraceEventRequestT
from kcs_sfu.mediasoup.fbs.Transport.ProduceRequest import ProduceRequestT
from kcs_sfu.mediasoup.fbs.Transport.SetMaxIncomingBitrateRequest import (
    SetMaxIncomingBitrateRequestT,
)
from kcs_sfu.mediasoup.fbs.Transport.SetMaxOutgoingBitrateRequest import (
    SetMaxOutgoingBitrateRequestT,
)
from kcs_sfu.mediasoup.fbs.Transport.SetMinOutgoingBitrateRequest import (
    SetMinOutgoingBitrateRequestT,
)
from kcs_sfu.mediasoup.fbs.Transport.TraceNotification import TraceNotificationT
from kcs_sfu.mediasoup.flat import Reply
from kcs_sfu.mediasoup.ids import (
    ConsumerId,
    DataConsumerId,
    DataProducerId,
    ProducerId,
    TransportId,
    new_uuid,
)
from kcs_sfu.mediasoup.negotiation import NEGOTIATIONS, clone
from kcs_sfu.mediasoup.parse import (
    DATA_TYPES,
    DIRECTIONS,
    SCTP_STATES,
    TRANSPORT_TRACES,
    Json,
    plain,
    transport_json,
)
from kcs_sfu.mediasoup.producer import Producer
from kcs_sfu.mediasoup.rtp_fbs import KINDS, RTP_TYPES, rtp_mapping_to_fbs, rtp_parameters_to_fbs
from kcs_sfu.mediasoup.rtp_parameters import (
    MediaKind,
    RtpCapabilities,
    RtpParameters,
    SctpNegotiatedCapabilities,
    SctpParameters,
    SctpStreamParameters,
)
from kcs_sfu.mediasoup.stats import TransportStats
from kcs_sfu.mediasoup.stream_ids import StreamIds
from kcs_sfu.mediasoup.transport_types import SctpState

if TYPE_CHECKING:
    from kcs_sfu.mediasoup.channel import Channel
    from kcs_sfu.mediasoup.router import Router

TransportType = Literal["webrtc", "plain", "pipe", "direct"]
TransportTraceType = Literal["probation", "bwe"]
FbsClass = type
"""A class that flatc made (`type` means something else in a transport)."""

_MAX_MID = 100_000_000
"""A MID is at most 8 bytes long in a header extension (mediasoup's choice)."""


class Transport(Entity):
    """Base of WebRtcTransport, PlainTransport, PipeTransport and DirectTransport."""

    type: ClassVar[TransportType]
    _dump_class: ClassVar[FbsClass]
    _stats_class: ClassVar[FbsClass]
    _stats_type: ClassVar[str]

    def __init__(
        self,
        router: "Router",
        channel: "Channel",
        transport_id: TransportId,
        app_data: AppData | None,
        sctp_parameters: SctpParameters | None = None,
    ) -> None:
        super().__init__(channel, transport_id, app_data)
        self.id = transport_id
        self.router = router
        self.producers: dict[ProducerId, Producer] = {}
        self.consumers: dict[ConsumerId, Consumer] = {}
        self.data_producers: dict[DataProducerId, DataProducer] = {}
        self.data_consumers: dict[DataConsumerId, DataConsumer] = {}
        self.sctp_parameters = sctp_parameters
        """What a client needs for data channels; None without SCTP."""
        self.sctp_state: SctpState | None = "new" if sctp_parameters else None
        self.sctp_negotiated_capabilities: SctpNegotiatedCapabilities | None = None
        self._cname: str | None = None
        self._next_mid = 0
        self._stream_ids = StreamIds()

    def close(self) -> None:
        """Closes it and everything on it."""
        if self._closed:
            return
        self.router._tell_closed(close_requests.TRANSPORT, self.id)
        self._gone("closed")

    # Media

    async def produce(
        self,
        *,
        kind: MediaKind,
        rtp_parameters: RtpParameters,
        id: str | None = None,  # noqa: A002 (mediasoup's name)
        paused: bool = False,
        key_frame_request_delay_ms: int = 0,
        enable_mediasoup_packet_id_header_extension: bool = False,
        app_data: AppData | None = None,
    ) -> Producer:
        """Lets the other end send a stream in. Raises InvalidRtp, UnsupportedError, and others.

        `id` is for the same producer on another node; `key_frame_request_delay_ms` is the least
        time between two key frame requests to the sender.
        """
        self._check_open()
        if id in self.router.producers:
            raise InvalidStateError(f"a producer with the id {id!r} exists already")
        if kind not in KINDS:
            raise InvalidRtp(f"invalid kind {kind!r}")
        params = ortc.validate_and_normalize_rtp_parameters(clone(rtp_parameters))
        if not params["codecs"]:
            raise InvalidRtp("no codecs")
        if not params.get("encodings"):
            params["encodings"] = [{}]
        params["rtcp"] = {**params.get("rtcp", {}), "cname": self._choose_cname(params)}
        caps = self.router.rtp_capabilities
        mapping = ortc.get_producer_rtp_parameters_mapping(params, caps)
        consumable = ortc.get_consumable_rtp_parameters(kind, params, caps, mapping)
        producer_id = ProducerId(id or new_uuid())
        with _invalid_rtp():
            future = self._request(
                Method.TRANSPORT_PRODUCE,
                Body.Transport_ProduceRequest,
                build(
                    ProduceRequestT,
                    producerId=producer_id,
                    kind=KINDS.index(kind),
                    rtpParameters=rtp_parameters_to_fbs(params),
                    rtpMapping=rtp_mapping_to_fbs(mapping),
                    paused=paused,
                    keyFrameRequestDelay=key_frame_request_delay_ms,
                    enableMediasoupPacketIdHeaderExtension=enable_mediasoup_packet_id_header_extension,
                ),
            )
        with self._creating(close_requests.PRODUCER, producer_id):
            buf, pos = await future
        fields = flat.slots(buf, pos)
        rtp_type = RTP_TYPES[buf[pos + fields[0]] if fields[0] else 0]
        self._check_open()
        producer = Producer(
            self, self._channel, producer_id, kind, rtp_type, params, consumable, paused, app_data
        )
        self.producers[producer_id] = self.router.producers[producer_id] = producer
        return producer

    async def consume(
        self,
        *,
        producer_id: str,
        rtp_capabilities: RtpCapabilities,
        paused: bool = False,
        mid: str | None = None,
        preferred_layers: ConsumerLayers | None = None,
        ignore_dtx: bool = False,
        enable_rtx: bool | None = None,
        pipe: bool = False,
        app_data: AppData | None = None,
    ) -> Consumer:
        """Sends a producer's stream out. Raises NotFoundError, InvalidRtp, UnsupportedError.

        `enable_rtx` None: for video only. `mid` None: the next number of this transport.
        """
        self._check_open()
        producer = self._producer(producer_id)
        if enable_rtx is None:
            enable_rtx = producer.kind == "video"
        consumable = producer.consumable_rtp_parameters
        consumer_id = ConsumerId(new_uuid())
        request_id = self._channel.next_id()
        options: Any = {
            "paused": paused,
            "preferred_layers": preferred_layers,
            "ignore_dtx": ignore_dtx,
        }
        ids = (request_id, self._raw_id, consumer_id.encode())
        with _invalid_rtp():
            if pipe:
                params = ortc.get_consumer_rtp_parameters(
                    consumable_rtp_parameters=consumable,
                    remote_rtp_capabilities=ortc.validate_and_normalize_rtp_capabilities(
                        clone(rtp_capabilities)
                    ),
                    pipe=True,
                    enable_rtx=enable_rtx,
                )
                frame = encode_consume(*ids, producer, params, "pipe", **options)
            else:
                negotiated = NEGOTIATIONS.get(
                    consumable, producer.fingerprint, rtp_capabilities, enable_rtx
                )
                params = negotiated.parameters(
                    consumable, mid or self._choose_mid(), ortc.random_ssrc()
                )
                frame = render_consume(*ids, producer, params, negotiated, **options)
        return await self._consume(
            request_id,
            frame,
            consumer_id,
            producer,
            params,
            "pipe" if pipe else producer.type,
            app_data,
        )

    async def _consume(
        self,
        request_id: int,
        frame: bytes,
        consumer_id: ConsumerId,
        producer: Producer,
        params: RtpParameters,
        rtp_type: str,
        app_data: AppData | None,
    ) -> Consumer:
        with self._creating(close_requests.CONSUMER, consumer_id):
            reply = await self._channel.send(request_id, Method.TRANSPORT_CONSUME, frame)
        self._check_open()
        consumer = Consumer(
            self, self._channel, consumer_id, producer, rtp_type, params, reply, app_data
        )
        self.consumers[consumer_id] = consumer
        return consumer

    # Data

    async def produce_data(
        self,
        *,
        sctp_stream_parameters: SctpStreamParameters | None = None,
        id: str | None = None,  # noqa: A002 (mediasoup's name)
        label: str = "",
        protocol: str = "",
        paused: bool = False,
        app_data: AppData | None = None,
    ) -> DataProducer:
        """Lets the other end send messages in; a DirectTransport needs no stream parameters."""
        self._check_open()
        if id in self.router.data_producers:
            raise InvalidStateError(f"a data producer with the id {id!r} exists already")
        stream: SctpStreamParameters | None = None
        if self.type != "direct":
            stream = ortc.validate_and_normalize_sctp_stream_parameters(
                clone(sctp_stream_parameters)
            )
        data_producer_id = DataProducerId(id or new_uuid())
        with _invalid_rtp():
            request = produce_data_request(
                data_producer_id, stream, label=label, protocol=protocol, paused=paused
            )
            future = self._request(*request)
        with self._creating(close_requests.DATA_PRODUCER, data_producer_id):
            reply = await future
        dump = plain(unpack(DataProducerDumpT, reply), type=DATA_TYPES)
        self._check_open()
        producer = DataProducer(self, self._channel, data_producer_id, dump, app_data)
        self.data_producers[data_producer_id] = producer
        self.router.data_producers[data_producer_id] = producer
        return producer

    async def consume_data(
        self,
        *,
        data_producer_id: str,
        ordered: bool | None = None,
        max_packet_life_time_ms: int | None = None,
        max_retransmits: int | None = None,
        paused: bool = False,
        subchannels: Sequence[int] = (),
        app_data: AppData | None = None,
    ) -> DataConsumer:
        """Sends a data producer's messages out, by default as reliably as they come in."""
        self._check_open()
        producer = self.router.data_producers.get(DataProducerId(data_producer_id))
        if producer is None:
            raise NotFoundError(f"data producer {data_producer_id!r} not found")
        stream: SctpStreamParameters | None = None
        if self.type != "direct":
            stream = consumer_stream(
                producer.sctp_stream_parameters,
                self._stream_ids.take(),
                ordered=ordered,
                max_packet_life_time_ms=max_packet_life_time_ms,
                max_retransmits=max_retransmits,
            )
        data_consumer_id = DataConsumerId(new_uuid())
        try:
            request = consume_data_request(
                data_consumer_id,
                data_producer_id,
                stream,
                label=producer.label,
                protocol=producer.protocol,
                paused=paused,
                subchannels=subchannels,
            )
            future = self._request(*request)
            with self._creating(close_requests.DATA_CONSUMER, data_consumer_id):
                reply = await future
        except BaseException:
            if stream is not None:
                self._stream_ids.give_back(stream["streamId"])
            raise
        dump = plain(unpack(DataConsumerDumpT, reply), type=DATA_TYPES)
        self._check_open()
        consumer = DataConsumer(self, self._channel, data_consumer_id, dump, app_data)
        self.data_consumers[data_consumer_id] = consumer
        return consumer

    # The transport itself

    async def set_max_incoming_bitrate(self, bitrate: int) -> None:
        """Asks the other end to send at most so many bits per second; 0: no limit."""
        await self._request(
            Method.TRANSPORT_SET_MAX_INCOMING_BITRATE,
            Body.Transport_SetMaxIncomingBitrateRequest,
            build(SetMaxIncomingBitrateRequestT, maxIncomingBitrate=bitrate),
        )

    async def set_max_outgoing_bitrate(self, bitrate: int) -> None:
        """Sends at most so many bits per second; 0: no limit."""
        await self._request(
            Method.TRANSPORT_SET_MAX_OUTGOING_BITRATE,
            Body.Transport_SetMaxOutgoingBitrateRequest,
            build(SetMaxOutgoingBitrateRequestT, maxOutgoingBitrate=bitrate),
        )

    async def set_min_outgoing_bitrate(self, bitrate: int) -> None:
        """Never estimates the way out below so many bits per second; 0: no limit."""
        await self._request(
            Method.TRANSPORT_SET_MIN_OUTGOING_BITRATE,
            Body.Transport_SetMinOutgoingBitrateRequest,
            build(SetMinOutgoingBitrateRequestT, minOutgoingBitrate=bitrate),
        )

    async def enable_trace_event(self, types: Sequence[TransportTraceType] = ()) -> None:
        """Which traces to emit as `TransportTrace`; none switches them off."""
        await self._request(
            Method.TRANSPORT_ENABLE_TRACE_EVENT,
            Body.Transport_EnableTraceEventRequest,
            build(EnableTraceEventRequestT, events=[TRANSPORT_TRACES.index(t) for t in types]),
        )

    async def dump(self) -> Json:
        """The worker's own view of it, with mediasoup's keys."""
        return transport_json(unpack(self._dump_class, await self._ask(Method.TRANSPORT_DUMP)))

    async def get_stats(self) -> list[TransportStats]:
        """One entry."""
        reply = await self._ask(Method.TRANSPORT_GET_STATS)
        stats = {**transport_json(unpack(self._stats_class, reply)), "type": self._stats_type}
        return [cast(TransportStats, stats)]

    # Notifications

    def _on_notification(self, event: int, buf: bytes, pos: int) -> None:
        fields = flat.slots(buf, pos) if pos else ()
        if event == Event.TRANSPORT_SCTP_STATE_CHANGE:
            state = cast(SctpState, SCTP_STATES[buf[pos + fields[0]] if fields[0] else 0])
            self.sctp_state = state
            self._emit(SctpStateChange(state))
        elif event == Event.TRANSPORT_SCTP_NEGOTIATED_CAPABILITIES:
            table = flat.follow(buf, pos + fields[0])
            outbound, inbound = (
                flat.u16(buf, table + field) if field else 0 for field in flat.slots(buf, table)[:2]
            )
            capabilities: SctpNegotiatedCapabilities = {
                "negotiatedMaxOutboundStreams": outbound,
                "negotiatedMaxInboundStreams": inbound,
            }
            self.sctp_negotiated_capabilities = capabilities
            self._stream_ids.limit(capabilities["negotiatedMaxOutboundStreams"])
            self._emit(SctpNegotiated(capabilities))
        elif event == Event.TRANSPORT_TRACE and self._heard(TransportTrace):
            trace = unpack(TraceNotificationT, Reply(buf, pos))
            self._emit(
                TransportTrace(
                    cast(TransportTraceType, TRANSPORT_TRACES[trace.type]),
                    trace.timestamp,
                    cast(Literal["in", "out"], DIRECTIONS[trace.direction]),
                    plain(trace.info) if trace.info is not None else {},
                )
            )

    # Closing

    def _router_closed(self) -> None:
        if not self._closed:
            self._gone("routerclose")

    def _gone(self, reason: CloseReason) -> None:
        """Takes along what is on it, then itself."""
        if self.sctp_state is not None:
            self.sctp_state = "closed"
        children: tuple[Producer | Consumer | DataProducer | DataConsumer, ...] = (
            *self.producers.values(),
            *self.consumers.values(),
            *self.data_producers.values(),
            *self.data_consumers.values(),
        )
        for child in children:
            child._transport_closed()
        for producer_id in self.producers:
            self.router.producers.pop(producer_id, None)
        for data_producer_id in self.data_producers:
            self.router.data_producers.pop(data_producer_id, None)
        self.producers.clear()
        self.consumers.clear()
        self.data_producers.clear()
        self.data_consumers.clear()
        self.router.transports.pop(self.id, None)
        self._end(reason)

    # Help

    def _producer(self, producer_id: str) -> Producer:
        producer = self.router.producers.get(ProducerId(producer_id))
        if producer is None:
            raise NotFoundError(f"producer {producer_id!r} not found")
        return producer

    def _choose_cname(self, params: RtpParameters) -> str:
        """One CNAME for all producers of a transport (they share a clock); a pipe has many."""
        given = params.get("rtcp", {}).get("cname")
        if self.type == "pipe":
            return given or new_uuid()[:8]
        if not self._cname:
            self._cname = given or new_uuid()[:8]
        return self._cname

    def _choose_mid(self) -> str:
        mid = self._next_mid
        self._next_mid = (mid + 1) % _MAX_MID
        return str(mid)


@contextlib.contextmanager
def _invalid_rtp() -> Iterator[None]:
    """What the flatbuffers encoder says about a value that does not fit, in our words."""
    try:
        yield
    except ObjectClosed:
        raise
    except (TypeError, ValueError, OverflowError) as error:
        if isinstance(error, InvalidRtp):
            raise
        raise InvalidRtp(f"a value does not fit: {error}") from error
