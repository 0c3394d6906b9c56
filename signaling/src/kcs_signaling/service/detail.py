"""Detailed logs of a meeting that somebody looks into (`PUT meetings/{id}/debug`)."""

import logging
import time

import structlog

from kcs_contracts.live import Live
from kcs_signaling.rooms.peer import Room

_log = structlog.wrap_logger(
    None, wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG)
)
"""Whatever the level of all other lines is."""


def is_detailed(live: Live) -> bool:
    """Whether the meeting is logged in detail now."""
    return live.debug_until_ms > 0 and live.debug_until_ms > time.time() * 1000


def detail(room: Room | None, event: str, **fields: object) -> None:
    """A line at debug level, if the meeting is logged in detail. No secrets, no words of people."""
    if room is not None and is_detailed(room.state.live):
        _log.debug(event, meeting_id=room.id, **fields)
