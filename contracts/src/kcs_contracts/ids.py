"""Ids as types of their own, and the shapes that ids from outside must have.

A participant is a user in a meeting: the same user id joins a meeting once, and a newer session
of it replaces the older one. So `ParticipantId` has the value of the `UserId`.
"""

import secrets
from typing import Annotated, NewType

from pydantic import StringConstraints

MeetingId = NewType("MeetingId", str)
UserId = NewType("UserId", str)
ParticipantId = NewType("ParticipantId", str)
SessionId = NewType("SessionId", str)
"""One connection of a participant: the Socket.IO session that speaks for it now."""
NodeName = NewType("NodeName", str)
BootId = NewType("BootId", str)
"""One life of a node's process: a restarted node has the same name and another boot."""
Epoch = NewType("Epoch", int)
"""Counts a meeting's homes: grows with each assignment, never repeats."""
Generation = NewType("Generation", int)
"""Counts the media planes within one epoch: grows when a worker died and the room was rebuilt."""
TransportId = NewType("TransportId", str)
ProducerId = NewType("ProducerId", str)
ConsumerId = NewType("ConsumerId", str)

_ID = r"^[A-Za-z0-9][A-Za-z0-9_.:@-]{0,63}$"
"""No slash, space or control character: ids stand in paths, keys and channel names."""

MeetingIdText = Annotated[MeetingId, StringConstraints(pattern=_ID)]
UserIdText = Annotated[UserId, StringConstraints(pattern=_ID)]
ParticipantIdText = Annotated[ParticipantId, StringConstraints(pattern=_ID)]
MediaIdText = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9-]{1,64}$")]
"""The id of a transport, producer or consumer: a UUID of the node's making."""

_ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"
"""Without l, o, 0 and 1: people read meeting ids to each other."""


def new_meeting_id() -> MeetingId:
    """A meeting id such as `k7f-x2mq-9tb`: 50 random bits, easy to say."""
    text = "".join(secrets.choice(_ALPHABET) for _ in range(10))
    return MeetingId(f"{text[:3]}-{text[3:7]}-{text[7:]}")
