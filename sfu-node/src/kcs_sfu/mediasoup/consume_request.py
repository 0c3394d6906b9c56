"""The request that creates a consumer, the most frequent of the big ones: from a template.

Its shape is the negotiated parameters, the options, and the lengths of the strings; its values are
the ids, the SSRCs, MID and CNAME.
"""

from typing import TYPE_CHECKING

from kcs_sfu.mediasoup.encode import build, encode_request
from kcs_sfu.mediasoup.events import ConsumerLayers
from kcs_sfu.mediasoup.fbs.Consumer.ConsumerLayers import ConsumerLayersT
from kcs_sfu.mediasoup.fbs.Request.Body import Body
from kcs_sfu.mediasoup.fbs.Request.Method import Method
from kcs_sfu.mediasoup.fbs.Transport.ConsumeRequest import ConsumeRequestT
from kcs_sfu.mediasoup.negotiation import Negotiated
from kcs_sfu.mediasoup.rtp_fbs import KINDS, RTP_TYPES, encoding_to_fbs, rtp_parameters_to_fbs
from kcs_sfu.mediasoup.rtp_parameters import RtpEncodingParameters, RtpParameters
from kcs_sfu.mediasoup.templates import TEMPLATES, Values

if TYPE_CHECKING:
    from kcs_sfu.mediasoup.producer import Producer


def encode_consume(
    request_id: int,
    transport_id: bytes,
    consumer_id: bytes,
    producer: "Producer",
    params: RtpParameters,
    rtp_type: str,
    *,
    paused: bool = False,
    preferred_layers: ConsumerLayers | None = None,
    ignore_dtx: bool = False,
) -> bytes:
    """The request by the naive encoder."""
    return _encode(
        request_id,
        transport_id.decode(),
        consumer_id.decode(),
        producer.id,
        producer.kind,
        producer.consumable_rtp_parameters["encodings"],
        params,
        rtp_type,
        paused=paused,
        preferred_layers=preferred_layers,
        ignore_dtx=ignore_dtx,
    )


def render_consume(
    request_id: int,
    transport_id: bytes,
    consumer_id: bytes,
    producer: "Producer",
    params: RtpParameters,
    negotiated: Negotiated,
    *,
    paused: bool = False,
    preferred_layers: ConsumerLayers | None = None,
    ignore_dtx: bool = False,
) -> bytes:
    """The same bytes from a template; `params` are `negotiated`'s for this consumer."""
    mid = params["mid"].encode()
    ssrc = params["encodings"][0]["ssrc"]
    has_rtx = negotiated.has_rtx
    shape = (
        negotiated.serial,
        producer.kind,
        producer.type,
        producer.consume_lengths,
        len(mid),
        paused,
        ignore_dtx,
        tuple(preferred_layers.items()) if preferred_layers else None,
    )
    values = (
        request_id.to_bytes(4, "little"),
        transport_id,
        consumer_id,
        mid,
        ssrc.to_bytes(4, "little"),
        (ssrc + 1).to_bytes(4, "little") if has_rtx else b"",
        *producer.consume_values,
    )

    def encode(v: Values) -> bytes:
        consumable: list[RtpEncodingParameters] = [
            {**encoding, "ssrc": int.from_bytes(ssrc, "little")}
            for encoding, ssrc in zip(
                producer.consumable_rtp_parameters["encodings"], v[9:], strict=True
            )
        ]
        own: RtpEncodingParameters = {
            **params["encodings"][0],
            "ssrc": int.from_bytes(v[4], "little"),
        }
        if has_rtx:
            own["rtx"] = {"ssrc": int.from_bytes(v[5], "little")}
        example: RtpParameters = {**params, "mid": v[3].decode(), "encodings": [own]}
        if "cname" in params["rtcp"]:
            example["rtcp"] = {**params["rtcp"], "cname": v[7].decode()}
        if "msid" in params:
            example["msid"] = v[8].decode()
        return _encode(
            int.from_bytes(v[0], "little"),
            v[1].decode(),
            v[2].decode(),
            v[6].decode(),
            producer.kind,
            consumable,
            example,
            producer.type,
            paused=paused,
            preferred_layers=preferred_layers,
            ignore_dtx=ignore_dtx,
        )

    return TEMPLATES.render(shape, values, encode)


def _encode(
    request_id: int,
    transport_id: str,
    consumer_id: str,
    producer_id: str,
    kind: str,
    consumable_encodings: list[RtpEncodingParameters],
    params: RtpParameters,
    rtp_type: str,
    *,
    paused: bool,
    preferred_layers: ConsumerLayers | None,
    ignore_dtx: bool,
) -> bytes:
    layers = preferred_layers and build(
        ConsumerLayersT,
        spatialLayer=preferred_layers["spatialLayer"],
        temporalLayer=preferred_layers.get("temporalLayer"),
    )
    body = build(
        ConsumeRequestT,
        consumerId=consumer_id,
        producerId=producer_id,
        kind=KINDS.index(kind),
        rtpParameters=rtp_parameters_to_fbs(params),
        type=RTP_TYPES.index(rtp_type),
        consumableRtpEncodings=[encoding_to_fbs(encoding) for encoding in consumable_encodings],
        paused=paused,
        preferredLayers=layers or None,
        ignoreDtx=ignore_dtx,
    )
    return encode_request(
        request_id,
        Method.TRANSPORT_CONSUME,
        transport_id,
        Body.Transport_ConsumeRequest,
        body,
    )
