"""What clients and signaling say to each other: every event of both namespaces, declared once.

`MEETING` is the architecture guide's namespace `/meeting` and what both guides lack; `CLIENT` is
the client guide's namespace `/`. Signaling's dialects handle what stands here and nothing else;
docs/events.md, the AsyncAPI document and the web client's types are generated from here.
"""

from kcs_contracts.protocol import (
    breakouts,
    capture,
    chat,
    guide_client,
    media,
    moving,
    people,
    room,
    telemetry,
)
from kcs_contracts.protocol.declare import ClientEvent, Protocol, ServerEvent

_PARTS = (room, media, moving, people, chat, breakouts, capture, telemetry)

MEETING = Protocol(
    "/meeting",
    "The architecture guide's dialect: snake_case, acknowledgements",
    tuple(event for part in _PARTS for event in part.CLIENT_EVENTS),
    tuple(event for part in _PARTS for event in part.SERVER_EVENTS),
)

_ITS_OWN_WAY = {  # what `/` has under other names
    room.CREATE.name,
    room.JOIN.name,
    room.LEAVE.name,
    media.CREATE_TRANSPORT.name,
    media.CONNECT_TRANSPORT.name,
    media.CONSUME_BATCH.name,
    media.RESUME_CONSUMER.name,
    media.RESUME_CONSUMERS.name,
    media.PAUSE_CONSUMER.name,
    moving.CROSS.name,
    chat.SEND.name,
    chat.TYPING.name,
}
_NOT_HEARD = {
    "room:created",
    "room:joined",
    "room:waiting",
    "room:error",
    "transport:created",
    "producer:created",
    "consumer:created",
    "consumer:closed",
    "producer:closed",
    "media:migrate",
    "media:migrate:stream",
    "media:migrated",
    "participant:joined",
    "participant:left",
    "chat:message",
    "chat:typing",
}
_own = {event.name for event in guide_client.CLIENT_EVENTS}
_own_heard = {event.name for event in guide_client.SERVER_EVENTS}

SHARED = tuple(e for e in MEETING.client_events if e.name not in _ITS_OWN_WAY | _own)
"""Events that both namespaces have; `/` spells them in camelCase."""
SHARED_HEARD = tuple(e for e in MEETING.server_events if e.name not in _NOT_HEARD | _own_heard)

CLIENT = Protocol(
    "/",
    "The client guide's dialect: camelCase, answers as events",
    (*guide_client.CLIENT_EVENTS, *SHARED),
    (*guide_client.SERVER_EVENTS, *SHARED_HEARD),
)

PROTOCOLS = (MEETING, CLIENT)

__all__ = [
    "CLIENT",
    "MEETING",
    "PROTOCOLS",
    "SHARED",
    "SHARED_HEARD",
    "ClientEvent",
    "Protocol",
    "ServerEvent",
]
