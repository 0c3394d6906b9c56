"""Router.pipe_to_router(): a producer of one router, available in another of the same process.

Two routers share one pair of pipe transports, whichever asks first. A task makes it, kept by both
routers; when one transport closes, with its router or by itself, so does the other.
"""

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kcs_sfu.mediasoup.consumer import Consumer
from kcs_sfu.mediasoup.data_consumer import DataConsumer
from kcs_sfu.mediasoup.data_producer import DataProducer
from kcs_sfu.mediasoup.errors import InvalidStateError, NotFoundError
from kcs_sfu.mediasoup.events import Closed, Paused, Resumed
from kcs_sfu.mediasoup.ids import DataProducerId, ProducerId, RouterId
from kcs_sfu.mediasoup.pipe_transport import PipeTransport
from kcs_sfu.mediasoup.producer import Producer
from kcs_sfu.mediasoup.transport_types import ListenInfo

if TYPE_CHECKING:
    from kcs_sfu.mediasoup.router import Router

Pair = dict[RouterId, PipeTransport]
"""By the router that each is in."""


@dataclass(frozen=True, slots=True)
class PipeToRouterResult:
    """Both ends of what was piped: media, or data."""

    pipe_consumer: Consumer | None = None
    pipe_producer: Producer | None = None
    pipe_data_consumer: DataConsumer | None = None
    pipe_data_producer: DataProducer | None = None


class Pipes:
    """The pipes of one router to others."""

    def __init__(self, router: "Router") -> None:
        self._router = router
        self._pairs: dict[RouterId, asyncio.Task[Pair]] = {}

    async def pipe(
        self,
        other: "Router",
        *,
        producer_id: str | None,
        data_producer_id: str | None,
        keep_id: bool,
        listen_info: ListenInfo,
        enable_sctp: bool,
        enable_rtx: bool,
        enable_srtp: bool,
    ) -> PipeToRouterResult:
        """See Router.pipe_to_router()."""
        if (producer_id is None) == (data_producer_id is None):
            raise TypeError("exactly one of producer_id and data_producer_id must be given")
        if other is self._router:
            raise InvalidStateError("a router cannot be piped to itself")
        producer = self._router.producers.get(ProducerId(producer_id or ""))
        data_producer = self._router.data_producers.get(DataProducerId(data_producer_id or ""))
        if producer is None and data_producer is None:
            raise NotFoundError(f"producer {producer_id or data_producer_id!r} not found")
        pair = await self._pair(other, listen_info, enable_sctp, enable_rtx, enable_srtp)
        here, there = pair[self._router.id], pair[other.id]
        if producer is not None:
            return await _pipe_media(producer, here, there, keep_id)
        assert data_producer is not None
        return await _pipe_data(data_producer, here, there, keep_id)

    async def _pair(
        self,
        other: "Router",
        listen_info: ListenInfo,
        enable_sctp: bool,
        enable_rtx: bool,
        enable_srtp: bool,
    ) -> Pair:
        task = self._pairs.get(other.id)
        if task is None:
            task = asyncio.create_task(
                self._connect(other, listen_info, enable_sctp, enable_rtx, enable_srtp)
            )
            self._pairs[other.id] = other._pipes._pairs[self._router.id] = task
            task.add_done_callback(lambda task: self._made(other, task))
        # A caller that is cancelled must not take the pair from others who wait for it.
        return await asyncio.shield(task)

    async def _connect(
        self,
        other: "Router",
        listen_info: ListenInfo,
        enable_sctp: bool,
        enable_rtx: bool,
        enable_srtp: bool,
    ) -> Pair:
        made: list[PipeTransport] = []
        try:
            for router in (self._router, other):
                made.append(  # noqa: PERF401 (what is made must be known when the second fails)
                    await router.create_pipe_transport(
                        listen_info=listen_info,
                        enable_sctp=enable_sctp,
                        enable_rtx=enable_rtx,
                        enable_srtp=enable_srtp,
                    )
                )
            here, there = made
            for one, two in ((here, there), (there, here)):
                await one.connect(
                    ip=two.tuple["localAddress"],
                    port=two.tuple["localPort"],
                    srtp_parameters=two.srtp_parameters,
                )
            for transport in made:
                transport._check_open()
        except BaseException:
            for transport in made:
                transport.close()
            raise
        return {self._router.id: here, other.id: there}

    def _made(self, other: "Router", task: "asyncio.Task[Pair]") -> None:
        if task.cancelled() or task.exception() is not None:
            self._forget(other, task)
            return
        here, there = task.result()[self._router.id], task.result()[other.id]

        def closed(_: Closed) -> None:
            self._forget(other, task)
            here.close()
            there.close()

        here.on(Closed, closed)
        there.on(Closed, closed)

    def _forget(self, other: "Router", task: "asyncio.Task[Pair]") -> None:
        for pipes, key in ((self, other.id), (other._pipes, self._router.id)):
            if pipes._pairs.get(key) is task:
                del pipes._pairs[key]


async def _pipe_media(
    producer: Producer, here: PipeTransport, there: PipeTransport, keep_id: bool
) -> PipeToRouterResult:
    consumer = await here.consume(producer_id=producer.id)
    try:
        copy = await there.produce(
            id=producer.id if keep_id else None,
            kind=consumer.kind,
            rtp_parameters=consumer.rtp_parameters,
            paused=consumer.producer_paused,
            app_data=dict(producer.app_data),
        )
    except BaseException:
        consumer.close()
        raise
    if consumer.closed:
        copy.close()
        raise NotFoundError(f"producer {producer.id!r} was closed while it was piped")
    if copy.paused != consumer.producer_paused:
        copy._set_paused(consumer.producer_paused)
    consumer.on(Closed, lambda _: copy.close())
    consumer.on(Paused, lambda _: copy._set_paused(True))
    consumer.on(Resumed, lambda _: copy._set_paused(False))
    copy.on(Closed, lambda _: consumer.close())
    return PipeToRouterResult(pipe_consumer=consumer, pipe_producer=copy)


async def _pipe_data(
    producer: DataProducer, here: PipeTransport, there: PipeTransport, keep_id: bool
) -> PipeToRouterResult:
    consumer = await here.consume_data(data_producer_id=producer.id)
    try:
        copy = await there.produce_data(
            id=producer.id if keep_id else None,
            sctp_stream_parameters=consumer.sctp_stream_parameters,
            label=consumer.label,
            protocol=consumer.protocol,
            app_data=dict(producer.app_data),
        )
    except BaseException:
        consumer.close()
        raise
    if consumer.closed:
        copy.close()
        raise NotFoundError(f"data producer {producer.id!r} was closed while it was piped")
    consumer.on(Closed, lambda _: copy.close())
    copy.on(Closed, lambda _: consumer.close())
    return PipeToRouterResult(pipe_data_consumer=consumer, pipe_data_producer=copy)
