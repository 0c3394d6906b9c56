"""Moving to another media server while the meeting runs. What is asked there names its `epoch`."""

from typing import Annotated

from pydantic import Field
from typing_extensions import TypedDict

from kcs_contracts.ids import Epoch, MeetingId, MeetingIdText
from kcs_contracts.protocol.declare import NEGOTIATION, ClientEvent, Payload, ServerEvent
from kcs_contracts.protocol.roles import Action
from kcs_contracts.protocol.views import MediaMigrate, Stream


class Crossed(Payload):
    meeting_id: MeetingIdText
    epoch: Annotated[Epoch, Field(ge=0, le=2**53)]


class CrossedTo(TypedDict):
    meeting_id: MeetingId
    epoch: int


CROSS = ClientEvent(
    "media:cross",
    Crossed,
    CrossedTo,
    "Says that you send and receive at the server of `media:migrate` too: when everybody does, "
    "it is the only one.",
    NEGOTIATION,
    Action.RECEIVE,
    errors=("NOT_FOUND",),
)

CLIENT_EVENTS = (CROSS,)


class MigratedStream(TypedDict):
    meeting_id: MeetingId
    epoch: int
    stream: Stream
    gone: bool


class MediaMigrated(TypedDict):
    meeting_id: MeetingId
    epoch: int
    generation: int
    done: bool
    """False: the move was given up, and nothing has changed where you are."""


SERVER_EVENTS = (
    ServerEvent(
        "media:migrate",
        MediaMigrate,
        "The meeting moves to another media server: make transports, producers and consumers there "
        "(with its `epoch`), keep those that you have, and say `media:cross`.",
        "you",
    ),
    ServerEvent(
        "media:migrate:stream",
        MigratedStream,
        "A stream at the server of `media:migrate` is new, paused, goes on, or is gone. Show each "
        "source once.",
        "others",
    ),
    ServerEvent(
        "media:migrated",
        MediaMigrated,
        "The move is over: what you have at one of both servers is to be closed. Whoever has not "
        "crossed gets `media:reset` instead.",
        "you",
    ),
)
