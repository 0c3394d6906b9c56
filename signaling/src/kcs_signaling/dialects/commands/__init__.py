"""Handlers of the events that both dialects have; `/` spells payloads and answers in camelCase.

Each function takes the dialect, the peer and the payload, and answers what the event's declaration
says. One module per concern, as in `kcs_contracts.protocol`.
"""

from kcs_signaling.dialects.commands import (
    breakouts,
    capture,
    chat,
    media,
    people,
    room,
    telemetry,
)
from kcs_signaling.dialects.table import Handlers

SHARED = Handlers(
    room.handlers,
    media.handlers,
    people.handlers,
    chat.handlers,
    breakouts.handlers,
    capture.handlers,
    telemetry.handlers,
)

__all__ = ["SHARED"]
