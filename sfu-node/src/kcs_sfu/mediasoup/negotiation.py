"""What a consumer of one producer gets, negotiated once per kind of producer and client.

`ortc.get_consumer_rtp_parameters` depends on the client's capabilities and on the producer only up
to SSRCs and CNAME. In a meeting nearly all clients and producers are alike in this sense, so the
result is kept by the *fingerprints* of both, and only what differs is filled in per consumer.
"""

from collections import OrderedDict
from itertools import count
from typing import Any

import orjson

from kcs_sfu.mediasoup import ortc
from kcs_sfu.mediasoup.errors import InvalidRtp
from kcs_sfu.mediasoup.rtp_parameters import (
    RtpCapabilities,
    RtpEncodingParameters,
    RtpParameters,
)

_serials = count()


class Negotiated:
    """Consumer parameters without `mid`, SSRCs, `rtcp` and `msid`."""

    __slots__ = ("_encoding", "_params", "has_rtx", "serial")

    def __init__(self, params: RtpParameters) -> None:
        """`params` as `ortc.get_consumer_rtp_parameters` returns them, with one encoding."""
        self.serial = next(_serials)
        """Tells one from another: a short stand-in for all the parameters in a template's key."""
        self._params = params
        self._encoding = params["encodings"][0]
        self.has_rtx = "rtx" in self._encoding

    def parameters(self, consumable: RtpParameters, mid: str, ssrc: int) -> RtpParameters:
        """Parameters for one consumer. `codecs` and `headerExtensions` are shared: read-only."""
        encoding: RtpEncodingParameters = self._encoding.copy()
        encoding["ssrc"] = ssrc
        if self.has_rtx:
            encoding["rtx"] = {"ssrc": ssrc + 1}
        params: RtpParameters = {
            "mid": mid,
            "codecs": self._params["codecs"],
            "headerExtensions": self._params["headerExtensions"],
            "encodings": [encoding],
            "rtcp": consumable["rtcp"],
        }
        if "msid" in consumable:
            params["msid"] = consumable["msid"]
        return params


def fingerprint(value: object) -> bytes:
    """Equal JSON, equal bytes. Raises InvalidRtp for what is no JSON."""
    try:
        return orjson.dumps(value)
    except TypeError as error:
        raise InvalidRtp(f"parameters must be JSON: {error}") from error


def clone(value: Any) -> Any:
    """A copy of JSON. Raises InvalidRtp for what is none."""
    return orjson.loads(fingerprint(value))


def producer_fingerprint(consumable: RtpParameters) -> bytes:
    """Of all that matters for negotiation: not SSRCs, CNAME, msid."""
    encodings = [{**encoding, "ssrc": 0} for encoding in consumable["encodings"]]
    return fingerprint((consumable["codecs"], consumable["headerExtensions"], encodings))


class NegotiationCache:
    """The least recently used is forgotten first: clients decide how many there are."""

    def __init__(self, max_entries: int = 512) -> None:
        self._max = max_entries
        self._entries: OrderedDict[tuple[bytes, bytes, bool], Negotiated] = OrderedDict()

    def get(
        self,
        consumable: RtpParameters,
        consumable_fingerprint: bytes,
        rtp_capabilities: RtpCapabilities,
        enable_rtx: bool,
    ) -> Negotiated:
        """Negotiates unless it has before. Raises InvalidRtp, UnsupportedError."""
        client = fingerprint(rtp_capabilities)
        key = (consumable_fingerprint, client, enable_rtx)
        entry = self._entries.get(key)
        if entry is not None:
            self._entries.move_to_end(key)
            return entry
        capabilities = ortc.validate_and_normalize_rtp_capabilities(orjson.loads(client))
        entry = self._entries[key] = Negotiated(
            ortc.get_consumer_rtp_parameters(
                consumable_rtp_parameters=consumable,
                remote_rtp_capabilities=capabilities,
                enable_rtx=enable_rtx,
            )
        )
        if len(self._entries) > self._max:
            self._entries.popitem(last=False)
        return entry


NEGOTIATIONS = NegotiationCache()
"""For all workers of this process."""
