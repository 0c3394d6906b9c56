"""What AudioLevelObserver and ActiveSpeakerObserver have in common (mediasoup's RtpObserver)."""

from typing import TYPE_CHECKING

from kcs_sfu.mediasoup import close_requests
from kcs_sfu.mediasoup.encode import build
from kcs_sfu.mediasoup.entity import AppData, Entity
from kcs_sfu.mediasoup.errors import NotFoundError
from kcs_sfu.mediasoup.events import Paused, Resumed
from kcs_sfu.mediasoup.fbs.Request.Body import Body
from kcs_sfu.mediasoup.fbs.Request.Method import Method
from kcs_sfu.mediasoup.fbs.RtpObserver.AddProducerRequest import AddProducerRequestT
from kcs_sfu.mediasoup.fbs.RtpObserver.RemoveProducerRequest import RemoveProducerRequestT
from kcs_sfu.mediasoup.ids import ProducerId, RtpObserverId

if TYPE_CHECKING:
    from kcs_sfu.mediasoup.channel import Channel
    from kcs_sfu.mediasoup.producer import Producer
    from kcs_sfu.mediasoup.router import Router


class RtpObserver(Entity):
    """Watches producers of its router. A producer that closes is forgotten by the worker."""

    def __init__(
        self,
        router: "Router",
        channel: "Channel",
        observer_id: RtpObserverId,
        app_data: AppData | None,
    ) -> None:
        super().__init__(channel, observer_id, app_data)
        self.id = observer_id
        self.router = router
        self.paused = False

    def close(self) -> None:
        """Stops watching for good."""
        if self._closed:
            return
        self.router._tell_closed(close_requests.RTP_OBSERVER, self.id)
        self.router.rtp_observers.pop(self.id, None)
        self._end("closed")

    async def pause(self) -> None:
        """Reports nothing until resume()."""
        await self._ask(Method.RTPOBSERVER_PAUSE)
        was_paused, self.paused = self.paused, True
        if not was_paused:
            self._emit(Paused())

    async def resume(self) -> None:
        """Reports again."""
        await self._ask(Method.RTPOBSERVER_RESUME)
        was_paused, self.paused = self.paused, False
        if was_paused:
            self._emit(Resumed())

    async def add_producer(self, *, producer_id: str) -> None:
        """Watches one producer more. Raises NotFoundError."""
        self._find(producer_id)
        await self._request(
            Method.RTPOBSERVER_ADD_PRODUCER,
            Body.RtpObserver_AddProducerRequest,
            build(AddProducerRequestT, producerId=producer_id),
        )

    async def remove_producer(self, *, producer_id: str) -> None:
        """Watches one producer less. Raises NotFoundError."""
        self._find(producer_id)
        await self._request(
            Method.RTPOBSERVER_REMOVE_PRODUCER,
            Body.RtpObserver_RemoveProducerRequest,
            build(RemoveProducerRequestT, producerId=producer_id),
        )

    def _find(self, producer_id: str) -> "Producer":
        self._check_open()
        producer = self.router.producers.get(ProducerId(producer_id))
        if producer is None:
            raise NotFoundError(f"producer {producer_id!r} not found")
        return producer

    def _router_closed(self) -> None:
        if not self._closed:
            self._end("routerclose")
