"""Messages that go out of a router to one receiver (mediasoup's DataConsumer)."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from kcs_sfu.mediasoup import close_requests, flat
from kcs_sfu.mediasoup.data_producer import DataType, with_ppid
from kcs_sfu.mediasoup.encode import build
from kcs_sfu.mediasoup.entity import AppData, Entity, unpack
from kcs_sfu.mediasoup.events import (
    BufferedAmountLow,
    DataProducerPaused,
    DataProducerResumed,
    MessageReceived,
    Paused,
    Resumed,
    SctpSendBufferFull,
)
from kcs_sfu.mediasoup.fbs.DataConsumer.AddSubchannelRequest import AddSubchannelRequestT
from kcs_sfu.mediasoup.fbs.DataConsumer.DumpResponse import DumpResponseT
from kcs_sfu.mediasoup.fbs.DataConsumer.GetBufferedAmountResponse import (
    GetBufferedAmountResponseT,
)
from kcs_sfu.mediasoup.fbs.DataConsumer.GetStatsResponse import GetStatsResponseT
from kcs_sfu.mediasoup.fbs.DataConsumer.RemoveSubchannelRequest import RemoveSubchannelRequestT
from kcs_sfu.mediasoup.fbs.DataConsumer.SendRequest import SendRequestT
from kcs_sfu.mediasoup.fbs.DataConsumer.SendResponse import SendResponseT
from kcs_sfu.mediasoup.fbs.DataConsumer.SetBufferedAmountLowThresholdRequest import (
    SetBufferedAmountLowThresholdRequestT,
)
from kcs_sfu.mediasoup.fbs.DataConsumer.SetSubchannelsRequest import SetSubchannelsRequestT
from kcs_sfu.mediasoup.fbs.DataConsumer.SetSubchannelsResponse import SetSubchannelsResponseT
from kcs_sfu.mediasoup.fbs.Notification.Event import Event
from kcs_sfu.mediasoup.fbs.Request.Body import Body
from kcs_sfu.mediasoup.fbs.Request.Method import Method
from kcs_sfu.mediasoup.ids import DataConsumerId, DataProducerId
from kcs_sfu.mediasoup.parse import DATA_TYPES, Json, plain
from kcs_sfu.mediasoup.rtp_parameters import SctpStreamParameters
from kcs_sfu.mediasoup.stats import DataConsumerStats

if TYPE_CHECKING:
    from kcs_sfu.mediasoup.channel import Channel
    from kcs_sfu.mediasoup.events import CloseReason
    from kcs_sfu.mediasoup.transport import Transport


class DataConsumer(Entity):
    """Made by Transport.consume_data(). Closed by itself, its transport, or its data producer."""

    def __init__(
        self,
        transport: "Transport",
        channel: "Channel",
        data_consumer_id: DataConsumerId,
        dump: Json,
        app_data: AppData | None,
    ) -> None:
        """`dump` is what the worker answered to its creation."""
        super().__init__(channel, data_consumer_id, app_data)
        self.id = data_consumer_id
        self.transport = transport
        self.data_producer_id = DataProducerId(dump["dataProducerId"])
        self.type = cast(DataType, dump["type"])
        self.sctp_stream_parameters: SctpStreamParameters | None = dump.get("sctpStreamParameters")
        self.label: str = dump["label"]
        self.protocol: str = dump["protocol"]
        self.paused: bool = dump["paused"]
        self.data_producer_paused: bool = dump["dataProducerPaused"]
        self.subchannels: list[int] = dump["subchannels"]

    def close(self) -> None:
        """Stops sending to the receiver."""
        if self._closed:
            return
        self.transport._tell_closed(close_requests.DATA_CONSUMER, self.id)
        self._leave("closed")

    async def pause(self) -> None:
        """Sends nothing until resume()."""
        await self._ask(Method.DATACONSUMER_PAUSE)
        was_paused, self.paused = self.paused, True
        if not was_paused and not self.data_producer_paused:
            self._emit(Paused())

    async def resume(self) -> None:
        """Sends again."""
        await self._ask(Method.DATACONSUMER_RESUME)
        was_paused, self.paused = self.paused, False
        if was_paused and not self.data_producer_paused:
            self._emit(Resumed())

    async def send(self, message: str | bytes, *, ppid: int | None = None) -> int:
        """Sends a message of our own; returns what is buffered then, in bytes."""
        data, ppid = with_ppid(message, ppid)
        reply = await self._request(
            Method.DATACONSUMER_SEND,
            Body.DataConsumer_SendRequest,
            build(SendRequestT, ppid=ppid, data=data),
        )
        return int(unpack(SendResponseT, reply).bufferedAmount)

    async def get_buffered_amount(self) -> int:
        """What waits to be sent, in bytes."""
        reply = await self._ask(Method.DATACONSUMER_GET_BUFFERED_AMOUNT)
        return int(unpack(GetBufferedAmountResponseT, reply).bufferedAmount)

    async def set_buffered_amount_low_threshold(self, threshold: int) -> None:
        """Emits `BufferedAmountLow` when what is buffered falls to so many bytes."""
        await self._request(
            Method.DATACONSUMER_SET_BUFFERED_AMOUNT_LOW_THRESHOLD,
            Body.DataConsumer_SetBufferedAmountLowThresholdRequest,
            build(SetBufferedAmountLowThresholdRequestT, threshold=threshold),
        )

    async def set_subchannels(self, subchannels: Sequence[int]) -> None:
        """Which subchannels to receive."""
        await self._change_subchannels(
            Method.DATACONSUMER_SET_SUBCHANNELS,
            Body.DataConsumer_SetSubchannelsRequest,
            build(SetSubchannelsRequestT, subchannels=list(subchannels)),
        )

    async def add_subchannel(self, subchannel: int) -> None:
        """Receives one subchannel more."""
        await self._change_subchannels(
            Method.DATACONSUMER_ADD_SUBCHANNEL,
            Body.DataConsumer_AddSubchannelRequest,
            build(AddSubchannelRequestT, subchannel=subchannel),
        )

    async def remove_subchannel(self, subchannel: int) -> None:
        """Receives one subchannel less."""
        await self._change_subchannels(
            Method.DATACONSUMER_REMOVE_SUBCHANNEL,
            Body.DataConsumer_RemoveSubchannelRequest,
            build(RemoveSubchannelRequestT, subchannel=subchannel),
        )

    async def get_stats(self) -> list[DataConsumerStats]:
        """One entry."""
        stats = plain(unpack(GetStatsResponseT, await self._ask(Method.DATACONSUMER_GET_STATS)))
        return [cast(DataConsumerStats, {**stats, "type": "data-consumer"})]

    async def dump(self) -> Json:
        """The worker's own view of it, with mediasoup's keys."""
        reply = await self._ask(Method.DATACONSUMER_DUMP)
        dump: Json = plain(unpack(DumpResponseT, reply), type=DATA_TYPES)
        return dump

    async def _change_subchannels(self, method: int, body_type: int, body: Any) -> None:
        reply = await self._request(method, body_type, body)
        # The three answers are the same table under different names.
        self.subchannels = [
            int(s) for s in unpack(SetSubchannelsResponseT, reply).subchannels or []
        ]

    def _on_notification(self, event: int, buf: bytes, pos: int) -> None:
        fields = flat.slots(buf, pos) if pos else ()
        if event == Event.DATACONSUMER_DATAPRODUCER_CLOSE:
            self._leave("dataproducerclose")
        elif event == Event.DATACONSUMER_DATAPRODUCER_PAUSE:
            self._data_producer_paused(True)
        elif event == Event.DATACONSUMER_DATAPRODUCER_RESUME:
            self._data_producer_paused(False)
        elif event == Event.DATACONSUMER_SCTP_SENDBUFFER_FULL:
            self._emit(SctpSendBufferFull())
        elif event == Event.DATACONSUMER_BUFFERED_AMOUNT_LOW:
            self._emit(BufferedAmountLow(flat.u32(buf, pos + fields[0]) if fields[0] else 0))
        elif event == Event.DATACONSUMER_MESSAGE:
            ppid = flat.u32(buf, pos + fields[0]) if fields[0] else 0
            self._emit(MessageReceived(flat.raw(buf, pos + fields[1]), ppid))

    def _data_producer_paused(self, paused: bool) -> None:
        if self.data_producer_paused == paused:
            return
        self.data_producer_paused = paused
        self._emit(DataProducerPaused() if paused else DataProducerResumed())
        if not self.paused:
            self._emit(Paused() if paused else Resumed())

    def _leave(self, reason: "CloseReason") -> None:
        self.transport.data_consumers.pop(self.id, None)
        if self.sctp_stream_parameters is not None:
            self.transport._stream_ids.give_back(self.sctp_stream_parameters["streamId"])
        self._end(reason)

    def _transport_closed(self) -> None:
        if not self._closed:
            self._end("transportclose")
