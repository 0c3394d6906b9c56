"""Breakout rooms: each is a room of its own, with its own media server, people and chat.

A host makes them, says who goes where (by hand, evenly, or people choose), opens them, and closes
them again. Who goes into one leaves the main meeting; `room:closed` with `return_to` calls them
back. Hosts come and go as they like, and hear in the main meeting who is where.
"""

from typing import Annotated, NotRequired, Self

from pydantic import Field, StringConstraints, model_validator
from typing_extensions import TypedDict

from kcs_contracts.ids import MeetingId, MeetingIdText, ParticipantId, ParticipantIdText
from kcs_contracts.protocol.chat import MessageText
from kcs_contracts.protocol.declare import (
    CONTROL,
    ENTRANCE,
    ClientEvent,
    DisplayName,
    Payload,
    ServerEvent,
    per_minute,
)
from kcs_contracts.protocol.roles import Action
from kcs_contracts.protocol.views import BreakoutsView, MeetingNamed

MAX_ROOMS = 50


class Create(Payload):
    meeting_id: MeetingIdText
    count: Annotated[int, Field(ge=1, le=MAX_ROOMS)]
    names: Annotated[tuple[DisplayName, ...], Field(max_length=MAX_ROOMS)] = Field(
        default=(), strict=False
    )
    """Of the first ones; the others are called "Room 3"."""
    choose: bool = False
    """People choose their room themselves."""


class Assignment(Payload):
    user_id: ParticipantIdText
    room_id: MeetingIdText | None
    """null: they belong in the main meeting."""


class Assign(Payload):
    meeting_id: MeetingIdText
    assignments: Annotated[tuple[Assignment, ...], Field(max_length=1000)] = Field(
        default=(), strict=False
    )
    evenly: bool = False
    """Everybody but hosts, in equal shares; who is in a room stays assigned as they are, all other
    assignments of before are forgotten."""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.evenly == bool(self.assignments):
            raise ValueError("name assignments, or say evenly: true")
        return self


class Open(Payload):
    meeting_id: MeetingIdText
    minutes: Annotated[float, Field(gt=0, le=24 * 60)] | None = None
    """They close by themselves after so long."""


class Choose(Payload):
    meeting_id: MeetingIdText
    room_id: MeetingIdText


class Chosen(TypedDict):
    meeting_id: MeetingId
    room_id: MeetingId
    token: str
    """Join the room with it: `room:join` with `room_id`."""


class Tell(Payload):
    meeting_id: MeetingIdText
    message: Annotated[MessageText, StringConstraints(max_length=500)]


class Close(Payload):
    meeting_id: MeetingIdText
    seconds: Annotated[int, Field(ge=0, le=300)] = 0
    """How long people have to finish."""


class Named(Payload):
    meeting_id: MeetingIdText


CREATE = ClientEvent(
    "breakout:create",
    Create,
    BreakoutsView,
    "Makes breakout rooms, closed for now; instead of earlier ones that are closed. A host who "
    "visits one of those is called back.",
    CONTROL,
    Action.RUN_BREAKOUTS,
)
ASSIGN = ClientEvent(
    "breakout:assign",
    Assign,
    BreakoutsView,
    "Says who goes where. While the rooms are open, those hear `breakout:go`.",
    CONTROL,
    Action.RUN_BREAKOUTS,
    errors=("NOT_FOUND",),
)
OPEN = ClientEvent(
    "breakout:open",
    Open,
    BreakoutsView,
    "Opens the rooms: everybody who is assigned hears `breakout:go`.",
    CONTROL,
    Action.RUN_BREAKOUTS,
    errors=("NOT_FOUND",),
)
CHOOSE = ClientEvent(
    "breakout:choose",
    Choose,
    Chosen,
    "Asks for the way into a room: the one you are assigned to, any where people choose, and any "
    "for hosts.",
    ENTRANCE,
    Action.RECEIVE,
    errors=("NOT_FOUND",),
)
TELL = ClientEvent(
    "breakout:message",
    Tell,
    MeetingNamed,
    "Tells all rooms something.",
    per_minute(10),
    Action.RUN_BREAKOUTS,
    errors=("NOT_FOUND",),
)
CLOSE = ClientEvent(
    "breakout:close",
    Close,
    BreakoutsView,
    "Closes the rooms, and everybody comes back.",
    CONTROL,
    Action.RUN_BREAKOUTS,
    errors=("NOT_FOUND",),
)
LIST = ClientEvent(
    "breakout:list",
    Named,
    BreakoutsView,
    "The rooms, and, for hosts, who is where.",
    CONTROL,
    Action.RECEIVE,
    errors=("NOT_FOUND",),
)

CLIENT_EVENTS = (CREATE, ASSIGN, OPEN, CHOOSE, TELL, CLOSE, LIST)


class Go(TypedDict):
    meeting_id: MeetingId
    """The main meeting."""
    room_id: MeetingId
    """Where to go: a room, or the main meeting again."""
    name: str
    token: str
    closes_at: str | None


class Closing(TypedDict):
    meeting_id: MeetingId
    seconds: int


class Moved(TypedDict):
    meeting_id: MeetingId
    room_id: MeetingId
    user_id: ParticipantId
    display_name: str
    inside: bool


class Told(TypedDict):
    meeting_id: MeetingId
    """The main meeting."""
    message: str
    display_name: str
    room_id: NotRequired[MeetingId]


SERVER_EVENTS = (
    ServerEvent("breakout:updated", BreakoutsView, "The rooms changed."),
    ServerEvent("breakout:go", Go, "Go there: join `room_id` with the token.", "target"),
    ServerEvent("breakout:closing", Closing, "The rooms close in so many seconds."),
    ServerEvent("breakout:moved", Moved, "Somebody is in a room, or not any more.", "hosts"),
    ServerEvent("breakout:message", Told, "A host tells all rooms something."),
)
