"""One participant's media on the node: its transports, what it sends and what it receives.

Ids are looked up in the participant's own tables only, so somebody else's id is not found. What
closes by itself (a producer with its transport, a consumer with its producer) leaves the tables
by the driver's `Closed` event.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, cast

from kcs_contracts.ids import ParticipantId, ProducerId
from kcs_contracts.models import JsonObject
from kcs_contracts.node_api import Direction
from kcs_contracts.rooms import Source
from kcs_sfu.agent.connection import Connection
from kcs_sfu.agent.errors import OperationFailed, not_found, over_limit
from kcs_sfu.agent.priorities import Sender, priority
from kcs_sfu.agent.router_span import RouterSpan
from kcs_sfu.mediasoup.consumer import Consumer
from kcs_sfu.mediasoup.errors import NotFoundError, ObjectClosed, UnsupportedError
from kcs_sfu.mediasoup.events import Closed, DtlsStateChange, IceStateChange
from kcs_sfu.mediasoup.producer import Producer
from kcs_sfu.mediasoup.rtp_parameters import RtpCapabilities, RtpParameters
from kcs_sfu.mediasoup.transport_types import DtlsParameters
from kcs_sfu.mediasoup.webrtc_transport import WebRtcTransport

if TYPE_CHECKING:
    from kcs_sfu.agent.room import Room

_INITIAL_OUTGOING_BPS = 1_500_000
"""Enough for the middle simulcast layer before the first bandwidth estimate."""
_MAX_INCOMING_BPS = 6_000_000


class Participant:
    """Who it is, and all that it has in its room."""

    def __init__(self, participant_id: ParticipantId, room: "Room"):
        self.id, self._room = participant_id, room
        self.transports: dict[Direction, WebRtcTransport] = {}
        self.producers: dict[str, Producer] = {}
        self.consumers: dict[str, Consumer] = {}
        self._by_producer: dict[str, Consumer] = {}
        self._recv_span: RouterSpan | None = None
        self._opening: Counter[str] = Counter()
        self._connections: dict[str, Connection] = {}
        self._disconnected_at: dict[str, float] = {}
        self._quiet = False
        """Whoever closes it knows: its producers' ends need no report."""
        self.closed = False

    # --- transports --------------------------------------------------------------------------

    async def create_transport(self, direction: Direction) -> WebRtcTransport:
        """A new transport of that direction; an older one is closed with all on it."""
        room = self._room
        limit = room.settings.transports_per_participant
        with self._room_for(len(self.transports), limit, "transports"):
            span = room.home if direction == "send" else await room.span_to_receive()
            transport = await span.router.create_webrtc_transport(
                webrtc_server=span.server,
                enable_udp=True,
                enable_tcp=True,
                prefer_udp=True,
                initial_available_outgoing_bitrate=_INITIAL_OUTGOING_BPS,
            )
        if self.closed:
            transport.close()
            raise not_found("participant", self.id)
        older = self.transports.get(direction)
        self.transports[direction] = transport
        if direction == "recv":
            self._recv_span = span
        if older is not None:
            older.close()
        self._connections[transport.id] = Connection(transport, room.quality.connection)
        transport.on(Closed, lambda _: self._transport_closed(direction, transport))
        transport.on(IceStateChange, lambda event: self._ice_changed(transport, event.state))
        transport.on(DtlsStateChange, lambda event: self._dtls_changed(transport, event.state))
        if direction == "send":
            await transport.set_max_incoming_bitrate(_MAX_INCOMING_BPS)
        return transport

    async def connect_transport(self, transport_id: str, dtls_parameters: JsonObject) -> None:
        """Gives the transport the client's DTLS role and fingerprints."""
        transport = self.transport(transport_id)
        await transport.connect(dtls_parameters=cast(DtlsParameters, dtls_parameters))
        if transport_id in self._connections:
            self._connections[transport_id].begin()

    def transport(self, transport_id: str) -> WebRtcTransport:
        """The participant's transport of that id, or NOT_FOUND."""
        for transport in self.transports.values():
            if transport.id == transport_id:
                return transport
        raise not_found("transport", transport_id)

    def close_idle_transports(self, idle_s: float) -> None:
        """Closes what has been disconnected for so long: its browser is gone."""
        oldest = time.monotonic() - idle_s
        for transport in list(self.transports.values()):
            if self._disconnected_at.get(transport.id, oldest) < oldest:
                transport.close()

    # --- sending -----------------------------------------------------------------------------

    async def produce(
        self, transport_id: str | None, source: Source, rtp_parameters: JsonObject, paused: bool
    ) -> Producer:
        """Opens a producer on the send transport, paused if the participant is muted."""
        transport = self.transports.get("send")
        if transport is None or transport_id not in (None, transport.id):
            raise not_found("send transport", transport_id or "")
        limit = self._room.settings.producers_per_participant
        with self._room_for(len(self.producers), limit, "producers"):
            producer = await transport.produce(
                kind=source.kind,
                rtp_parameters=cast(RtpParameters, rtp_parameters),
                paused=paused or self._room.is_muted(self.id, source),
            )
        if producer.closed:
            raise not_found("send transport", transport.id)
        self.producers[producer.id] = producer
        self._room.senders[producer.id] = Sender(self.id, source)
        producer.on(Closed, partial(self._producer_closed, producer))
        if not producer.paused and self._room.is_muted(self.id, source):
            await producer.pause()  # muted while it was being opened
        if source is Source.MIC:
            await self._room.speakers.add(ProducerId(producer.id))
        return producer

    def producer(self, producer_id: str) -> Producer:
        """The participant's producer of that id, or NOT_FOUND."""
        try:
            return self.producers[producer_id]
        except KeyError:
            raise not_found("producer", producer_id) from None

    async def resume_producer(self, producer_id: str) -> None:
        """Lets it flow, or MUTED."""
        producer = self.producer(producer_id)
        if self._room.is_muted(self.id, self._room.senders[producer_id].source):
            raise OperationFailed("MUTED", "the participant is muted")
        await producer.resume()

    async def mute(self, source: Source) -> None:
        """Pauses all that it sends from there, also what is just being resumed."""
        senders = self._room.senders
        mine = [p for p in self.producers.values() if senders[p.id].source is source]
        await asyncio.gather(*(_pause(producer) for producer in mine))

    # --- receiving ---------------------------------------------------------------------------

    async def consume(
        self, producer_id: str, rtp_capabilities: JsonObject, paused: bool
    ) -> Consumer:
        """Opens a consumer, closing an older one of the same producer."""
        transport, span = self.transports.get("recv"), self._recv_span
        if transport is None or span is None:
            raise not_found("recv transport")
        if producer_id not in self._room.senders:
            raise OperationFailed("NOT_FOUND", f"no such producer in this room: {producer_id}")
        self._close_consumer_of(producer_id)
        limit = self._room.settings.consumers_per_participant
        with self._room_for(len(self.consumers), limit, "consumers"):
            consumer = await self._open_consumer(
                transport, span, producer_id, rtp_capabilities, paused
            )
        self._close_consumer_of(producer_id)  # one that came at the same time
        self.consumers[consumer.id] = self._by_producer[producer_id] = consumer
        self.prioritize(producer_id)
        return consumer

    async def _open_consumer(
        self,
        transport: WebRtcTransport,
        span: RouterSpan,
        producer_id: str,
        caps: JsonObject,
        paused: bool,
    ) -> Consumer:
        home = self._room.home
        piped = ProducerId(producer_id) if span is not home else None
        if piped is not None:
            await span.pipe_in(home.router, piped)
        try:
            consumer = await transport.consume(
                producer_id=producer_id, rtp_capabilities=cast(RtpCapabilities, caps), paused=paused
            )
            if consumer.closed:
                raise not_found("producer", producer_id)
        except BaseException as error:
            if piped is not None:
                span.pipe_out(piped)
            match error:
                case UnsupportedError():
                    raise OperationFailed("CANNOT_CONSUME", str(error)) from error
                case NotFoundError():
                    raise OperationFailed("NOT_FOUND", str(error)) from error
            raise
        span.slot.consumers += 1
        consumer.on(Closed, partial(self._consumer_closed, consumer, span, piped))
        return consumer

    def consumer(self, consumer_id: str) -> Consumer:
        """The participant's consumer of that id, or NOT_FOUND."""
        try:
            return self.consumers[consumer_id]
        except KeyError:
            raise not_found("consumer", consumer_id) from None

    def consumer_of(self, producer_id: str) -> Consumer:
        """The participant's consumer of that producer, or NOT_FOUND."""
        try:
            return self._by_producer[producer_id]
        except KeyError:
            raise not_found("consumer of producer", producer_id) from None

    def prioritize(self, producer_id: str) -> None:
        """Gives its consumer of that producer, if it has one, the priority that is due now."""
        consumer, sender = self._by_producer.get(producer_id), self._room.senders.get(producer_id)
        if consumer is not None and sender is not None:
            due = priority(sender, self._room.speaker)
            if consumer.priority != due:
                consumer.prioritize(due)

    # --- closing -----------------------------------------------------------------------------

    def close(self, *, quiet: bool = True) -> None:
        """Closes all that the participant has and takes it out of the room.

        Not quiet: placement is told of the producers that ended.
        """
        self.closed, self._quiet = True, quiet
        for transport in list(self.transports.values()):
            transport.close()
        self._room.forget(self)

    def _close_consumer_of(self, producer_id: str) -> None:
        older = self._by_producer.get(producer_id)
        if older is not None:
            older.close()

    @contextmanager
    def _room_for(self, count: int, limit: int, what: str) -> Iterator[None]:
        """Counts what is being opened, so that a batch cannot pass the limit all at once."""
        if count + self._opening[what] >= limit:
            raise over_limit(limit, what)
        self._opening[what] += 1
        try:
            yield
        finally:
            self._opening[what] -= 1

    def _transport_closed(self, direction: Direction, transport: WebRtcTransport) -> None:
        self._disconnected_at.pop(transport.id, None)
        self._connections.pop(transport.id, None)
        if self.transports.get(direction) is transport:
            del self.transports[direction]
        if not self.transports and not self.closed and not transport.router.worker.closed:
            self.close(quiet=False)

    def _producer_closed(self, producer: Producer, event: Closed) -> None:
        self.producers.pop(producer.id, None)
        report = event.reason == "transportclose" and not self._quiet
        self._room.producer_gone(self.id, ProducerId(producer.id), report)

    def _consumer_closed(
        self, consumer: Consumer, span: RouterSpan, piped: ProducerId | None, _: Closed
    ) -> None:
        span.slot.consumers -= 1
        if piped is not None:
            span.pipe_out(piped)
        self.consumers.pop(consumer.id, None)
        if self._by_producer.get(consumer.producer_id) is consumer:
            del self._by_producer[consumer.producer_id]

    def _ice_changed(self, transport: WebRtcTransport, state: str) -> None:
        self._room.detail("ice", self.id, transport=transport.id, state=state)
        if state == "disconnected":
            self._disconnected_at[transport.id] = time.monotonic()
        else:
            self._disconnected_at.pop(transport.id, None)

    def _dtls_changed(self, transport: WebRtcTransport, state: str) -> None:
        self._room.detail("dtls", self.id, transport=transport.id, state=state)
        if state in ("closed", "failed"):
            transport.close()  # it can never carry media again


async def _pause(producer: Producer) -> None:
    with suppress(ObjectClosed, NotFoundError):
        await producer.pause()
