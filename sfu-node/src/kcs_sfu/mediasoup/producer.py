"""A stream that comes into a router (mediasoup's Producer)."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, cast

from kcs_sfu.mediasoup import close_requests, flat
from kcs_sfu.mediasoup.encode import build
from kcs_sfu.mediasoup.entity import AppData, Entity, unpack
from kcs_sfu.mediasoup.events import (
    Paused,
    ProducerScore,
    ProducerScoreChange,
    ProducerTrace,
    Resumed,
    TraceDirection,
    VideoOrientationChange,
)
from kcs_sfu.mediasoup.fbs.Notification.Body import Body as NotificationBody
from kcs_sfu.mediasoup.fbs.Notification.Event import Event
from kcs_sfu.mediasoup.fbs.Producer.DumpResponse import DumpResponseT
from kcs_sfu.mediasoup.fbs.Producer.EnableTraceEventRequest import EnableTraceEventRequestT
from kcs_sfu.mediasoup.fbs.Producer.GetStatsResponse import GetStatsResponseT
from kcs_sfu.mediasoup.fbs.Producer.SendNotification import SendNotificationT
from kcs_sfu.mediasoup.fbs.Producer.TraceNotification import TraceNotificationT
from kcs_sfu.mediasoup.fbs.Request.Body import Body
from kcs_sfu.mediasoup.fbs.Request.Method import Method
from kcs_sfu.mediasoup.flat import Reply
from kcs_sfu.mediasoup.ids import ProducerId
from kcs_sfu.mediasoup.negotiation import producer_fingerprint
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

if TYPE_CHECKING:
    from kcs_sfu.mediasoup.channel import Channel
    from kcs_sfu.mediasoup.transport import Transport

ProducerType = Literal["simple", "simulcast", "svc"]
ProducerTraceType = Literal["keyframe", "fir", "nack", "pli", "rtp", "sr"]


class Producer(Entity):
    """Made by Transport.produce(). Its consumers close with it, told by the worker."""

    __slots__ = (
        "consumable_rtp_parameters",
        "consume_lengths",
        "consume_values",
        "fingerprint",
        "id",
        "kind",
        "paused",
        "rtp_parameters",
        "score",
        "transport",
        "type",
    )

    def __init__(
        self,
        transport: "Transport",
        channel: "Channel",
        producer_id: ProducerId,
        kind: MediaKind,
        rtp_type: str,
        rtp_parameters: RtpParameters,
        consumable_rtp_parameters: RtpParameters,
        paused: bool,
        app_data: AppData | None,
    ) -> None:
        super().__init__(channel, producer_id, app_data)
        self.id = producer_id
        self.transport = transport
        self.kind: MediaKind = kind
        self.type = cast(ProducerType, rtp_type)
        self.rtp_parameters = rtp_parameters
        """What the sender sends. Read-only, as the next one."""
        self.consumable_rtp_parameters = consumable_rtp_parameters
        """The same in the router's terms: what consumers are negotiated from."""
        self.paused = paused
        self.score: list[ProducerScore] = []
        self.fingerprint = producer_fingerprint(consumable_rtp_parameters)
        """See `negotiation`."""
        cname = consumable_rtp_parameters["rtcp"].get("cname")
        msid = consumable_rtp_parameters.get("msid")
        ssrcs = [e["ssrc"].to_bytes(4, "little") for e in consumable_rtp_parameters["encodings"]]
        strings = [None if s is None else s.encode() for s in (producer_id, cname, msid)]
        self.consume_values = (*(s or b"" for s in strings), *ssrcs)
        """What `consume_request` fills in for this producer, and how much of it there is."""
        self.consume_lengths = (*(-1 if s is None else len(s) for s in strings), len(ssrcs))

    def close(self) -> None:
        """Closes it; its consumers close with `producerclose`."""
        if self._closed:
            return
        self.transport._tell_closed(close_requests.PRODUCER, self.id)
        self.transport.producers.pop(self.id, None)
        self.transport.router.producers.pop(self.id, None)
        self._end("closed")

    async def pause(self) -> None:
        """Forwards nothing until resume()."""
        await self._ask(Method.PRODUCER_PAUSE)
        was_paused, self.paused = self.paused, True
        if not was_paused:
            self._emit(Paused())

    async def resume(self) -> None:
        """Forwards again."""
        await self._ask(Method.PRODUCER_RESUME)
        was_paused, self.paused = self.paused, False
        if was_paused:
            self._emit(Resumed())

    async def enable_trace_event(self, types: Sequence[ProducerTraceType] = ()) -> None:
        """Which traces to emit as `ProducerTrace`; none switches them off."""
        await self._request(
            Method.PRODUCER_ENABLE_TRACE_EVENT,
            Body.Producer_EnableTraceEventRequest,
            build(EnableTraceEventRequestT, events=[STREAM_TRACES.index(t) for t in types]),
        )

    def send(self, rtp_packet: bytes) -> None:
        """Feeds in an RTP packet; on a DirectTransport only."""
        self._check_open()
        self._channel.notify(
            Event.PRODUCER_SEND,
            self.id,
            NotificationBody.Producer_SendNotification,
            build(SendNotificationT, data=rtp_packet),
        )

    async def get_stats(self) -> list[RtpStreamStats]:
        """One entry per stream that has arrived."""
        reply = await self._ask(Method.PRODUCER_GET_STATS)
        stats = unpack(GetStatsResponseT, reply).stats or []
        return [cast(RtpStreamStats, stream_stats_json(stream)) for stream in stats]

    async def dump(self) -> Json:
        """The worker's own view of it, with mediasoup's keys."""
        return stream_dump_json(unpack(DumpResponseT, await self._ask(Method.PRODUCER_DUMP)))

    def _on_notification(self, event: int, buf: bytes, pos: int) -> None:
        if event == Event.PRODUCER_SCORE:
            self.score = [
                _score(buf, table) for table in flat.tables(buf, pos + flat.slots(buf, pos)[0])
            ]
            if self._heard(ProducerScoreChange):
                self._emit(ProducerScoreChange(self.score))
        elif event == Event.PRODUCER_VIDEO_ORIENTATION_CHANGE:
            camera, flip, rotation, *_ = flat.slots(buf, pos)
            self._emit(
                VideoOrientationChange(
                    bool(camera and buf[pos + camera]),
                    bool(flip and buf[pos + flip]),
                    flat.u16(buf, pos + rotation) if rotation else 0,
                )
            )
        elif event == Event.PRODUCER_TRACE and self._heard(ProducerTrace):
            trace = unpack(TraceNotificationT, Reply(buf, pos))
            self._emit(
                ProducerTrace(
                    cast(ProducerTraceType, STREAM_TRACES[trace.type]),
                    trace.timestamp,
                    cast(TraceDirection, DIRECTIONS[trace.direction]),
                    plain(trace.info) if trace.info is not None else {},
                )
            )

    def _set_paused(self, paused: bool) -> None:
        """pause() or resume() without waiting: for a pipe that follows its original."""
        if self._closed or self._channel.closed:
            return
        self._ask(Method.PRODUCER_PAUSE if paused else Method.PRODUCER_RESUME).add_done_callback(
            # Fails only with the producer itself; asyncio would complain about an unread error.
            lambda future: future.cancelled() or future.exception()
        )
        if self.paused != paused:
            self.paused = paused
            self._emit(Paused() if paused else Resumed())

    def _transport_closed(self) -> None:
        if not self._closed:
            self._end("transportclose")


def _score(buf: bytes, pos: int) -> ProducerScore:
    encoding, ssrc, rid, score, *_ = flat.slots(buf, pos)
    parsed: ProducerScore = {
        "encodingIdx": flat.u32(buf, pos + encoding) if encoding else 0,
        "ssrc": flat.u32(buf, pos + ssrc) if ssrc else 0,
        "score": buf[pos + score] if score else 0,
    }
    if rid and (text := flat.text(buf, pos + rid)):
        parsed["rid"] = text
    return parsed
