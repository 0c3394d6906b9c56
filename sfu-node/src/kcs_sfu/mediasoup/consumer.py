"""A stream that goes out of a router to one receiver (mediasoup's Consumer)."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, cast

from kcs_sfu.mediasoup import close_requests, flat
from kcs_sfu.mediasoup.encode import build, encode_request
from kcs_sfu.mediasoup.entity import AppData, Entity, unpack
from kcs_sfu.mediasoup.events import (
    ConsumerLayers,
    ConsumerScore,
    ConsumerScoreChange,
    ConsumerTrace,
    LayersChange,
    Paused,
    ProducerPaused,
    ProducerResumed,
    Resumed,
    RtpReceived,
    TraceDirection,
)
from kcs_sfu.mediasoup.fbs.Consumer.ConsumerLayers import ConsumerLayersT
from kcs_sfu.mediasoup.fbs.Consumer.DumpResponse import DumpResponseT
from kcs_sfu.mediasoup.fbs.Consumer.EnableTraceEventRequest import EnableTraceEventRequestT
from kcs_sfu.mediasoup.fbs.Consumer.GetStatsResponse import GetStatsResponseT
from kcs_sfu.mediasoup.fbs.Consumer.SetPreferredLayersRequest import SetPreferredLayersRequestT
from kcs_sfu.mediasoup.fbs.Consumer.SetPriorityRequest import SetPriorityRequestT
from kcs_sfu.mediasoup.fbs.Consumer.TraceNotification import TraceNotificationT
from kcs_sfu.mediasoup.fbs.Notification.Event import Event
from kcs_sfu.mediasoup.fbs.Request.Body import Body
from kcs_sfu.mediasoup.fbs.Request.Method import Method
from kcs_sfu.mediasoup.flat import Reply
from kcs_sfu.mediasoup.ids import ConsumerId, ProducerId
from kcs_sfu.mediasoup.parse import (
    DIRECTIONS,
    STREAM_TRACES,
    Json,
    plain,
    stream_dump_json,
    stream_stats_json,
)
from kcs_sfu.mediasoup.rtp_parameters import MediaKind, RtpParameters
from kcs_sfu.mediasoup.stats import RtpStreamStats
from kcs_sfu.mediasoup.templates import TEMPLATES

if TYPE_CHECKING:
    from kcs_sfu.mediasoup.channel import Channel
    from kcs_sfu.mediasoup.producer import Producer
    from kcs_sfu.mediasoup.transport import Transport

ConsumerType = Literal["simple", "simulcast", "svc", "pipe"]
ConsumerTraceType = Literal["keyframe", "fir", "nack", "pli", "rtp"]


class Consumer(Entity):
    """Made by Transport.consume(). Closed by itself, its transport, or its producer."""

    __slots__ = (
        "current_layers",
        "id",
        "kind",
        "paused",
        "preferred_layers",
        "priority",
        "producer_id",
        "producer_paused",
        "rtp_parameters",
        "score",
        "transport",
        "type",
    )

    def __init__(
        self,
        transport: "Transport",
        channel: "Channel",
        consumer_id: ConsumerId,
        producer: "Producer",
        rtp_type: str,
        rtp_parameters: RtpParameters,
        reply: Reply,
        app_data: AppData | None,
    ) -> None:
        """`reply` is the worker's ConsumeResponse."""
        super().__init__(channel, consumer_id, app_data)
        self.id = consumer_id
        self.transport = transport
        self.producer_id: ProducerId = producer.id
        self.kind: MediaKind = producer.kind
        self.type = cast(ConsumerType, rtp_type)
        self.rtp_parameters = rtp_parameters
        """What the receiver gets. Parts are shared with other consumers: read-only."""
        self.priority = 1
        self.current_layers: ConsumerLayers | None = None
        """The layers that are being sent; None when nothing is, or there are no layers."""
        buf, pos = reply
        paused, producer_paused, score, layers, *_ = flat.slots(buf, pos)
        self.paused = bool(paused and buf[pos + paused])
        self.producer_paused = bool(producer_paused and buf[pos + producer_paused])
        self.score: ConsumerScore = _score(buf, flat.follow(buf, pos + score))
        self.preferred_layers: ConsumerLayers | None = (
            _layers(buf, flat.follow(buf, pos + layers)) if layers else None
        )

    def close(self) -> None:
        """Stops sending to the receiver."""
        if self._closed:
            return
        self.transport._tell_closed(close_requests.CONSUMER, self.id)
        self.transport.consumers.pop(self.id, None)
        self._end("closed")

    async def pause(self) -> None:
        """Sends nothing until resume()."""
        await self._ask(Method.CONSUMER_PAUSE)
        was_paused, self.paused = self.paused, True
        if not was_paused and not self.producer_paused:
            self._emit(Paused())

    async def resume(self) -> None:
        """Sends (again), beginning with a key frame."""
        await self._ask(Method.CONSUMER_RESUME)
        was_paused, self.paused = self.paused, False
        if was_paused and not self.producer_paused:
            self._emit(Resumed())

    async def set_preferred_layers(
        self, *, spatial_layer: int, temporal_layer: int | None = None
    ) -> None:
        """The highest layers to send; no effect but for simulcast and SVC."""
        self._check_open()
        method = Method.CONSUMER_SET_PREFERRED_LAYERS
        request_id = self._channel.next_id()
        frame = TEMPLATES.render(
            (method, spatial_layer, temporal_layer),
            (request_id.to_bytes(4, "little"), self._raw_id),
            lambda v: encode_request(
                int.from_bytes(v[0], "little"),
                method,
                v[1].decode(),
                Body.Consumer_SetPreferredLayersRequest,
                build(
                    SetPreferredLayersRequestT,
                    preferredLayers=build(
                        ConsumerLayersT, spatialLayer=spatial_layer, temporalLayer=temporal_layer
                    ),
                ),
            ),
        )
        buf, pos = await self._channel.send(request_id, method, frame)
        layers = flat.slots(buf, pos)[0] if pos else 0
        self.preferred_layers = _layers(buf, flat.follow(buf, pos + layers)) if layers else None

    async def set_priority(self, priority: int) -> None:
        """Who gets bandwidth first when it is short: 1 (default) to 255 (first)."""
        self._check_open()
        request_id, frame = self._priority_request(priority)
        buf, pos = await self._channel.send(request_id, Method.CONSUMER_SET_PRIORITY, frame)
        field = flat.slots(buf, pos)[0]
        self.priority = buf[pos + field] if field else 0

    def prioritize(self, priority: int) -> None:
        """set_priority() without waiting, for many at once; one that is closed is left alone."""
        if self._closed or self._channel.closed:
            return
        request_id, frame = self._priority_request(priority)
        self._channel.send_and_forget(request_id, Method.CONSUMER_SET_PRIORITY, frame)
        self.priority = priority

    async def unset_priority(self) -> None:
        """Back to the default."""
        await self.set_priority(1)

    async def request_key_frame(self) -> None:
        """Asks the sender for a key frame."""
        await self._ask(Method.CONSUMER_REQUEST_KEY_FRAME)

    async def enable_trace_event(self, types: Sequence[ConsumerTraceType] = ()) -> None:
        """Which traces to emit as `ConsumerTrace`; none switches them off."""
        await self._request(
            Method.CONSUMER_ENABLE_TRACE_EVENT,
            Body.Consumer_EnableTraceEventRequest,
            build(EnableTraceEventRequestT, events=[STREAM_TRACES.index(t) for t in types]),
        )

    async def get_stats(self) -> list[RtpStreamStats]:
        """The stream sent, and the producer's stream that it is made from."""
        reply = await self._ask(Method.CONSUMER_GET_STATS)
        stats = unpack(GetStatsResponseT, reply).stats or []
        return [cast(RtpStreamStats, stream_stats_json(stream)) for stream in stats]

    async def dump(self) -> Json:
        """The worker's own view of it, with mediasoup's keys."""
        data = unpack(DumpResponseT, await self._ask(Method.CONSUMER_DUMP)).data
        dump = stream_dump_json(data)
        dump.update(dump.pop("base"))
        if dump["type"] != "pipe":
            dump["rtpStream"] = dump.pop("rtpStreams")[0]
        return dump

    def _on_notification(self, event: int, buf: bytes, pos: int) -> None:
        if event == Event.CONSUMER_SCORE:
            self.score = _score(buf, flat.follow(buf, pos + flat.slots(buf, pos)[0]))
            if self._listeners is not None:
                self._emit(ConsumerScoreChange(self.score))
        elif event == Event.CONSUMER_LAYERS_CHANGE:
            layers = flat.slots(buf, pos)[0] if pos else 0
            self.current_layers = _layers(buf, flat.follow(buf, pos + layers)) if layers else None
            self._emit(LayersChange(self.current_layers))
        elif event == Event.CONSUMER_PRODUCER_PAUSE:
            self._producer_paused(True)
        elif event == Event.CONSUMER_PRODUCER_RESUME:
            self._producer_paused(False)
        elif event == Event.CONSUMER_PRODUCER_CLOSE:
            self.transport.consumers.pop(self.id, None)
            self._end("producerclose")
        elif event == Event.CONSUMER_RTP:
            self._emit(RtpReceived(flat.raw(buf, pos + flat.slots(buf, pos)[0])))
        elif event == Event.CONSUMER_TRACE and self._heard(ConsumerTrace):
            trace = unpack(TraceNotificationT, Reply(buf, pos))
            self._emit(
                ConsumerTrace(
                    cast(ConsumerTraceType, STREAM_TRACES[trace.type]),
                    trace.timestamp,
                    cast(TraceDirection, DIRECTIONS[trace.direction]),
                    plain(trace.info) if trace.info is not None else {},
                )
            )

    def _priority_request(self, priority: int) -> tuple[int, bytes]:
        method = Method.CONSUMER_SET_PRIORITY
        request_id = self._channel.next_id()
        frame = TEMPLATES.render(
            (method, priority),
            (request_id.to_bytes(4, "little"), self._raw_id),
            lambda v: encode_request(
                int.from_bytes(v[0], "little"),
                method,
                v[1].decode(),
                Body.Consumer_SetPriorityRequest,
                build(SetPriorityRequestT, priority=priority),
            ),
        )
        return request_id, frame

    def _producer_paused(self, paused: bool) -> None:
        if self.producer_paused == paused:
            return
        self.producer_paused = paused
        if self._listeners is not None:
            self._emit(ProducerPaused() if paused else ProducerResumed())
            if not self.paused:
                self._emit(Paused() if paused else Resumed())

    def _transport_closed(self) -> None:
        if not self._closed:
            self._end("transportclose")


def _score(buf: bytes, pos: int) -> ConsumerScore:
    score, producer_score, producer_scores, *_ = flat.slots(buf, pos)
    return {
        "score": buf[pos + score] if score else 0,
        "producerScore": buf[pos + producer_score] if producer_score else 0,
        "producerScores": list(flat.raw(buf, pos + producer_scores)),
    }


def _layers(buf: bytes, pos: int) -> ConsumerLayers:
    spatial, temporal, *_ = flat.slots(buf, pos)
    layers: ConsumerLayers = {"spatialLayer": buf[pos + spatial] if spatial else 0}
    if temporal:
        layers["temporalLayer"] = buf[pos + temporal]
    return layers
