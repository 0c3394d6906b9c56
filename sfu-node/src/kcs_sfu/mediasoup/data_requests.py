"""The requests that create data producers and data consumers: method, body type, body."""

from collections.abc import Sequence
from typing import Any

from kcs_sfu.mediasoup.encode import build
from kcs_sfu.mediasoup.fbs.Request.Body import Body
from kcs_sfu.mediasoup.fbs.Request.Method import Method
from kcs_sfu.mediasoup.fbs.SctpParameters.SctpStreamParameters import SctpStreamParametersT
from kcs_sfu.mediasoup.fbs.Transport.ConsumeDataRequest import ConsumeDataRequestT
from kcs_sfu.mediasoup.fbs.Transport.ProduceDataRequest import ProduceDataRequestT
from kcs_sfu.mediasoup.parse import DATA_TYPES
from kcs_sfu.mediasoup.rtp_parameters import SctpStreamParameters

Request = tuple[int, int, Any]


def produce_data_request(
    data_producer_id: str,
    stream: SctpStreamParameters | None,
    *,
    label: str,
    protocol: str,
    paused: bool,
) -> Request:
    """For Transport.produce_data(); without a stream on a DirectTransport."""
    body = build(
        ProduceDataRequestT,
        dataProducerId=data_producer_id,
        type=DATA_TYPES.index("sctp" if stream else "direct"),
        sctpStreamParameters=_stream_to_fbs(stream),
        label=label,
        protocol=protocol,
        paused=paused,
    )
    return Method.TRANSPORT_PRODUCE_DATA, Body.Transport_ProduceDataRequest, body


def consume_data_request(
    data_consumer_id: str,
    data_producer_id: str,
    stream: SctpStreamParameters | None,
    *,
    label: str,
    protocol: str,
    paused: bool,
    subchannels: Sequence[int],
) -> Request:
    """For Transport.consume_data(); without a stream on a DirectTransport."""
    body = build(
        ConsumeDataRequestT,
        dataConsumerId=data_consumer_id,
        dataProducerId=data_producer_id,
        type=DATA_TYPES.index("sctp" if stream else "direct"),
        sctpStreamParameters=_stream_to_fbs(stream),
        label=label,
        protocol=protocol,
        paused=paused,
        subchannels=list(subchannels),
    )
    return Method.TRANSPORT_CONSUME_DATA, Body.Transport_ConsumeDataRequest, body


def consumer_stream(
    producer: SctpStreamParameters | None,
    stream_id: int,
    *,
    ordered: bool | None,
    max_packet_life_time_ms: int | None,
    max_retransmits: int | None,
) -> SctpStreamParameters:
    """A data consumer's stream: as reliable as its producer's unless told otherwise."""
    stream: SctpStreamParameters = producer.copy() if producer else {"streamId": 0, "ordered": True}
    stream["streamId"] = stream_id
    if ordered is not None:
        stream["ordered"] = ordered
    if ordered:
        stream.pop("maxPacketLifeTime", None)
        stream.pop("maxRetransmits", None)
        return stream
    if max_packet_life_time_ms is not None:
        stream["ordered"] = False
        stream["maxPacketLifeTime"] = max_packet_life_time_ms
    if max_retransmits is not None:
        stream["ordered"] = False
        stream["maxRetransmits"] = max_retransmits
    return stream


def _stream_to_fbs(stream: SctpStreamParameters | None) -> SctpStreamParametersT | None:
    if stream is None:
        return None
    return build(
        SctpStreamParametersT,
        streamId=stream["streamId"],
        ordered=stream.get("ordered"),
        maxPacketLifeTime=stream.get("maxPacketLifeTime"),
        maxRetransmits=stream.get("maxRetransmits"),
    )
