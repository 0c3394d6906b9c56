"""ORTC: how a producer's RTP becomes the Router's, and the Router's becomes a consumer's.

The order in a call: a Router's capabilities are generated once from its codecs; what a client sends
is validated; `get_producer_rtp_parameters_mapping` maps the producer's payload types and SSRCs onto
the Router's; `get_consumable_rtp_parameters` describes that producer in the Router's terms; and
`get_consumer_rtp_parameters` narrows this to what one consumer can receive.

Nothing here does I/O, and randomness is an argument. Two rules hold throughout:

- Only `validate_and_normalize_*`, `can_consume` and `generate_router_rtp_capabilities` take input
  that nobody has checked; they fill in defaults in place. What is malformed is refused
  with `InvalidRtp`, what is well-formed but not what this Router can carry with `UnsupportedError`.
- Results share parts with their arguments instead of copying them (a big meeting makes thousands of
  consumers from one producer): treat both as frozen. The one exception that mediasoup has stays:
  `get_producer_rtp_parameters_mapping` writes the negotiated H.264 profile into its `params`.

Source: mediasoup 3.27.1, `node/src/ortc.ts`; `tests/kcs_sfu/test_ortc.py` compares the results with
that code and lists every deliberate difference.
"""

from kcs_sfu.mediasoup.ortc.capabilities import can_consume, generate_router_rtp_capabilities
from kcs_sfu.mediasoup.ortc.consumer import (
    get_consumer_rtp_parameters,
    get_pipe_consumer_rtp_parameters,
)
from kcs_sfu.mediasoup.ortc.producer import (
    get_consumable_rtp_parameters,
    get_producer_rtp_parameters_mapping,
)
from kcs_sfu.mediasoup.ortc.ssrc import RandomSsrc, random_ssrc
from kcs_sfu.mediasoup.ortc.validate import (
    validate_and_normalize_rtp_capabilities,
    validate_and_normalize_rtp_parameters,
    validate_and_normalize_sctp_stream_parameters,
)

__all__ = [
    "RandomSsrc",
    "can_consume",
    "generate_router_rtp_capabilities",
    "get_consumable_rtp_parameters",
    "get_consumer_rtp_parameters",
    "get_pipe_consumer_rtp_parameters",
    "get_producer_rtp_parameters_mapping",
    "random_ssrc",
    "validate_and_normalize_rtp_capabilities",
    "validate_and_normalize_rtp_parameters",
    "validate_and_normalize_sctp_stream_parameters",
]
