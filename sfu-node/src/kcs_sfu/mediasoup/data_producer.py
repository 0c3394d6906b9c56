"""Messages that come into a router (mediasoup's DataProducer)."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, cast

from kcs_sfu.mediasoup import close_requests
from kcs_sfu.mediasoup.encode import build
from kcs_sfu.mediasoup.entity import AppData, Entity, unpack
from kcs_sfu.mediasoup.events import Paused, Resumed
from kcs_sfu.mediasoup.fbs.DataProducer.DumpResponse import DumpResponseT
from kcs_sfu.mediasoup.fbs.DataProducer.GetStatsResponse import GetStatsResponseT
from kcs_sfu.mediasoup.fbs.DataProducer.SendNotification import SendNotificationT
from kcs_sfu.mediasoup.fbs.Notification.Body import Body as NotificationBody
from kcs_sfu.mediasoup.fbs.Notification.Event import Event
from kcs_sfu.mediasoup.fbs.Request.Method import Method
from kcs_sfu.mediasoup.ids import DataProducerId
from kcs_sfu.mediasoup.parse import DATA_TYPES, Json, plain
from kcs_sfu.mediasoup.rtp_parameters import SctpStreamParameters
from kcs_sfu.mediasoup.stats import DataProducerStats

if TYPE_CHECKING:
    from kcs_sfu.mediasoup.channel import Channel
    from kcs_sfu.mediasoup.transport import Transport

DataType = Literal["sctp", "direct"]


class DataProducer(Entity):
    """Made by Transport.produce_data(). Its consumers close with it, told by the worker."""

    def __init__(
        self,
        transport: "Transport",
        channel: "Channel",
        data_producer_id: DataProducerId,
        dump: Json,
        app_data: AppData | None,
    ) -> None:
        """`dump` is what the worker answered to its creation."""
        super().__init__(channel, data_producer_id, app_data)
        self.id = data_producer_id
        self.transport = transport
        self.type = cast(DataType, dump["type"])
        self.sctp_stream_parameters: SctpStreamParameters | None = dump.get("sctpStreamParameters")
        self.label: str = dump["label"]
        self.protocol: str = dump["protocol"]
        self.paused: bool = dump["paused"]

    def close(self) -> None:
        """Closes it; its consumers close with `dataproducerclose`."""
        if self._closed:
            return
        self.transport._tell_closed(close_requests.DATA_PRODUCER, self.id)
        self.transport.data_producers.pop(self.id, None)
        self.transport.router.data_producers.pop(self.id, None)
        self._end("closed")

    async def pause(self) -> None:
        """Forwards nothing until resume()."""
        await self._ask(Method.DATAPRODUCER_PAUSE)
        was_paused, self.paused = self.paused, True
        if not was_paused:
            self._emit(Paused())

    async def resume(self) -> None:
        """Forwards again."""
        await self._ask(Method.DATAPRODUCER_RESUME)
        was_paused, self.paused = self.paused, False
        if was_paused:
            self._emit(Resumed())

    def send(
        self,
        message: str | bytes,
        *,
        ppid: int | None = None,
        subchannels: Sequence[int] = (),
        required_subchannel: int | None = None,
    ) -> None:
        """Feeds in a message; on a DirectTransport only. A str is text, bytes are binary."""
        self._check_open()
        data, ppid = with_ppid(message, ppid)
        self._channel.notify(
            Event.DATAPRODUCER_SEND,
            self.id,
            NotificationBody.DataProducer_SendNotification,
            build(
                SendNotificationT,
                ppid=ppid,
                data=data,
                subchannels=list(subchannels),
                requiredSubchannel=required_subchannel,
            ),
        )

    async def get_stats(self) -> list[DataProducerStats]:
        """One entry."""
        stats = plain(unpack(GetStatsResponseT, await self._ask(Method.DATAPRODUCER_GET_STATS)))
        stats.pop("bufferedAmount", None)
        return [cast(DataProducerStats, {**stats, "type": "data-producer"})]

    async def dump(self) -> Json:
        """The worker's own view of it, with mediasoup's keys."""
        reply = await self._ask(Method.DATAPRODUCER_DUMP)
        dump: Json = plain(unpack(DumpResponseT, reply), type=DATA_TYPES)
        return dump

    def _transport_closed(self) -> None:
        if not self._closed:
            self._end("transportclose")


def with_ppid(message: str | bytes, ppid: int | None) -> tuple[bytes, int]:
    """A message and its SCTP payload protocol id (RFC 8831, 6.6): SCTP has no empty messages."""
    if ppid is None:
        text, binary = (51, 53) if message else (56, 57)
        ppid = text if isinstance(message, str) else binary
    if ppid == 56:
        return b" ", ppid
    if ppid == 57:
        return b"\0", ppid
    return message.encode() if isinstance(message, str) else message, ppid
