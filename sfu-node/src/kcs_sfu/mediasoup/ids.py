"""Ids of the worker's objects (UUID version 4 in text): a type per kind, and how they are made."""

import os
from typing import NewType

WebRtcServerId = NewType("WebRtcServerId", str)
RouterId = NewType("RouterId", str)
TransportId = NewType("TransportId", str)
ProducerId = NewType("ProducerId", str)
ConsumerId = NewType("ConsumerId", str)
DataProducerId = NewType("DataProducerId", str)
DataConsumerId = NewType("DataConsumerId", str)
RtpObserverId = NewType("RtpObserverId", str)


def new_uuid() -> str:
    """A random UUID version 4 (RFC 9562), without `uuid.UUID`, which costs five times as much."""
    h = os.urandom(16).hex()
    return f"{h[:8]}-{h[8:12]}-4{h[13:16]}-{'89ab'[int(h[16], 16) & 3]}{h[17:20]}-{h[20:]}"
